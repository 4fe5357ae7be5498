"""``napari-hdn calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import CalibrationConfig
from napari_hdn.cli import calibration, choices
from napari_hdn.cli.commands.shared import OK
from napari_hdn.cli.terminal import Progress, stop_on_interrupt

Source = Literal["auto", "repeats", "flat_field", "pair", "series", "images", "file"]
Model = Literal["auto", "gaussian", "poisson_gaussian", "gmm", "histogram"]


def calibrate(
    *images: str,
    source: Source = "auto",
    model: Model = "auto",
    dark: str | None = None,
    clean: str | None = None,
    meant_for: Annotated[tuple[str, ...], Parameter(name="--for", consume_multiple=True)] = (),
    file: Path | None = None,
    curves: Literal["auto", "shared", "per_image"] = "auto",
    frames: Literal["register", "exclude", "keep"] = "register",
    background: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    components: int = 3,
    coefficients: int = 3,
    out: Path | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
    seed: int = 0,
) -> int:
    """Make a noise model from images and judge whether it is right.

    Writes a .json for train --noise, and says in plain words what to think of it.

    Parameters
    ----------
    images
        Where the noise is measured: TIFF, OME-Zarr or NumPy files, patterns such as 'day1/*.tif',
        or folders.
    source
        auto (the best that the images allow), repeats of a static field, flat_field, pair (with
        --clean), series (slowly changing scenes), images (the noisy images alone), file (--file).
    model
        auto, gaussian, poisson_gaussian, gmm or histogram.
    dark
        Frames without light, beside a flat field.
    clean
        The clean image of the same field: long exposure, or a mean of many.
    meant_for
        The images to denoise, if they are others.
    file
        A noise model to judge on these images: .json, or .npz of earlier tools.
    curves
        One noise curve shared by all images, or one per_image where they were scaled apart.
    frames
        Repeats that drifted or bleached: register, exclude or keep them.
    background
        A region without structures, as y0:y1,x0:x1 in pixels, to judge correlation of the noise.
    components
        Gaussians of a GMM.
    coefficients
        Of each polynomial in the signal, for a GMM.
    out
        File to write, .json (or .npz for a GMM); by default one among the saved noise models.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Use this channel only: its number, counted from 0, or its name in the files.
    seed
        The same seed makes the same model.
    """
    if out is not None:
        calibration.check_place(out, model)
    progress = Progress()
    stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
    config = CalibrationConfig(
        source="file" if file is not None and source == "auto" else source,
        model=model,
        curves=curves,
        frames=frames,
        components=components,
        coefficients=coefficients,
        path=file,
        channel=choices.channel_number(channel, stacks),
        background=tuple(calibration.box(text) for text in background),
        seed=seed,
    )
    others = (
        api.open_images(meant_for, channel=channel, tell=progress.notice) if meant_for else None
    )
    if out is None:
        out = api.free_path(api.noise_models_folder() / f"{stacks[0].stem}.json")
    with progress, stop_on_interrupt(progress) as stop:
        calibration.calibrate(
            stacks,
            config,
            out,
            progress,
            stop,
            dark=calibration.one_stack(dark, axes, progress),
            clean=calibration.one_stack(clean, axes, progress),
            meant_for=others,
        )
    return OK
