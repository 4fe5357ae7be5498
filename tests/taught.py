"""Lessons and exams of numbers, for tests of direct networks."""

from __future__ import annotations

from typing import Literal

import torch

from napari_hdn.core.direct.config import DirectConfig, DirectNetworkConfig, Statistic
from napari_hdn.core.direct.lessons import Exam, Lesson
from napari_hdn.core.direct.network import random_network
from napari_hdn.core.direct.student import Direct, DirectSummary, Marks
from napari_hdn.core.hdn import HDN
from napari_hdn.core.identity import fingerprint


def exam_of(
    image: torch.Tensor, right: torch.Tensor, pair: torch.Tensor, variance: float, doubt: float
) -> Exam:
    return Exam(image, None, right, pair, variance, doubt)


def lesson_of(shape: tuple[int, int], targets: int = 1, seed: int = 0) -> Lesson:
    """Random pixels, whose targets lie 1, 2, ... higher."""
    image = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return Lesson(image, image[None] + torch.arange(1.0, targets + 1)[:, None, None])


def direct_of(
    model: HDN,
    *,
    levels_off: tuple[int, ...] = (),
    learns: Statistic = "mean",
    seed: int = 0,
    unshuffle: Literal[1, 2, 4] = 1,
) -> Direct:
    """A random direct network of a model."""
    config = DirectConfig(
        network=DirectNetworkConfig(unshuffle=unshuffle, widths=(6, 8)),
        learns=learns,
        deactivated_levels=levels_off,
    )
    network = random_network(config.network, seed)
    rng = torch.Generator().manual_seed(seed)
    for value in network.parameters():
        torch.nn.init.normal_(value, 0.0, 0.1, generator=rng)
    summary = DirectSummary(
        version="0", created="2026-11-02", teacher=model.name, teacher_created=model.summary.created,
        teacher_weights=fingerprint(model), levels=model.config.network.levels, levels_off=levels_off,
        steps=3, seconds=1.0, stopped=False, device="cpu", data=(), megapixels=0.1,
        marks=Marks(loss_db=0.1, pair_loss_db=0.02, agreement_db=40.0, tiles=2, samples=16),
    )  # fmt: skip
    return Direct(config, network.eval(), summary)
