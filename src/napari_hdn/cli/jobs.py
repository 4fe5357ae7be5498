"""Running the core's generators, with their events as text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    FileStack,
    ImageStack,
    MeanSpread,
    Notice,
    PlaneFailed,
    PlaneRestored,
    RestorationConfig,
    RestorationFinished,
    RestorationProgress,
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
    from napari_hdn.api import HDN, Direct
    from napari_hdn.core.events import TrainingEvent
    from napari_hdn.core.recipes.schema import Recipe


@dataclass(frozen=True)
class Outputs:
    """What to write of a restoration, and how."""

    folder: Path
    integers: bool = False  # images in the input's integer type
    tag: str = ""  # in the names, behind "hdn"


@dataclass(frozen=True)
class Written:
    """What came of a restoration: files, and how many planes could not be restored."""

    paths: list[Path]
    failed: int
    recipe: Recipe | None = None


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
) -> TrainingFinished:
    """Train and tell about it; the model lies in ``folder`` afterwards."""
    check_model_folder(folder)
    events = api.train(
        stacks, config, folder=folder, resume=resume, start=start, scratch=scratch, stop=stop
    )
    return tell_training(events, folder, progress)


def tell_training(
    events: Iterator[TrainingEvent], folder: Path, progress: Progress
) -> TrainingFinished:
    """Run a training that saves to ``folder``, and tell about it."""
    validation = ""
    finished: TrainingFinished | None = None
    for event in events:
        match event:
            case Notice():
                progress.notice(event)
            case TrainingStarted():
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
    stack: FileStack,
    config: RestorationConfig,
    outputs: Outputs,
    progress: Progress,
    stop: Stop,
    *,
    label: str = "",
    student: Direct | None = None,
) -> Written:
    """Restore an image plane by plane into OME-TIFFs, by a direct network where one is given.

    When stopped, the complete planes are in files that say ``partial``; after an error too, whose
    notes name them.
    """
    recipe = api.restoration_recipe(
        model,
        stack,
        config,
        student=student,
        integers=outputs.integers,
        tag=outputs.tag,
        stop=stop,
    )
    files = api.RestorationFiles(
        outputs.folder,
        stack,
        config,
        recipe=recipe,
        tag=outputs.tag,
        model=model.name if student is None else f"{model.name}, direct network {student.name}",
        levels_off=model.levels_off(config),
        integers=outputs.integers,
    )
    if student is None:
        events = api.restore(model, stack, config, stop=stop)
    else:
        events = api.restore_direct(model, student, stack, config, stop=stop)
    failed = 0
    with files:
        for event in events:
            match event:
                case Notice():
                    progress.notice(event)
                case RestorationProgress():
                    text = f"restoring {label or stack.name}"
                    progress.update(event.fraction, text, event.remaining_s)
                case PlaneRestored():
                    files.write(event)
                case PlaneFailed():
                    failed += 1
                    files.give_up(event.index)
                    progress.say(f"Warning: {event.reason} This plane was left out.")
                case RestorationFinished(spread=spread):
                    files.recipe = api.finished_recipe(recipe, event)
                    if isinstance(spread, MeanSpread) and "mean" in files.dtypes:
                        progress.say(spread.in_words())
    for product, clipped in files.clipped.items():
        dtype = files.dtypes[product]
        limits: Any = np.iinfo(dtype)
        total = files.pixels * (config.samples if product == "samples" else 1)
        progress.say(
            f"Warning: {clipped:,} of {total:,} restored pixels ({product}) lay outside "
            f"{limits.min}..{limits.max}, which {dtype.name} can hold, and were clipped; "
            "--dtype float32 keeps them."
        )
    if failed:
        progress.say(
            f"Warning: {failed} of {len(stack)} planes are damaged and empty in the files (NaN; 0 in "
            "integers)."
        )
    for path in files.written.values():
        progress.say(f"Wrote {path}")
    return Written(list(files.written.values()), failed, files.recipe)
