"""Trains as one of several processes, and writes down what came of it; run by test_processes.py."""

from __future__ import annotations

import sys
from pkgutil import resolve_name

import numpy as np

from napari_hdn.core import events
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NoiseConfig, TrainingConfig
from napari_hdn.core.ranks import ALONE, Rank, rank_here
from napari_hdn.core.training.start import train
from simulated import TINY, simulate

CONFIG = TrainingConfig(
    # weights of level 1's posterior get no gradient; the noise model is refitted half-way
    network=TINY.model_copy(update={"deactivated_levels": (1,)}),
    noise=NoiseConfig(curves="shared", bootstrap=True), minutes=None, steps=10, patch_px=16,
    batch_size=4, device="cpu", precision="float32", warmup_steps=20, seed=4,
)  # fmt: skip


EVERY_STEP = ("napari_hdn.core.events.RateLimit.ready", lambda self: True)
EARLY_LOOKS = ("napari_hdn.core.training.trainer.WATCH_EVERY", 5)
SMALL_LOOKS = ("napari_hdn.core.training.watching.BOOTSTRAP_BATCHES", 4)


def trained(rank: Rank, path: str) -> None:
    """Write losses of every step, what was said of the noise model, and the weights in the end."""
    told = list(train([ImageStack(simulate(), "TYX", "cells")], CONFIG, rank=rank))
    assert isinstance(told[-1], events.TrainingFinished)
    model = told[-1].model
    losses = [e.loss for e in told if isinstance(e, events.TrainingStep)]
    refits = [e.text for e in told if isinstance(e, events.Notice) and "looked at" in e.text]
    about = {"losses": losses, "refits": refits, "noise": model.noise_model.describe()}
    weights = {f"weights.{k}": v.numpy() for k, v in model.network.state_dict().items()}
    np.savez(path, **about, **weights)


if __name__ == "__main__":
    for name, value in (EVERY_STEP, EARLY_LOOKS, SMALL_LOOKS):
        place, attribute = name.rsplit(".", 1)
        setattr(resolve_name(place), attribute, value)
    here = rank_here() or ALONE
    trained(here, f"{sys.argv[1]}-{here.number}.npz")
