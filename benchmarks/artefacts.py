"""Structured artefacts with a known truth, on two kinds of real structures.

Clean = W2S 400-shot means, or means of 50 FMD confocal frames, as 8 to 68 photons at 2.2 counts
each over an offset of 100; then shot noise, read noise of 4 counts, and an artefact of 22 counts
standard deviation. ``stripes`` on W2S is the task of ``bench/datasets.py``, whose recipe this follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import (
    convolve,
    gaussian_filter,
    map_coordinates,
    uniform_filter,
    uniform_filter1d,
)

PHOTON, OFFSET, READ = 2.2, 100.0, 4.0
STD = 22.0  # of the artefact, counts
LENGTH = 9  # of lines, px
JITTER_PX = 1.2  # standard deviation of the shift of a row
STRUCTURE_PX = 2.5  # sigma of an artefact as fine as the structures

Artefact = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _along(axis: int) -> Artefact:
    return lambda clean, rng: uniform_filter1d(rng.standard_normal(clean.shape), LENGTH, axis=axis)


def _diagonal(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(convolve(rng.standard_normal(clean.shape), np.eye(LENGTH), mode="wrap"))


def _camera(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(uniform_filter(rng.standard_normal(clean.shape), 3))


def _rows(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.broadcast_to(rng.standard_normal((clean.shape[0], 1)), clean.shape)


def _checker(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices(clean.shape)
    return (-1.0) ** (y + x) * gaussian_filter(rng.standard_normal(clean.shape), 4)


def _same_scale(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(gaussian_filter(rng.standard_normal(clean.shape), STRUCTURE_PX))


# what is added to the counts, of any size; scaled to STD
ADDED: dict[str, Artefact] = {
    "stripes": _along(1),
    "vertical": _along(0),
    "diagonal": _diagonal,
    "camera": _camera,
    "rows": _rows,
    "checker": _checker,
    "same_scale": _same_scale,
}
KINDS = ("pixel", *ADDED, "jitter")


@dataclass(frozen=True)
class ArtefactTask:
    """Noisy images to train on and to score, with their truth and the true artefact."""

    name: str
    train: np.ndarray  # (N, Y, X) float32 counts
    test: list[np.ndarray]
    truth: list[np.ndarray]
    artefact: list[np.ndarray]  # counts; what the test images hold besides pixel noise


def clean_images(base: str, data: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clean images to train on and to score, of any scale."""
    if base == "w2s":
        numbers = (*range(1, 13), *range(31, 35))
        images = [tifffile.imread(data / f"w2s_widefield/fov{i:03d}_ch0_gt.tif") for i in numbers]
        return images[:12], images[12:]
    names = (1, 5, 7, 20)
    stacks = [tifffile.imread(data / f"fmd_confocal_bpae_b/fov{i:02d}_raw50.tif") for i in names]
    # the mean of 50 frames still holds a seventh of their noise
    means = [gaussian_filter(s.mean(axis=0, dtype=np.float64), 0.7) for s in stacks]
    return [m for m in means[:3] for _ in range(4)], [means[3]] * 2


def make_task(base: str, kind: str, seed: int, data: Path) -> ArtefactTask:
    """A task with an artefact of ``KINDS`` on structures of ``w2s`` or ``fmd``."""
    rng = np.random.default_rng(seed)

    def corrupt(clean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clean = clean.astype(np.float32)
        photons = 8 + 60 * (clean - clean.min()) / (clean.max() - clean.min())
        truth = photons * PHOTON + OFFSET
        artefact = np.zeros_like(truth)
        if kind in ADDED:
            artefact = ADDED[kind](clean, rng)
            artefact = artefact / artefact.std() * STD
        elif kind == "jitter":
            y, x = np.indices(clean.shape).astype(np.float64)
            moved = x + rng.normal(0, JITTER_PX, (clean.shape[0], 1))
            seen = map_coordinates(photons, (y, moved), order=1, mode="nearest")
            artefact, photons = (seen - photons) * PHOTON, seen
        noisy = rng.poisson(photons) * PHOTON + OFFSET + rng.normal(0, READ, clean.shape)
        noisy = noisy + (artefact if kind in ADDED else 0.0)
        return noisy.astype(np.float32), truth.astype(np.float32), artefact.astype(np.float32)

    to_train, to_score = clean_images(base, data)
    train = np.stack([corrupt(image)[0] for image in to_train])
    test, truth, artefact = zip(*(corrupt(image) for image in to_score), strict=True)
    return ArtefactTask(f"{base} {kind}", train, list(test), list(truth), list(artefact))
