"""A tiny model as a teacher, and teachers whose answers are known in closed form."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import convolve

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.direct import distillation
from napari_hdn.core.direct.config import DirectConfig, DirectNetworkConfig
from napari_hdn.core.direct.lessons import Teacher
from napari_hdn.core.hdn import HDN
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.training.summary import TrainingSummary
from simulated import network, simulate

SMALL = DirectNetworkConfig(unshuffle=1, widths=(8, 8))
BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


@pytest.fixture
def quick() -> DirectConfig:
    return DirectConfig(
        network=SMALL, minutes=None, steps=5, patch_px=16, batch_size=4, warmup_steps=2,
        device="cpu", precision="float32",
    )  # fmt: skip


@pytest.fixture
def model(tiny_config) -> HDN:
    """An untrained network, stabilised, with a range."""
    summary = TrainingSummary(
        version="0", created="2026-11-01", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=100, data_high=350,
    )  # fmt: skip
    noise = PoissonGaussian([2.0], [-190.0], [5.0])
    return HDN(tiny_config, network(), noise, Normalisation(20.0, 4.0, True), summary)


@pytest.fixture
def stack() -> ImageStack:
    return ImageStack(simulate((5, 64, 48)), "TYX", "cells")


class LinearTeacher(Teacher):
    """Restores by a blur; its samples do not differ."""

    def _draw(self, piece, count, *, antithetic, plane):
        image, curve, samples = super()._draw(piece, 2, antithetic=antithetic, plane=plane)
        blurred = torch.from_numpy(convolve(image.numpy(), BLUR.numpy(), mode="mirror"))
        return image, curve, blurred.expand(count, *samples.shape[1:]).clone()


class SkewedTeacher(Teacher):
    """Samples are the image, and in three of ten cases, whatever the image, one more."""

    def _draw(self, piece, count, *, antithetic, plane):
        image, curve, samples = super()._draw(piece, 2, antithetic=antithetic, plane=plane)
        rng = torch.Generator().manual_seed(plane % 2**30)
        high = torch.rand((count, *samples.shape[1:]), generator=rng) < 0.3
        return image, curve, image + high.float()


@pytest.fixture
def linear(monkeypatch):
    monkeypatch.setattr(distillation, "Teacher", LinearTeacher)


@pytest.fixture
def skewed(monkeypatch):
    monkeypatch.setattr(distillation, "Teacher", SkewedTeacher)
