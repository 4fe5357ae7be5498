"""``napari-hdn generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import GenerationConfig
from napari_hdn.cli import choices, generation, inspection
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def generate(
    model: Path,
    *,
    out: Path,
    size: str = "512x512",
    number: int = 4,
    seed: int = 0,
    like: str | None = None,
    noise: Annotated[bool, Parameter(negative="")] = False,
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    axes: str | None = None,
    channel: int | str | None = None,
    tile: int | None = None,
    device: Device = "auto",
) -> int:
    """Generate images that show what a model has learned; they show nothing real.

    Writes MODEL_hdn-generated.ome.tif, its images along an axis S, in camera counts. With --like, also
    MODEL_hdn-generated.png with real images next to generated ones in the same contrast, and a line
    that tells how alike they are. MODEL_hdn-generated-recipe.json tells what was done; run repeats
    it. Existing files are kept: new ones are numbered. Ctrl-C keeps the
    images that are done, in a file that says partial.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    out
        Folder to write to.
    size
        Height x width in pixels, such as 512x768; any size.
    number
        How many images.
    seed
        The same seed generates the same images.
    like
        A TIFF file of real images, to hold the generated ones against. Models that learned from
        images that were scaled apart generate in its counts.
    noise
        Add camera noise, to compare with raw images; else they compare with restored ones.
    deactivate
        Levels to switch off, 1 = finest, such as 1,2; those that the model was trained without are
        off in any case.
    axes
        One letter per axis of --like out of S T C Z Y X, such as TYX; by default from the file.
    channel
        The channel of --like: its number, counted from 0, or its name.
    tile
        Side of tiles in pixels, for images that do not fit in memory; by default chosen.
    device
        Where to compute.
    """
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    height, width = generation.size_of(size)
    config = GenerationConfig(
        height=height,
        width=width,
        number=number,
        seed=seed,
        camera_noise=noise,
        deactivated_levels=choices.levels(deactivate) or (),
        tile_px=choices.tile_px(tile),
        device=device,
    )
    progress = Progress()
    real = None if like is None else inspection.one_image(like, axes, channel, progress)
    if real is None and (axes is not None or channel is not None):
        raise ConfigurationError("--axes and --channel tell of the image that --like names.")
    trained = api.load_model(choices.model_folder(model))
    with progress, stop_on_interrupt(progress) as stop:
        generation.generate(trained, config, real, out, progress, stop)
        return INTERRUPTED if stop.requested else OK
