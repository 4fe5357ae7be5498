"""``napari-hdn restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import RestorationConfig
from napari_hdn.cli import choices, jobs
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def restore(
    model: Path,
    *images: str,
    out: Path,
    samples: int | None = None,
    std: Annotated[bool, Parameter(negative="")] = False,
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    flips: Annotated[bool, Parameter(negative="")] = False,
    dtype: Literal["float32", "input"] = "float32",
    axes: str | None = None,
    channel: int | None = None,
    tile: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Restore images with a trained model.

    Writes NAME_hdn-mean.ome.tif, and NAME_hdn-std.ome.tif with --std. Existing files are kept: new
    ones are numbered. Ctrl-C keeps the planes that are done, in files that say partial.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    images
        TIFF files, patterns such as 'day1/*.tif', or folders (of which restored images are left
        out).
    out
        Folder to write to.
    samples
        Posterior samples per image; by default 2 (an antithetic pair), with --std 16.
    std
        Also write the standard deviation of the samples.
    deactivate
        Levels to switch off, 1 = finest, such as 1,2; or none. By default as trained; those that the
        model was trained without stay off.
    flips
        Average over flipped versions of the image too: four times the time, often better.
    dtype
        Type of the mean: float32, or that of the input (rounded, and clipped with a warning).
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Restore this channel only, counted from 0.
    tile
        Side of tiles in pixels, for images that do not fit in memory; by default chosen.
    seed
        The same seed draws the same samples.
    device
        Where to compute.
    """
    config = RestorationConfig(
        samples=samples if samples is not None else 16 if std else 2,
        std=std,
        deactivated_levels=choices.levels(deactivate),
        flips=flips,
        channel=channel,
        tile_px=tile,
        seed=seed,
        device=device,
    )
    progress = Progress()
    stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    trained = api.load_model(choices.model_folder(model))
    outputs = jobs.Outputs(out, integers=dtype == "input")
    with progress, stop_on_interrupt(progress) as stop:
        for number, stack in enumerate(stacks, 1):
            label = f"{stack.name} ({number}/{len(stacks)})" if len(stacks) > 1 else stack.name
            jobs.restore(trained, stack, config, outputs, progress, stop, label=label)
            if stop.requested:
                progress.say(f"Stopped at image {number} of {len(stacks)}.")
                return INTERRUPTED
    return OK
