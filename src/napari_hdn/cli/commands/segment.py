"""``napari-hdn segment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import SegmentationConfig
from napari_hdn.cli import choices, segmentation, segmentation_work
from napari_hdn.cli.commands.shared import INCOMPLETE, INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError


def segment(
    model: Path | None = None,
    image: str | None = None,
    *,
    out: Path,
    recipe: str = "membranes",
    samples: int | None = None,
    from_samples: str | None = None,
    truth: str | None = None,
    index: str | None = None,
    least: int = 20,
    tolerance: int = 2,
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    axes: str | None = None,
    channel: int | str | None = None,
    tile: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Segment many samples of an image, and find what objects they agree on.

    Writes NAME_hdn-segmented-... files: consensus.ome.tif (labels), samples.ome.tif (labels of each
    sample), confidence.ome.tif, objects.csv (one row an object), with --truth scores.csv, and
    recipe.json (what was done; run repeats it). Existing files are kept: new ones are numbered.
    Ctrl-C keeps what is segmented, in files that say partial. Damaged planes of a stack are left
    out and told (exit code 1).

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    image
        A TIFF, OME-Zarr or NumPy file.
    out
        Folder to write to.
    recipe
        membranes (the paper's), bright, or a function of your own as FILE.py:FUNCTION or
        package.module:function, from a (y, x) image to labels.
    samples
        Posterior samples to draw; by default 20.
    from_samples
        Instead of model and image: a file of samples, made by restore --outputs samples.
    truth
        A TIFF file with labels to compare with.
    index
        Segment this plane of a stack only: a number for each axis but Y and X, counted from 0, such
        as 3 or 3,10; by default all.
    least
        Leave out objects of fewer pixels.
    tolerance
        Borders so many pixels from each other agree.
    deactivate
        Levels to switch off, 1 = finest, such as 1,2.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the file.
    channel
        Use this channel: its number, counted from 0, or its name in the file.
    tile
        Side of tiles in pixels; by default chosen.
    seed
        The same seed draws the same samples.
    device
        Where to compute.
    """
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    if from_samples is not None and (model is not None or samples is not None or deactivate):
        raise ConfigurationError(
            "With --from-samples nothing is drawn: leave out model, image, --samples and --deactivate."
        )
    if from_samples is None and (model is None or image is None):
        raise ConfigurationError(
            "Name a model and an image, or a file of samples with --from-samples FILE."
        )
    config = SegmentationConfig(
        recipe=recipe,
        samples=20 if samples is None else samples,
        least_px=least,
        tolerance_px=tolerance,
        deactivated_levels=choices.levels(deactivate),
        tile_px=choices.tile_px(tile),
        seed=seed,
        device=device,
    )
    api.check_recipe(recipe)  # before anything is drawn
    progress = Progress()
    work = segmentation_work.open_work(from_samples or image or "", axes, channel, index, progress)
    if from_samples is not None:
        work.check_samples()
    else:
        work.check_image()
    labels = None if truth is None else segmentation_work.open_truth(truth, work, progress)
    trained = None if model is None else api.load_model(choices.model_folder(model))
    with progress, stop_on_interrupt(progress) as stop:
        damaged, _ = segmentation.run(trained, work, labels, config, out, progress, stop)
        if stop.requested:
            return INTERRUPTED
        return INCOMPLETE if damaged else OK
