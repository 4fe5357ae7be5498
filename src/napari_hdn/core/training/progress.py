"""How far a training is: its budget, its running losses, its history."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.events import TrainingStep, Validation
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.training.objective import Losses
from napari_hdn.core.training.optimisation import learning_rate
from napari_hdn.core.training.pace import Pace
from napari_hdn.core.training.summary import LossRecord

MAX_RECORDS = 2000

E = TypeVar("E", TrainingStep, Validation)


@dataclass
class Budget:
    """Minutes or steps to train, counted over stops and continuations.

    ``origin`` is where the present budget began (steps or seconds): 0, or the end of a training
    that got a budget once more, which is over at ``origin`` + budget. ``pace`` says how much is used
    as a function of steps alone, by the clock only in knots that are kept; `repeat` gives those of a
    training that is repeated.
    """

    minutes: float | None
    steps: int | None
    origin: float = 0.0
    origin_step: int = 0
    seconds_before: float = 0.0
    clock: Callable[[], float] = time.monotonic
    pace: Pace = field(default_factory=Pace, init=False)
    _started: float | None = field(default=None, init=False)
    _repeated: TrainingPart | None = field(default=None, init=False)

    def repeat(self, part: TrainingPart) -> None:
        """Spend steps as an earlier training did, whatever the clock says."""
        self._repeated = part
        self.pace = Pace(part.schedule)
        self.origin_step = part.origin_step
        if self.minutes is None:
            self.origin = float(part.origin_step)

    def start(self) -> None:
        """The clock runs from here."""
        self._started = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, those before a continuation included."""
        running = 0.0 if self._started is None else self.clock() - self._started
        return self.seconds_before + running

    @property
    def total(self) -> float:
        """Where the present budget ends, in seconds or steps since the very start."""
        if self.minutes is not None:
            return self.origin + 60 * self.minutes
        assert self.steps is not None
        return self.origin + float(self.steps)

    def fraction(self, step: int) -> float:
        """How much of the present budget is used, 0..1."""
        if self._repeated is not None and self.minutes is not None:
            return min(1.0, step / max(1, self._repeated.last_step))
        used = self.elapsed_s if self.minutes is not None else float(step)
        return min(1.0, max(0.0, (used - self.origin) / max(1e-9, self.total - self.origin)))

    def follow(self, step: int) -> None:
        """Look at the clock before a step, if time is what is spent."""
        if self.minutes is not None:
            self.pace.follow(step, self.fraction(step))

    def spent(self, step: int) -> float:
        """How much is used before a step, 0..1; unlike `fraction` the same when it is repeated."""
        return self.fraction(step) if self.minutes is None else self.pace.fraction(step)

    def used_up(self, step: int) -> bool:
        """Whether training is over."""
        if self._repeated is not None:
            return step >= self._repeated.last_step
        return self.fraction(step) >= 1.0

    def remaining_s(self, step: int) -> float:
        """Estimated seconds to go."""
        fraction = self.fraction(step)
        if self.minutes is not None and self._repeated is None:
            return max(0.0, self.total - self.elapsed_s)
        spent = self.elapsed_s - self.seconds_before
        done = step - self._first_step if self._first_step is not None else 0
        if done <= 0:
            return float("inf") if fraction < 1 else 0.0
        end = self.total if self._repeated is None else self._repeated.last_step
        return (end - step) * spent / done

    _first_step: int | None = field(default=None, init=False)

    def begin_at(self, step: int) -> None:
        """Where this session's steps begin; for the estimate of the time left."""
        self._first_step = step

    def learning_rate(self, config: TrainingConfig, step: int, scale: float) -> float:
        """The rate of the next step."""
        return learning_rate(config, self.spent(step), step - self.origin_step, scale)


@dataclass
class LossMeter:
    """Mean losses since the last event; stays on the device until it is read."""

    count: int = 0
    _sum: torch.Tensor | None = None

    def add(self, losses: Losses) -> None:
        """Take in the losses of one step."""
        parts = torch.cat([losses.loss.detach()[None], losses.reconstruction[None], losses.kl])
        self._sum = parts if self._sum is None else self._sum + parts
        self.count += 1

    def event(self, step: int, budget: Budget, rate: float) -> TrainingStep:
        """Read and reset."""
        assert self._sum is not None
        loss, reconstruction, *kl = (self._sum / self.count).tolist()
        self.count, self._sum = 0, None
        return TrainingStep(
            step=step,
            fraction=budget.fraction(step),
            elapsed_s=budget.elapsed_s,
            remaining_s=budget.remaining_s(step),
            loss=loss,
            reconstruction=reconstruction,
            kl=sum(kl),
            kl_per_level=tuple(kl),
            learning_rate=rate,
        )


class History:
    """Loss records, thinned out when there are many."""

    def __init__(self, records: tuple[LossRecord, ...] = ()) -> None:
        self.records = list(records)

    def keep(self, event: E) -> E:
        """Record an event, if its losses are finite, and pass it on."""
        if not math.isfinite(event.loss):
            return event
        part = "training" if isinstance(event, TrainingStep) else "validation"
        self.records.append(
            LossRecord(
                part=part,
                step=event.step,
                loss=event.loss,
                reconstruction=event.reconstruction,
                kl_per_level=event.kl_per_level,
            )
        )
        if len(self.records) > MAX_RECORDS:
            old = self.records[: MAX_RECORDS // 2]
            thinned = [
                r for p in ("training", "validation") for r in [x for x in old if x.part == p][::2]
            ]
            thinned.sort(key=lambda r: r.step)
            self.records = thinned + self.records[MAX_RECORDS // 2 :]
        return event
