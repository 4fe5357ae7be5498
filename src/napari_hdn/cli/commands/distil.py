"""``napari-hdn distil``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import DirectConfig
from napari_hdn.cli import choices, distillation
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt


def distil(
    model: Path,
    *images: str,
    minutes: float | None = None,
    steps: int | None = None,
    median: Annotated[bool, Parameter(negative="")] = False,
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    out: Path | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Teach a small network what a model makes of images, for restoring large stacks quickly.

    It gives the mean (or median) in one cheap pass, and no uncertainty: for a standard deviation or
    samples, restore with the model itself. Tells how near it comes to the mean of many samples on
    images that it did not learn from. Lies in the model's folder, under direct, with a recipe.json
    that tells what was done; earlier ones stay.
    Ctrl-C stops and keeps what has learned until then.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    images
        TIFF, OME-Zarr or NumPy files, patterns such as 'day1/*.tif', or folders: images
        like those to restore, such as those that the model was trained on.
    minutes
        How long to teach; by default 3.
    steps
        How long to teach, in steps.
    median
        Teach the median of the samples instead of their mean.
    deactivate
        Levels of the model to switch off, 1 = finest, such as 1,2. By default as trained.
    out
        Folder of the direct network, if it shall not lie with the model.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Learn from this channel only: its number, counted from 0, or its name in the files.
    seed
        The same seed and steps teach the same network on the CPU.
    device
        Where to compute.
    """
    chosen: dict[str, Any] = {"minutes": minutes, "steps": steps}
    if minutes is None and steps is None:
        chosen = {}
    progress = Progress()
    stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
    statistic: Literal["mean", "median"] = "median" if median else "mean"
    config = DirectConfig(
        learns=statistic,
        deactivated_levels=choices.levels(deactivate),
        channel=choices.channel_number(channel, stacks),
        seed=seed,
        device=device,
        **chosen,
    )
    teacher = api.load_model(choices.model_folder(model))
    with progress, stop_on_interrupt(progress) as stop:
        finished, _ = distillation.teach(teacher, stacks, config, out, progress, stop)
        return INTERRUPTED if finished.stopped and stop.requested else OK
