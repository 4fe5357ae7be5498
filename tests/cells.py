"""Synthetic cells for tests of segmentation: membranes with gaps, and bright blobs that touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def field(rng, shape, sigma):
    """Smooth noise of variance 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return noise / noise.std()


def membranes(seed=0, size=160, cells=45, samples=12, gaps=0.45):
    """Truth labels (Y, X) and (N, Y, X) samples whose membranes open and shift here and there."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, size, (cells, 2))
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(y[..., None] - middles[:, 0], x[..., None] - middles[:, 1])
    nearest = np.sort(distance, axis=-1)
    wall = np.exp(-(((nearest[..., 1] - nearest[..., 0]) / 3.0) ** 2) / 2)
    drawn = []
    for _ in range(samples):
        strength = np.clip(1 + gaps * field(rng, wall.shape, 4), 0, None)
        shifts = 0.8 * field(rng, (2, *wall.shape), (0, 5, 5))
        moved = ndimage.map_coordinates(wall, [y + shifts[0], x + shifts[1]], mode="nearest")
        drawn.append(100 + 100 * moved * strength + 6 * field(rng, wall.shape, 1.5))
    return distance.argmin(axis=-1).astype(np.int32) + 1, np.array(drawn, np.float32)


def blobs(seed=0, size=128, count=22, samples=12, noise=0.22):
    """Truth labels (Y, X) and (N, Y, X) samples of disks, some of which touch."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    truth = np.zeros((size, size), np.int32)
    middles: list[tuple[float, float, float]] = []
    while len(middles) < count:
        cy, cx, r = *rng.uniform(10, size - 10, 2), rng.uniform(6, 9)
        if all(np.hypot(cy - b, cx - a) > 0.95 * (r + q) for b, a, q in middles):
            middles.append((cy, cx, r))
            truth[np.hypot(y - cy, x - cx) < r] = len(middles)
    clean = ndimage.gaussian_filter((truth > 0).astype(float), 1.2)
    drawn = [
        100 + 80 * clean * np.clip(1 + noise * field(rng, clean.shape, 3), 0, None)
        + 80 * noise * field(rng, clean.shape, 2.5)
        for _ in range(samples)
    ]  # fmt: skip
    return truth, np.array(drawn, np.float32)
