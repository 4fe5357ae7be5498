"""Fixtures of the core's tests."""

from __future__ import annotations

import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import TrainingConfig
from simulated import TINY, simulate


@pytest.fixture
def tiny_config() -> TrainingConfig:
    return TrainingConfig(
        network=TINY, minutes=None, steps=6, patch_px=16, batch_size=2, device="cpu",
        precision="float32", warmup_steps=2, seed=4,
    )  # fmt: skip


@pytest.fixture
def stack() -> ImageStack:
    return ImageStack(simulate(), "TYX", "cells")
