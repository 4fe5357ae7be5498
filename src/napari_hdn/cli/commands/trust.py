"""``napari-hdn trust``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import JobInput, TrustSettings
from napari_hdn.cli import choices, inspection
from napari_hdn.cli import trust as judging
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def trust(
    model: Path,
    image: str,
    *,
    out: Path,
    repeats: str | None = None,
    second_frame: str | None = None,
    samples: int = 16,
    index: str | None = None,
    region: str | None = None,
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    axes: str | None = None,
    channel: int | str | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Judge how far the restoration of an image can be trusted, and write a report.

    Tells the verdicts, and writes NAME_hdn-trust-... files: report.html (one page with all that it
    needs, to be printed or attached to a paper), numbers.json, map.ome.tif (trust, 0 to 1),
    parts.ome.tif (what it is made of, and more maps, as named channels), recipe.json (what was done;
    run repeats it). Existing files are kept: new
    ones are numbered. Ctrl-C keeps what is done, and the report says what is not.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    image
        A TIFF, OME-Zarr or NumPy file.
    out
        Folder to write to.
    repeats
        A TIFF file with three frames or more of one static scene, taken as the image was: tells whether
        the standard deviation is right.
    second_frame
        A TIFF file with one more frame of the same scene as the image, for the same purpose.
    samples
        Posterior samples to draw; at least 4.
    index
        Which plane of a stack: a number for each axis but Y and X, counted from 0, such as 3 or
        3,10; by default the first.
    region
        Judge this part only, as y0:y1,x0:x1 in pixels; by default the whole plane, of a large one
        the middle 1024 x 1024 pixels.
    deactivate
        Levels to switch off, 1 = finest, such as 1,2; or none. By default as trained.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the file.
    channel
        Judge this channel: its number, counted from 0, or its name in the file.
    seed
        The same seed draws the same samples.
    device
        Where to compute.
    """
    if not 0 <= seed < 2**31:
        raise ConfigurationError(f"--seed takes a number from 0 to {2**31 - 1}, not {seed}.")
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    if repeats is not None and second_frame is not None:
        raise ConfigurationError("Give --repeats or --second-frame, not both.")
    settings = TrustSettings(
        judged_samples=samples,
        deactivated_levels=choices.levels(deactivate) or (),
        seed=seed,
        device=device,
    )
    progress = Progress()
    stack = inspection.one_image(image, axes, channel, progress)
    piece = inspection.choose_piece(stack, index, region, ())
    if len(stack) > 1 and index is None:
        progress.say(f"Judging {piece.in_words()}; another plane is chosen with --index.")
    if region is None:
        piece = judging.middle(piece, progress)
    trained = api.load_model(choices.model_folder(model))
    y0, y1, x0, x1 = piece.region
    api.check_trust_folder(out, (y1 - y0, x1 - x0), trained.config.network.levels)
    frames = None if repeats is None else inspection.one_image(repeats, None, channel, progress)
    second = None
    if second_frame is not None:
        frame = judging.second_frame_of(piece, second_frame, channel, progress)
        second = JobInput("second frame", frame)
    with progress, stop_on_interrupt(progress) as stop:
        judging.judge(
            trained,
            piece,
            out,
            progress,
            stop,
            repeats=frames,
            second_frame=second,
            settings=settings,
        )
        return INTERRUPTED if stop.requested else OK
