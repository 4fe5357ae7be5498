"""``napari-hdn levels``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.cli import choices, inspection
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def levels(
    model: Path,
    image: str,
    *,
    out: Path,
    index: str | None = None,
    region: str | None = None,
    background: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    samples: int = 6,
    axes: str | None = None,
    channel: int | str | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Look at what each latent level of a model contributes to an image, and which to switch off.

    Tells it as a table, and writes NAME_hdn-levels-... files: contributions.ome.tif (a channel a
    level, then the remainder; together they add up to the restored image), mean.ome.tif (that
    image), scores.json, report.txt (the table), samples.png (images drawn at each level, from this
    image and from the prior), recipe.json (what was done; run repeats it). Existing
    files are kept: new ones are numbered. Ctrl-C keeps the files that are whole.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    image
        A TIFF, OME-Zarr or NumPy file.
    out
        Folder to write to.
    index
        Which plane of a stack: a number for each axis but Y and X, counted from 0, such as 3 or
        3,10; by default the first.
    region
        Look at this part only, as y0:y1,x0:x1 in pixels; by default the whole plane.
    background
        A region without structures, as y0:y1,x0:x1 in pixels of the image, to know the noise by.
    samples
        Images drawn per level for samples.png, of 512 x 512 pixels at most, from the middle.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the file.
    channel
        Look at this channel: its number, counted from 0, or its name in the file.
    seed
        The same seed draws the same samples.
    device
        Where to compute.
    """
    if not 1 <= samples <= inspection.MOST_SAMPLES:
        raise ConfigurationError(
            f"--samples takes 1 to {inspection.MOST_SAMPLES} images a level, not {samples}."
        )
    if not 0 <= seed < 2**31:
        raise ConfigurationError(f"--seed takes a number from 0 to {2**31 - 1}, not {seed}.")
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    progress = Progress()
    stack = inspection.one_image(image, axes, channel, progress)
    piece = inspection.choose_piece(stack, index, region, background)
    trained = api.load_model(choices.model_folder(model))
    with progress, stop_on_interrupt(progress) as stop:
        inspection.look(
            trained, piece, out, progress, stop, samples=samples, seed=seed, device=device
        )
        return INTERRUPTED if stop.requested else OK
