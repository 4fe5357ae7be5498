"""``napari-hdn demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hdn import api
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def demo(
    *,
    out: Path = Path("napari-hdn-demo"),
    minutes: float | None = None,
    steps: int | None = None,
    show: bool | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Train on simulated cells with line noise, restore them, and compare with the truth.

    Writes the model, OME-TIFFs and a picture, and shows them in napari where there is a display.

    Parameters
    ----------
    out
        Folder to write to; numbered if it exists.
    minutes
        How long to train; 2 by default.
    steps
        How long to train, in steps.
    show
        Open napari at the end, or not; by default where there is a display.
    seed
        The same seed makes the same demo on the CPU.
    device
        Where to compute.
    """
    from napari_hdn.cli.demo import run_demo

    if minutes is not None and steps is not None:
        raise ConfigurationError("Say how long to train: --minutes or --steps, not both.")
    budget: dict[str, Any] = {"steps": steps}
    if steps is None:
        budget = {"minutes": 2.0 if minutes is None else minutes}
    config = api.preset("fast", **budget, seed=seed, device=device)
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        run_demo(out, config, progress, stop, show=show)
    return INTERRUPTED if stop.requested else OK
