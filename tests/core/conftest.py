"""Fixtures of the core's tests."""

from __future__ import annotations

import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from simulated import TINY, network, simulate


@pytest.fixture
def tiny_config() -> TrainingConfig:
    return TrainingConfig(
        network=TINY, minutes=None, steps=6, patch_px=16, batch_size=2, device="cpu",
        precision="float32", warmup_steps=2, seed=4,
    )  # fmt: skip


@pytest.fixture
def stack() -> ImageStack:
    return ImageStack(simulate(), "TYX", "cells")


@pytest.fixture
def tiny_model(tiny_config: TrainingConfig) -> HDN:
    """Untrained; works in units of the noise of `simulate`."""
    summary = TrainingSummary(
        version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=100, data_high=350,
    )  # fmt: skip
    noise_model = PoissonGaussian([2.0], [-190.0], [5.0])
    return HDN(tiny_config, network(), noise_model, Normalisation(20.0, 4.0, True), summary)
