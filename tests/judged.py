"""A judgement made by hand, for tests of what shows and writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_hdn.core.trust.control import Control, Flat
from napari_hdn.core.trust.judgement import Judgement, ModelFacts, Settings
from napari_hdn.core.trust.prior_share import PriorShare
from napari_hdn.core.trust.residual_maps import local_residuals
from napari_hdn.core.trust.spread import SpreadCalibration
from napari_hdn.core.trust.trust_map import trust_map

SHAPE = (64, 80)
SPREAD = SpreadCalibration(
    "repeats",
    (0.5, 1.0, 3.0),
    (0.7, 1.4, 4.0),
    (0.05, 0.1, 0.2),
    1.4,
    0.03,
    0.8,
    9,
    1,
    3,
    ("one <b>",),
)


def make_judgement(name: str = "cells", **changes: Any) -> Judgement:
    """Of a flat image with noise of 5 counts; a corner is saturated."""
    rng = np.random.default_rng(0)
    mean = np.full(SHAPE, 100, np.float32)
    counts = (mean + 5 * rng.normal(size=SHAPE)).astype(np.float32)
    noise, std = np.full(SHAPE, 5, np.float32), np.full(SHAPE, 1, np.float32)
    usable = np.ones(SHAPE, bool)
    usable[:16, :16] = False
    residuals = local_residuals(counts, mean[None], noise[None], usable)
    spread = np.stack([np.full(SHAPE, v, np.float32) for v in (3, 4, 0)])
    picture = rng.normal(0, 0.1, (32, 32)).astype(np.float32)
    flat = Flat(100.0, 5.0, 0.1, 0.01, 0.2, 12, 0.9, 3.0, picture, 10 * picture)
    facts = ModelFacts(
        "model <&>", "2026-01-02", "1.2", 400, ("noisy TYX 3 x 64 x 80",), 3, 1234, "variance = 2 s"
    )
    made = Judgement(
        model=facts,
        settings=Settings(16, 7, (1,), "CPU"),
        name=name,
        counts=counts,
        mean=mean,
        std=std,
        noise=noise,
        residuals=residuals,
        trust=trust_map(residuals, std, noise, usable, SPREAD.factor),
        prior=PriorShare((0.9, 0.95, 1.0), spread, spread[::-1].copy(), (1,)),
        control=Control((flat, replace(flat, signal=150.0, invented=0.4))),
        spread=SPREAD,
    )
    return replace(made, **changes)
