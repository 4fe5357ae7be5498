"""``napari-hdn restore``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import RestorationConfig
from napari_hdn.cli import choices, estimates, jobs
from napari_hdn.cli.commands.shared import INCOMPLETE, INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.config import usual_samples
from napari_hdn.core.errors import ConfigurationError


def restore(
    model: Path,
    *images: str,
    out: Path,
    outputs: str = "mean",
    samples: int | None = None,
    std: Annotated[bool, Parameter(negative="")] = False,
    quantiles: str = "0.05,0.95",
    difference: str = "1,2",
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    flips: Annotated[bool, Parameter(negative="")] = False,
    direct: Annotated[bool, Parameter(negative="")] = False,
    format: api.Format | None = None,
    pyramid: bool | None = None,
    dtype: Literal["float32", "input"] = "float32",
    axes: str | None = None,
    channel: int | str | None = None,
    tile: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    again: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
    scheduler: str | None = None,
    estimate: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Restore images with a trained model.

    Writes NAME_hdn-mean.ome.tif, NAME_hdn-std.ome.tif with --std, and so on. Existing files are kept:
    new ones are numbered. Ctrl-C keeps the planes that are done: in TIFF files that say partial; of
    OME-Zarr the same command goes on where it was interrupted. Damaged planes and images are told and
    left out; then the exit code is 1.

    Of several images, or of a folder, the table hdn-batch.csv beside the results says what was done,
    failed and why. The same command again does only what is missing. Images in subfolders
    ('day1/**/*.tif') go to subfolders of the same names.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    images
        TIFF, OME-Zarr or NumPy files, patterns such as 'day1/*.tif', or folders (of which
        restored images are left out).
    out
        Folder to write to.
    outputs
        What to write, with commas: mean, median, map (the most plausible image), std, cv (std /
        mean), quantiles, samples (all of them, along axis S), difference (of two samples).
    samples
        Posterior samples per image; by default 2 (an antithetic pair) for the mean alone, else 20.
    std
        Also write the standard deviation of the samples.
    quantiles
        Which ones, between 0 and 1.
    difference
        Which two samples, counted from 1: the first minus the second.
    deactivate
        Levels to switch off, 1 = finest, such as 1,2; or none. By default as trained; those that the
        model was trained without stay off.
    flips
        Average over flipped versions of the image too: four times the time, often better.
    direct
        Restore in one cheap pass, by the network that distil taught with this model and these levels
        off: the mean, or with --outputs median the median, and no uncertainty.
    format
        OME-TIFF, or OME-Zarr 0.5 (folders NAME_hdn-mean.ome.zarr) for images of many gigabytes. By
        default OME-TIFF; OME-Zarr with several workers.
    pyramid
        Whether OME-Zarr gets smaller copies for fast viewing; by default for planes of more than 1024
        pixels.
    dtype
        Type of images in counts: float32, or that of the input (rounded, and clipped with a
        warning). Spreads and differences are float32.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Restore this channel only: its number, counted from 0, or its name, whatever its number is in
        each of the files.
    tile
        Side of tiles in pixels, for images that do not fit in memory; by default chosen.
    seed
        The same seed draws the same samples.
    device
        Where to compute.
    again
        Restore also the images of a batch that were restored before with the same settings.
    workers
        So many processes on this machine share the work.
    scheduler
        The workers of this dask scheduler share the work: its address, such as tcp://10.0.0.5:8786,
        or its file. See docs/restoring_on_clusters.md.
    estimate
        Only tell how long it will take, how much memory and room on the disk, by a short probe.
    """
    products = (*choices.outputs(outputs), "std") if std else choices.outputs(outputs)
    config = RestorationConfig(
        outputs=products,
        samples=usual_samples(products) if samples is None else samples,
        quantiles=choices.numbers("--quantiles", quantiles, float),
        difference=choices.pair("--difference", difference),
        deactivated_levels=choices.levels(deactivate),
        flips=flips,
        channel=None if isinstance(channel, str) else channel,
        tile_px=choices.tile_px(tile),
        seed=seed,
        device=device,
    )
    if shared := workers is not None or scheduler is not None:
        api.check_shared(format, direct=direct)
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    name = channel if isinstance(channel, str) else None
    trained = api.load_model(choices.model_folder(model))
    student = None
    if direct:
        wanted: Literal["mean", "median"] = "median" if products == ("median",) else "mean"
        student = api.choose_direct(trained, trained.levels_off(config), wanted)
    target = jobs.Outputs(
        out,
        integers=dtype == "input",
        format=format or ("ome-zarr" if shared else "ome-tiff"),
        pyramid=pyramid,
    )
    progress = Progress()
    with progress, stop_on_interrupt(progress) as stop, ExitStack() as hired:
        estimates.tell(
            lambda: api.estimate_files(
                trained,
                images,
                config,
                out,
                axes=axes,
                channel_name=name,
                student=student,
                integers=target.integers,
                format=target.format,
                pyramid=pyramid,
                workers=workers or 1,
            ),
            progress,
            only=estimate,
            remark="by one process like this; the workers share the time" if scheduler else "",
        )
        if estimate:
            return OK
        crew = hired.enter_context(api.hire(workers, scheduler)) if shared else None
        written = jobs.restore(
            trained,
            images,
            config,
            target,
            progress,
            stop,
            axes=axes,
            channel_name=name,
            student=student,
            again=again,
            crew=crew,
        )
        if stop.requested:
            return INTERRUPTED
    return OK if written.complete else INCOMPLETE
