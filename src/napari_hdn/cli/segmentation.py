"""Segmenting the planes of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hdn import api
from napari_hdn.api import JobInput, JobRecipe, Notice, SegmentationConfig, Stop
from napari_hdn.cli.segmentation_files import SegmentationFiles
from napari_hdn.cli.segmentation_work import Index, Truth, Work
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import (
    DamagedPlaneError,
    HDNError,
    ImageError,
    ImageLostError,
    StoppedEarly,
    is_memory_short,
)

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.segmentation.segment import Segmentation


def run(
    model: HDN | None,
    work: Work,
    truth: Truth | None,
    config: SegmentationConfig,
    folder: Path,
    progress: Progress,
    stop: Stop,
) -> tuple[int, JobRecipe | None]:
    """Segment plane by plane, write what was found with a recipe, tell about it.

    A damaged plane among several is told and left out, and so is one that was not restored, and the
    one in which the user stopped.

    Returns
    -------
    damaged : int
        How many planes are damaged.
    recipe : JobRecipe or None
        With its results; None where it could not be written.

    Raises
    ------
    ImageError
        If no plane can be segmented.
    StoppedEarly
        If the user stopped before there was anything to write.
    """
    planes = list(work.planes())
    damaged: list[ImageError] = []
    recipe = _recipe(model, work, truth, config, stop)
    with SegmentationFiles(folder, work, config, model, recipe) as files:
        for number, index in enumerate(planes):
            try:
                result = _segmented(model, work, index, config, progress, stop, number)
            except StoppedEarly:
                if not files.done:
                    raise
                break
            except ImageError as error:
                if len(planes) == 1:
                    raise
                damaged.append(error)
                progress.say(f"Warning: {error} This plane was left out.")
                continue
            # few samples agree by chance: they stand beside no plane that has them all
            short = result is not None and result.stopped and len(planes) > 1
            if result is not None and short and (files.done or not stop.requested):
                progress.say(f"{work.name_of(index)} was left out: {result.shortfall} only.")
            elif result is not None:
                files.write(index, result)
                if truth is not None and index in truth.drawn:
                    scores = result.scores(truth.at(index, work.sizes), truth.stack.name)
                    files.scores.add(index, scores.table())
            if stop.requested:
                break
    if not files.done:
        raise _nothing(work, damaged, stop)
    if damaged:
        progress.say(
            f"Warning: {len(damaged)} of {len(planes)} planes are damaged and 0 in the files."
        )
    files.tell(progress)
    return len(damaged), files.recipe


def _recipe(
    model: HDN | None, work: Work, truth: Truth | None, config: SegmentationConfig, stop: Stop
) -> JobRecipe:
    """What is going to be done."""
    image = JobInput("samples" if model is None else "image", work.stack, work.chosen, work.region)
    truths = [] if truth is None else [JobInput("truth", truth.stack)]
    return api.job_recipe("segmentation", config, [image, *truths], model=model, stop=stop)


def _nothing(work: Work, damaged: list[ImageError], stop: Stop) -> Exception:
    """Why no plane was segmented."""
    if stop.requested:
        return StoppedEarly("Stopped before a plane was segmented; nothing was written.")
    if damaged:
        damaged[0].add_note("No other plane could be segmented either.")
        return damaged[0]
    return ImageError(
        f"No plane of {work.stack.name} has all its samples: the others are 0 everywhere, as planes "
        "are that were not restored. Restore the image again, to its end."
    )


def _segmented(
    model: HDN | None,
    work: Work,
    index: Index,
    config: SegmentationConfig,
    progress: Progress,
    stop: Stop,
    before: int,
) -> Segmentation | None:
    """What is found in one plane after others; None if its samples were never drawn."""
    name = work.name_of(index)
    total = 1 if work.chosen is not None else int(np.prod(work.sizes, dtype=int))
    lacking = 0
    if model is not None:
        counts = _read(lambda: work.plane(index), name)
        if np.isfinite(counts).all():  # else it is refused below
            remark = api.range_remark(model, counts, name)
            if remark:
                progress.notice(Notice(remark, "warning"))
        number = int(np.ravel_multi_index(index, work.sizes)) if work.sizes else 0
        events = api.segment(model, counts, config, number=number, stop=stop, name=name)
    else:
        samples = _read(lambda: work.samples_at(index), name)
        drawn = samples.any(axis=(1, 2))  # a partial file has zeros for what is not
        lacking = int(np.count_nonzero(~drawn))
        if lacking:
            progress.notice(
                Notice(
                    f"{name}: {lacking} of {len(samples)} samples are 0 everywhere, as those of a "
                    "partial file are that were not drawn; they are left out.",
                    "warning",
                )
            )
        if lacking == len(samples):
            return None
        events = api.segment_samples(samples[drawn], config, stop=stop, name=name)
    result: Segmentation | None = None
    for event in events:
        if isinstance(event, Notice):
            progress.notice(event)
        elif isinstance(event, api.SegmentationProgress):
            left = event.remaining_s if total == 1 else float("inf")
            progress.update((before + event.fraction) / total, event.doing, left)
        else:
            result = replace(event, wanted=event.wanted + lacking)
    return result


def _read(read: Callable[[], np.ndarray], name: str) -> np.ndarray:
    """The pixels of a plane.

    Raises
    ------
    DamagedPlaneError
        If the file is damaged there.
    """
    try:
        return read()
    except ImageLostError:
        raise
    except HDNError as error:
        raise DamagedPlaneError(str(error)) from error
    except Exception as error:
        if is_memory_short(error):
            raise
        raise DamagedPlaneError(f"{name} could not be read: {error}") from error
