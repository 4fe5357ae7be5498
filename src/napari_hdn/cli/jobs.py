"""Running the core's generators, with their events as text."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.api import (
    ALONE,
    BatchFinished,
    BatchLooking,
    BatchProgress,
    BatchStarted,
    ImageOver,
    ImageStack,
    Notice,
    Rank,
    RestorationConfig,
    Stop,
    TrainingConfig,
    TrainingFinished,
    TrainingStarted,
    TrainingStep,
    Validation,
)
from napari_hdn.cli.terminal import Progress, duration
from napari_hdn.core.errors import OutputError

if TYPE_CHECKING:
    from napari_hdn.api import HDN, Crew, Direct
    from napari_hdn.core.events import TrainingEvent
    from napari_hdn.core.recipes.schema import Recipe
    from napari_hdn.io.batch.events import BatchEvent


@dataclass(frozen=True)
class Outputs:
    """What to write of a restoration, and how."""

    folder: Path
    integers: bool = False  # images in the input's integer type
    tag: str = ""  # in the names, behind "hdn"
    format: api.Format = "ome-tiff"
    pyramid: bool | None = None  # of OME-Zarr; None: for large planes


@dataclass(frozen=True)
class Written:
    """What came of restorations: files, and whether no plane is missing."""

    paths: list[Path]
    complete: bool
    recipes: tuple[Recipe, ...] = ()


def train(
    stacks: Sequence[ImageStack],
    config: TrainingConfig,
    folder: Path,
    progress: Progress,
    stop: Stop,
    *,
    resume: bool = False,
    start: HDN | None = None,
    scratch: bool = False,
    rank: Rank = ALONE,
    begun: Callable[[], None] = lambda: None,
) -> TrainingFinished:
    """Train and tell about it, and call ``begun`` before the first step.

    The model lies in ``folder`` afterwards.
    """
    check_model_folder(folder)
    events = api.train(
        stacks,
        config,
        folder=folder,
        resume=resume,
        start=start,
        scratch=scratch,
        stop=stop,
        rank=rank,
    )
    return tell_training(events, folder, progress, begun)


def tell_training(
    events: Iterator[TrainingEvent],
    folder: Path,
    progress: Progress,
    begun: Callable[[], None] = lambda: None,
) -> TrainingFinished:
    """Run a training that saves to ``folder``, and tell about it."""
    validation = ""
    finished: TrainingFinished | None = None
    for event in events:
        match event:
            case Notice():
                progress.notice(event)
            case TrainingStarted():
                begun()
                planes = f"{event.training_planes} planes to train on"
                if event.validation_planes:
                    planes += f", {event.validation_planes} to validate"
                begin = f", from step {event.first_step}" if event.first_step else ""
                progress.say(f"Noise: {event.noise_model}")
                progress.say(f"{event.device}: {event.parameters:,} parameters, {planes}{begin}")
            case TrainingStep():
                text = f"step {event.step}  loss {event.loss:.4f}{validation}"
                progress.update(event.fraction, text, event.remaining_s)
            case Validation():
                validation = f"  validation {event.loss:.4f}"
            case TrainingFinished():
                finished = event
    assert finished is not None, "a training ends with TrainingFinished"
    how = "Stopped" if finished.stopped else "Trained"
    took = duration(finished.model.summary.seconds)
    progress.say(f"{how} after {finished.step} steps ({took}).")
    if finished.folder is None:
        rescued = _save_elsewhere(finished.model, folder)
        raise OutputError(f"The model could not be saved to {folder}; it is in {rescued} instead.")
    progress.say(f"Model: {finished.folder}")
    return finished


@contextmanager
def new_model_folder(name: str) -> Iterator[Path]:
    """A folder among the saved models that is ours alone, and gone again if nothing is saved."""
    folder = api.reserve_model_folder(name)
    try:
        yield folder
    finally:
        with suppress(OSError):  # not empty: the model is in it
            folder.rmdir()


def check_model_folder(folder: Path) -> None:
    """Find out before hours of training whether its model could be written.

    Raises
    ------
    OutputError
        If the folder, or the first one above it that exists, cannot be written to.
    """
    # an unreadable folder cannot be known to be empty
    api.check_writable(folder, f"A model cannot be saved to {folder}", readable=True)


def _save_elsewhere(model: HDN, folder: Path) -> Path:
    """Save a model that its folder has no room for among the saved models, or for the moment."""
    try:
        with new_model_folder(folder.name) as other:
            return model.save(other)
    except OutputError:
        return model.save(Path(tempfile.mkdtemp(prefix="napari-hdn-")) / folder.name)


def restore(
    model: HDN,
    images: Sequence[str | Path],
    config: RestorationConfig,
    outputs: Outputs,
    progress: Progress,
    stop: Stop,
    *,
    axes: str | None = None,
    channel_name: str | None = None,
    student: Direct | None = None,
    again: bool = False,
    crew: Crew | None = None,
) -> Written:
    """Restore images into a folder, by a direct network where one is given; see `api.restore_batch`.

    When stopped, the complete planes are kept, and after an error too, whose notes say where: of
    OME-TIFF in files that say ``partial``, of OME-Zarr for the same restoration to go on with.
    """
    events = api.restore_batch(
        model,
        images,
        config,
        outputs.folder,
        axes=axes,
        channel_name=channel_name,
        student=student,
        integers=outputs.integers,
        format=outputs.format,
        pyramid=outputs.pyramid,
        tag=outputs.tag,
        again=again,
        crew=crew,
        stop=stop,
    )
    return tell_batch(events, progress, stop)


def tell_batch(events: Iterator[BatchEvent], progress: Progress, stop: Stop) -> Written:
    """Run a batch and tell about it."""
    written: list[Path] = []
    recipes: list[Recipe] = []
    finished: BatchFinished | None = None
    for event in events:
        match event:
            case Notice():
                progress.notice(event)
            case BatchLooking():
                progress.update(0.0, f"looked into {event.looked} files", math.inf)
            case BatchStarted():
                total = len(event.rows)
                if told := event.in_words():
                    progress.say(f"{told}; --again restores all.")
            case BatchProgress():
                number = f" ({event.number + 1}/{total})" if total > 1 else ""
                text = f"restoring {event.name}{number}"
                progress.update(event.fraction, text, event.remaining_s)
            case ImageOver():
                if event.spread is not None:
                    progress.say(event.spread.in_words())
                for path in event.paths:
                    progress.say(f"Wrote {path}")
                written += event.paths
                if event.recipe is not None:
                    recipes.append(event.recipe)
                if stop.requested:
                    progress.say(f"Stopped at image {event.number + 1} of {total}.")
            case BatchFinished():
                finished = event
    assert finished is not None, "a batch ends with BatchFinished"
    if finished.table is not None:
        progress.say(f"{finished.in_words()}. Table: {finished.table}")
    return Written(written, finished.complete, tuple(recipes))
