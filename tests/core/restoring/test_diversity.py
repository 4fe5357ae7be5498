"""Samples differ more the noisier the image (Prakash et al. 2022, A.12)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig, NoiseConfig, TrainingConfig
from simulated import run_to_end, scene

SIGMAS = (10.0, 25.0, 60.0)  # counts, of a signal with a standard deviation of about 30
FRAMES, SIDE = 6, 64


def cells(seed: int) -> np.ndarray:
    return 2 * scene(np.random.default_rng(seed), SIDE) + 100


@pytest.mark.slow
def test_diversity_rises_with_the_noise():
    """Over the signal of held-out images; chance is what images of one noise level differ by."""
    network = NetworkConfig(levels=3, channels=16, latent_channels=8, trunk="half")
    spreads = []
    for sigma in SIGMAS:
        config = TrainingConfig(
            network=network, minutes=None, steps=220, patch_px=32, batch_size=4, warmup_steps=10,
            device="cpu", precision="float32", noise=NoiseConfig(source="gaussian", sigma=sigma),
        )  # fmt: skip
        rng = np.random.default_rng(int(sigma))
        clean = np.stack([cells(s) for s in range(2 * FRAMES)])
        noisy = (clean + rng.normal(0, sigma, clean.shape)).astype(np.float32)
        model = run_to_end([ImageStack(noisy[:FRAMES], "SYX", "cells")], config)[0].model
        restored = model.restore(
            noisy[FRAMES:], "SYX", outputs=("mean", "std"), samples=12, device="cpu"
        )
        errors = np.sqrt(np.mean((restored.mean - clean[FRAMES:]) ** 2, axis=(1, 2)))
        assert errors.max() < 0.7 * sigma  # it has learned to restore at all
        signal = clean[FRAMES:] > np.median(clean[FRAMES:], axis=(1, 2), keepdims=True)
        spreads.append([float(s[m].mean()) for s, m in zip(restored.std, signal, strict=True)])
    for less, more in pairwise(np.array(spreads)):
        difference = more - less  # of the same scenes
        error = difference.std(ddof=1) / len(difference) ** 0.5
        assert difference.min() > 0
        assert difference.mean() > 5 * error
        assert more.mean() > 1.2 * less.mean()
