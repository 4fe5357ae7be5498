"""distil(): a trained model teaches a direct network; a generator of events.

First the teacher restores a part of the images, each piece once; then the network learns on random crops
of these, which costs little a step. Every random number of step k comes from (seed, k).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import torch
from torch.nn import functional

import napari_hdn
from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.direct import folder as folders
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.direct.events import (
    DistillationEvent,
    DistillationFinished,
    DistillationProgress,
    DistillationStarted,
    DistillationValidated,
)
from napari_hdn.core.direct.exam import examine
from napari_hdn.core.direct.lessons import (
    EXAM_PX,
    EXAM_TILES,
    LESSON_PX,
    Draws,
    Exam,
    Lesson,
    Teacher,
    plan_pieces,
    split,
)
from napari_hdn.core.direct.network import DirectNetwork, random_network
from napari_hdn.core.direct.student import Direct, DirectSummary, Marks
from napari_hdn.core.errors import (
    ImageError,
    MemoryShortError,
    OutputError,
    StoppedEarly,
    TrainingError,
    is_memory_short,
)
from napari_hdn.core.events import Notice, RateLimit, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.identity import fingerprint
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.recipes.parts import Taught
from napari_hdn.core.restoring.restorer import check_levels
from napari_hdn.core.training.optimisation import Averaged, StepGuard, copy_weights, together
from napari_hdn.core.training.pace import Pace

TEACHING_SHARE = 0.4  # of the minutes, at most, for what the teacher makes of the images
TEACHING_FRACTION = 0.25  # of the progress, where steps are counted
VALIDATIONS_PER_SECOND = 0.2
FALL_BACKS_AT_MOST = 5


def distil(
    model: HDN,
    images: Sequence[ImageStack],
    config: DirectConfig,
    *,
    folder: Path | None = None,
    stop: Stop | None = None,
    repeated: Taught | None = None,
) -> Iterator[DistillationEvent]:
    """Teach a direct network by samples of a trained model.

    It learns to give their mean or median in one pass; it gives no uncertainty.

    Parameters
    ----------
    model : HDN
        The teacher.
    images : sequence of ImageStack
        Camera counts like those that shall be restored, such as the model's training images.
    config : DirectConfig
    folder : Path, optional
        Where it is saved at the end: a folder that is not there yet, or empty.
    stop : Stop, optional
        Looked at after every piece and step; what has learned until then is kept.
    repeated : Taught, optional
        Learn from as many pieces, in as many steps, at the rates of an earlier one that was taught
        for minutes.

    Yields
    ------
    DistillationEvent
        `DistillationFinished` with the direct network last.

    Raises
    ------
    ImageError, AxesError
        If the images cannot be used.
    ConfigurationError, DeviceError
        If levels, channel or device do not exist.
    OutputError
        If something is in ``folder`` already; before anything else.
    TrainingError
        If the loss stays infinite.
    MemoryShortError
        If there is not enough memory.
    StoppedEarly
        If ``stop`` was requested before the first step.
    """
    if folder is not None:
        folders.check_free(folder)
    if not images:
        raise ImageError("There is no image to learn from; choose an image layer or a folder.")
    device = choose(config.device)
    check_levels(model.config.network, config.deactivated_levels or ())
    channel = model.config.channel if config.channel is None else config.channel
    stacks = [stack.of_channel(channel) for stack in images]
    pace = Pace(() if repeated is None else repeated.schedule)
    job = _Distillation(model, stacks, config, device, folder, stop or Stop(), repeated, pace)
    try:
        with kept_memory():
            yield from job.events()
    except Exception as error:
        if is_memory_short(error):
            raise MemoryShortError(
                f"There is not enough memory on {device.label} to teach a direct network by "
                f"{model.name}. Close other programs, choose the CPU, or fewer megapixels."
            ) from error
        raise


@dataclass
class _Distillation:
    """One run; events() is the whole of it."""

    model: HDN
    stacks: list[ImageStack]
    config: DirectConfig
    device: Device
    folder: Path | None
    stop: Stop
    repeated: Taught | None
    pace: Pace  # of the minutes that the teacher leaves for learning
    step: int = 0
    pieces: int = 0
    marks: Marks | None = None
    megapixels: float = 0.0
    began: float = field(default_factory=lambda: monotonic())
    may_speak: RateLimit = field(default_factory=RateLimit)

    def events(self) -> Iterator[DistillationEvent]:
        config = self.config
        teacher = Teacher(self.model, config.deactivated_levels or (), self.device, config)
        lessons: list[Lesson] = []
        exams: list[Exam] = []
        yield from self._teach(teacher, lessons, exams)
        if self.stop.requested:
            raise StoppedEarly("Stopped before the first step; there is nothing to keep yet.")
        self.pieces = len(lessons)
        self.megapixels = sum(lesson.image.numel() for lesson in lessons) / 1e6
        network = random_network(config.network, config.seed)
        yield DistillationStarted(
            self.device.label,
            sum(p.numel() for p in network.parameters()),
            self.model.parameters,
            self.megapixels,
            len(exams),
        )
        if not exams:
            yield Notice(
                "The images are too small to hold out a part, so that it is not known how near the "
                "direct network comes to the sampled mean. Give more images.",
                "warning",
            )
        draws = Draws(lessons, config, self.model.config.flips)
        averaged = Averaged(network, config.ema_decay)
        yield from self._learn(network, averaged, draws, teacher, exams)
        stopped = self.fraction < 1
        yield from self._validate(averaged.network, teacher, exams)
        student = self._student(averaged.network, stopped)
        if self.folder is not None:
            try:
                folders.save(student, self.folder)
            except OutputError as error:
                yield Notice(f"{error} The direct network is still in memory.", "warning")
        taught = None
        if self.config.minutes is not None:
            taught = Taught(pieces=self.pieces, steps=self.step, schedule=tuple(self.pace.knots))
        yield DistillationFinished(student, self.step, stopped, student.folder, taught)

    @property
    def by_clock(self) -> bool:
        """Whether time decides when it is over."""
        return self.config.minutes is not None and self.repeated is None

    @property
    def elapsed_s(self) -> float:
        return monotonic() - self.began

    @property
    def fraction(self) -> float:
        """Of the budget, 0..1."""
        if self.repeated is not None:
            return self.step / self.repeated.steps
        if self.config.minutes is not None:
            return min(1.0, self.elapsed_s / (60 * self.config.minutes))
        assert self.config.steps is not None
        return self.step / self.config.steps

    def _used(self, start: float) -> float:
        """Share of the budget for learning, which began at ``start``, that is used before a step."""
        if self.by_clock:
            clock = (self.fraction - start) / max(1e-9, 1 - start)
            self.pace.follow(self.step, min(1.0, max(0.0, clock)))
        return self.fraction if self.config.minutes is None else self.pace.fraction(self.step)

    def _teach(
        self, teacher: Teacher, lessons: list[Lesson], exams: list[Exam]
    ) -> Iterator[DistillationEvent]:
        config = self.config
        parts = split(self.stacks, self.model, config)
        side = max(teacher.side(LESSON_PX), config.patch_px)
        pieces = plan_pieces(parts.training, side, config.megapixels, config.patch_px, config.seed)
        to_mark = plan_pieces(
            parts.validation, teacher.side(EXAM_PX), math.inf, EXAM_PX // 2, config.seed
        )
        to_mark = to_mark[:EXAM_TILES]
        doing, total = f"{self.model.name} restores what to learn from", len(pieces) + len(to_mark)
        for done, piece in enumerate(to_mark):
            yield self._progress(TEACHING_FRACTION * done / total, doing)
            exams.append(teacher.exam(piece))
            if self.stop.requested:
                return
        for done, piece in enumerate(pieces, len(to_mark)):
            if self.repeated is not None and len(lessons) == self.repeated.pieces:
                return
            if lessons and self.by_clock and self.fraction > TEACHING_SHARE:
                yield Notice(
                    f"{self.model.name} has restored {len(lessons)} of {len(pieces)} pieces in "
                    f"{TEACHING_SHARE:.0%} of the time; the direct network learns from these. More "
                    "minutes would give it more to learn from."
                )
                return
            yield self._progress(TEACHING_FRACTION * done / total, doing)
            lessons.append(teacher.lesson(piece))
            if self.stop.requested:
                return

    def _learn(
        self,
        network: DirectNetwork,
        averaged: Averaged[DirectNetwork],
        draws: Draws,
        teacher: Teacher,
        exams: list[Exam],
    ) -> Iterator[DistillationEvent]:
        config, at = self.config, self.device.torch
        network.to(at).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        averaged.network.to(at).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=1e-4, foreach=together(at)
        )
        error = functional.mse_loss if config.learns == "mean" else functional.l1_loss
        guard, losses = StepGuard(), []
        may_validate = RateLimit(VALIDATIONS_PER_SECOND)
        start = self.fraction  # what the teacher left of the minutes is all of this budget
        while self.step == 0 or (self.fraction < 1 and not self.stop.requested):
            used = self._used(start)
            warm = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
            for group in optimizer.param_groups:
                cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, used)))
                group["lr"] = config.learning_rate * guard.rate_scale * warm * cosine
            image, target = (t.to(at) for t in draws.batch(self.step))
            with teacher.prepared.autocast():
                made = network(image)
            loss = error(made, target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(
                network.parameters(), config.gradient_clip, foreach=together(at)
            )
            value, size = torch.stack([loss.detach(), norm]).tolist()
            verdict = guard.judge(value, size)
            if verdict == "apply":
                optimizer.step()
                averaged.update(network, self.step)
                losses.append(value)
            elif verdict == "fall_back":
                copy_weights(averaged.network, network)
                optimizer.state.clear()
                if guard.fall_backs > FALL_BACKS_AT_MOST:
                    raise TrainingError(
                        f"The loss of the direct network stayed infinite or jumped at step {self.step}, "
                        "however small the steps. Look at what the model makes of these images."
                    )
            self.step += 1
            if losses and self.may_speak.ready():
                share = self.fraction
                if not self.by_clock:
                    share = TEACHING_FRACTION + (1 - TEACHING_FRACTION) * share
                mean = sum(losses) / len(losses)
                yield self._progress(share, "the direct network learns", loss=mean)
                losses.clear()
            if may_validate.ready():
                yield from self._validate(averaged.network, teacher, exams)
                may_validate.rest()

    def _progress(
        self, share: float, doing: str, loss: float | None = None
    ) -> DistillationProgress:
        elapsed = self.elapsed_s
        if self.config.minutes is not None and self.by_clock:
            share = self.fraction
            left = 60 * self.config.minutes - elapsed
        else:
            left = elapsed * (1 - share) / max(share, 1e-9) if share else math.inf
        return DistillationProgress(share, doing, elapsed, max(0.0, left), self.step, loss)

    def _validate(
        self, network: DirectNetwork, teacher: Teacher, exams: list[Exam]
    ) -> Iterator[DistillationEvent]:
        if not exams:
            return
        self.marks = examine(network, teacher.prepared, exams)
        yield DistillationValidated(self.step, self.marks.loss_db, self.marks.agreement_db)

    def _student(self, network: DirectNetwork, stopped: bool) -> Direct:
        config, model = self.config, self.model
        own = DirectNetwork(config.network)
        own.load_state_dict({k: v.detach().cpu() for k, v in network.state_dict().items()})
        off = {*model.config.network.deactivated_levels, *(config.deactivated_levels or ())}
        summary = DirectSummary(
            version=napari_hdn.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            teacher=model.name,
            teacher_created=model.summary.created,
            teacher_weights=fingerprint(model),
            levels=model.config.network.levels,
            levels_off=tuple(sorted(off)),
            steps=self.step,
            seconds=self.elapsed_s,
            stopped=stopped,
            device=self.device.label,
            data=describe_data(self.stacks),
            megapixels=self.megapixels,
            marks=self.marks,
        )
        return Direct(config, own.eval(), summary)
