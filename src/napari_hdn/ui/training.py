"""The training job: what runs in the thread, and what of it appears in the viewer."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    HDNError,
    ImageStack,
    Notice,
    Preview,
    PreviewRequest,
    ResidualsChecked,
    Saved,
    TrainingConfig,
    TrainingFinished,
    TrainingStarted,
    TrainingStep,
    Validation,
)
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.layers import Placement
from napari_hdn.ui.outputs import PreviewLayer
from napari_hdn.ui.region import Region, RegionWatch, central_region
from napari_hdn.ui.sources import LayerSource, Source

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.training.residuals import ResidualCheck
    from napari_hdn.core.training.summary import LossRecord, TrainingSummary


@dataclass(frozen=True)
class Opened:
    """The images are there; comes before the first event of the training."""

    stacks: tuple[ImageStack, ...]


@dataclass(frozen=True)
class Past:
    """What a training that goes on had told before."""

    history: tuple[LossRecord, ...]


_MAX_POINTS = 2000  # as the core keeps: a plot of a night's training must not grow slow


@dataclass
class LossHistory:
    """Losses so far in nats per pixel, as columns that a plot takes; the older ones thinned out."""

    steps: list[int] = field(default_factory=list)
    reconstruction: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)

    def add(self, point: TrainingStep | Validation | LossRecord) -> None:
        """Take in one more point."""
        self.steps.append(point.step)
        self.reconstruction.append(point.reconstruction)
        self.kl.append(sum(point.kl_per_level))
        if len(self.steps) > _MAX_POINTS:
            for column in (self.steps, self.reconstruction, self.kl):
                del column[1 : _MAX_POINTS // 2 : 2]


def continued(
    config: TrainingConfig, done: TrainingSummary, wanted: TrainingConfig
) -> TrainingConfig:
    """The config with which a training goes on.

    Parameters
    ----------
    config : TrainingConfig
        What it was started with.
    done : TrainingSummary
        How far it came: ``stopped``, ``steps``, ``seconds``.
    wanted : TrainingConfig
        Of which only the budget and the device are taken: a stopped training goes on to the end
        of its own budget or of this one, if that is later; a complete one gets this budget.
    """
    changes: dict[str, Any] = {"device": wanted.device}
    budget = {"minutes": wanted.minutes, "steps": wanted.steps}
    if done.stopped:
        same_unit = (config.minutes is None) == (wanted.minutes is None)
        longer = (wanted.minutes or wanted.steps) > (config.minutes or config.steps)
        if same_unit and longer:
            changes |= budget
    else:
        changes |= budget
    return TrainingConfig.model_validate({**config.model_dump(), **changes})


class TrainingJob(Job):
    """Train a model, or continue one, and show what becomes of it.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    source : LayerSource or FolderSource
    config : TrainingConfig
    folder : Path
        Where the model is saved; for a new one an empty folder that was reserved for it, which
        goes again if nothing is saved.
    resume : bool
        Whether to go on with the training in ``folder``, with its own config and the budget and
        device of ``config``.
    start : HDN, optional
        The model that a variant is made of.
    scratch : bool
        Whether a variant begins with random weights.
    then : callable, optional
        Given the trained model, the job that follows, if any.
    """

    kind = "training"

    def __init__(
        self,
        viewer: Any,
        source: Source,
        config: TrainingConfig,
        folder: Path,
        *,
        resume: bool = False,
        start: HDN | None = None,
        scratch: bool = False,
        then: Callable[[HDN], Job | None] | None = None,
    ) -> None:
        verb = "continuing" if resume else "retraining" if start is not None else "training"
        super().__init__(f"{verb} {folder.name}")
        self.source: Source | None = source  # until the job is over
        self.config = config
        self.folder = folder
        self.resume = resume
        self.start = start
        self.scratch = scratch
        self._then = then
        self._trained: HDN | None = None
        self.training_loss = LossHistory()
        self.validation_loss = LossHistory()
        self.step = 0
        self.last_step: TrainingStep | None = None
        self.residuals: ResidualCheck | None = None
        self.began = datetime.now().isoformat(timespec="seconds")
        self._viewer = weakref.ref(viewer)
        self._stack: ImageStack | None = None
        self._preview: PreviewLayer | None = None
        self._watch: RegionWatch | None = None
        self._region: Region | None = None  # where nobody looks: images from files
        if isinstance(source, LayerSource):
            self._watch = RegionWatch(viewer, source.layer, source.stack)

    def __str__(self) -> str:
        return f"{self.title} (the model is saved if you close)"

    @property
    def status(self) -> str:
        """One line about where the training is."""
        if self.running and self.last_step is not None and not self.stop.requested:
            e = self.last_step
            return (
                f"Step {e.step}: loss {e.loss:.4g} = reconstruction {e.reconstruction:.4g} "
                f"+ KL {e.kl:.3g}"
            )
        return super().status

    def work(self) -> Iterator[Any]:
        """Train, in the worker's thread."""
        try:
            yield from self._train()
        finally:
            with contextlib.suppress(OSError):  # a folder with something in it stays
                self.folder.rmdir()

    def _train(self) -> Iterator[Any]:
        assert self.source is not None
        notices: list[Notice] = []
        stacks = self.source.open(tell=notices.append)
        yield from notices
        self._stack = stacks[0]
        if self._watch is None:
            self._region = central_region(stacks[0])
        yield Opened(tuple(stacks))
        config = self.config
        if self.resume:
            model = api.load_model(self.folder)
            if not model.can_continue:
                raise HDNError(
                    f"{self.folder.name} cannot be continued: its folder has no resume.ckpt. "
                    "Train a new model."
                )
            yield Past(model.summary.history)
            config = continued(model.config, model.summary, self.config)
        yield from api.train(
            stacks,
            config,
            folder=self.folder,
            resume=self.resume,
            start=self.start,
            scratch=self.scratch,
            stop=self.stop,
            preview=self._preview_request,
        )

    def next(self) -> Job | None:
        """What was to follow."""
        if self._then is None or self._trained is None:
            return None
        return self._then(self._trained)

    def close(self) -> None:
        """Let go of the viewer's events and of the images."""
        super().close()
        if self._watch is not None:
            self._watch.close()
        self.source = self._stack = self._preview = self._watch = None
        self.start = self._then = self._trained = None

    def _preview_request(self) -> PreviewRequest | None:
        """What is in view; called in the worker's thread."""
        if self._watch is not None:
            return self._watch.request()
        if self._region is not None and self._stack is not None:
            return self._region.read(self._stack)
        return None

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if self._watch is not None:
            self._watch.look()
        match event:
            case Opened(stacks=stacks):
                self._prepare_preview(stacks[0])
            case Past(history=history):
                for point in history:
                    validation = point.part == "validation"
                    (self.validation_loss if validation else self.training_loss).add(point)
            case TrainingStarted():
                self.step = event.first_step
                self.notices += [Notice(text) for text in _facts(event)]
            case TrainingStep():
                self.training_loss.add(event)
                self.last_step = event
                self.step = event.step
                self.fraction, self.remaining_s = event.fraction, event.remaining_s
            case Validation():
                self.validation_loss.add(event)
            case Preview(image=image, tag=Region() as region):
                if self._preview is not None and self._stack is not None:
                    self._preview.show(self._stack, region, image)
            case ResidualsChecked(check=check):
                self.residuals = check
            case Saved(step=step):
                self.step = step
            case TrainingFinished(model=model, step=step, stopped=stopped, folder=folder):
                self.step, self._trained = step, model
                where = (
                    "The model could not be saved: make room, then choose 'Save as ...'."
                    if folder is None
                    else f"The model is saved as {folder.name}."
                )
                how = "Stopped" if stopped else "Trained"
                self.fraction = self.fraction if stopped else 1.0
                self.end(f"{how} after {step} steps. {where}")

    def _prepare_preview(self, stack: ImageStack) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        placement = (
            self.source.placement
            if isinstance(self.source, LayerSource)
            else Placement.plain(stack.axes, getattr(stack, "pixel_size_um", None))
        )
        identity = {
            "model": self.folder.name,
            "folder": str(self.folder),
            "training_began": self.began,
        }
        self._preview = PreviewLayer(viewer, stack.name, placement, identity)


def _facts(event: TrainingStarted) -> tuple[str, ...]:
    def images(count: int) -> str:
        return f"{count} image{'s' if count != 1 else ''}"

    return (
        f"On {event.device}: {event.parameters:,} parameters, {images(event.training_planes)} to "
        f"learn from, {images(event.validation_planes)} to validate with.",
        f"Noise: {event.noise_model}",
    )
