"""What long work tells while it runs, how it is stopped, and how often it speaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_hdn.core.errors import StoppedEarly

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.levels.inspection import Inspection
    from napari_hdn.core.recipes.tiles import Tiles
    from napari_hdn.core.restoring.convergence import MeanSpread
    from napari_hdn.core.training.residuals import ResidualCheck
    from napari_hdn.core.trust.judgement import Judgement

EVENTS_PER_SECOND = 5.0


class Stop:
    """A request to stop, looked at by long work at every step; safe from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Ask the work to stop; it returns what it has."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()


def check_stop(stop: Stop | None) -> None:
    """Leave work of which nothing can be kept.

    Raises
    ------
    StoppedEarly
        If the user asked to stop.
    """
    if stop is not None and stop.requested:
        raise StoppedEarly("Stopped before the first step; there is nothing to keep yet.")


class RateLimit:
    """Lets something happen at most ``per_second`` times a second; the first time at once."""

    def __init__(
        self, per_second: float = EVENTS_PER_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._next = -np.inf

    def ready(self) -> bool:
        """True when enough time has passed since the last True."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True

    def rest(self) -> None:
        """Count the interval from now on, after what was done has taken its time."""
        self._next = self._clock() + self._interval


@dataclass(frozen=True)
class Notice:
    """Something the user should read."""

    text: str
    severity: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class TrainingStarted:
    """Before the first step."""

    device: str
    parameters: int
    noise_model: str
    training_planes: int
    validation_planes: int
    first_step: int
    folder: Path | None


@dataclass(frozen=True)
class TrainingStep:
    """Mean of the losses since the last such event; losses in nats per pixel."""

    step: int
    fraction: float  # of the whole budget, 0..1
    elapsed_s: float
    remaining_s: float
    loss: float
    reconstruction: float
    kl: float
    kl_per_level: tuple[float, ...]  # bottom level first
    learning_rate: float


@dataclass(frozen=True)
class Validation:
    """Losses on the validation part with the averaged (EMA) weights; nats per pixel."""

    step: int
    loss: float
    reconstruction: float
    kl: float
    kl_per_level: tuple[float, ...]


@dataclass(frozen=True)
class PreviewRequest:
    """A piece of an image to restore while training; ``tag`` comes back with the picture."""

    image: np.ndarray  # (Y, X) counts
    tag: Any = None


@dataclass(frozen=True)
class Preview:
    """A restored piece of an image, from the averaged weights."""

    step: int
    image: np.ndarray  # (Y, X) counts
    tag: Any = None


@dataclass(frozen=True)
class ResidualsChecked:
    """How well the noise model holds for what the network takes away."""

    step: int
    check: ResidualCheck


@dataclass(frozen=True)
class Saved:
    """The model was written to its folder, ready to restore with and to continue from."""

    step: int
    folder: Path


@dataclass(frozen=True)
class TrainingFinished:
    """The last event of every training, stopped or not."""

    model: HDN
    step: int
    stopped: bool
    folder: Path | None


@dataclass(frozen=True)
class RestorationProgress:
    """Where a restoration is; ``fraction`` of all planes, 0..1."""

    fraction: float
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True)
class PlaneRestored:
    """Some rows of a plane are done; all of them at once where the plane is not huge.

    Attributes
    ----------
    index : tuple of int
        Along the leading axes of the stack.
    planes : mapping of str to ndarray
        What was made, by the names of `RestorationConfig.products`: (rows, X) float32 counts each,
        ``samples`` (N, rows, X).
    rows : slice
        Which rows of the plane these are.
    complete : bool
        Whether they are its last.
    """

    index: tuple[int, ...]
    planes: Mapping[str, np.ndarray]
    rows: slice
    complete: bool = True


@dataclass(frozen=True)
class PlaneFailed:
    """A plane could not be restored, such as one with damaged pixels; the others go on."""

    index: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class RestorationFinished:
    """The last event of every restoration, stopped or not."""

    planes: int
    total: int
    stopped: bool
    spread: MeanSpread | None = None  # how near the mean is to its limit, where it was measured
    failed: int = 0  # planes
    tiles: Tiles | None = field(default=None, compare=False)  # that planes were taken apart into


@dataclass(frozen=True)
class CalibrationProgress:
    """Where a calibration is; ``fraction`` 0..1, ``doing`` in words."""

    fraction: float
    doing: str
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True)
class CalibrationFinished:
    """The last event of every calibration."""

    calibration: Calibration


@dataclass(frozen=True)
class InspectionProgress:
    """Where the look at a model's levels is; ``fraction`` 0..1."""

    fraction: float
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True)
class InspectionFinished:
    """The last event of every look at a model's levels that was not stopped."""

    inspection: Inspection


@dataclass(frozen=True)
class TrustProgress:
    """Where the judging of a restoration is; ``fraction`` 0..1, ``doing`` in words."""

    fraction: float
    doing: str
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True)
class TrustFinished:
    """The last event of every judging of a restoration, stopped or not."""

    judgement: Judgement


TrainingEvent = (
    Notice
    | TrainingStarted
    | TrainingStep
    | Validation
    | Preview
    | ResidualsChecked
    | Saved
    | TrainingFinished
)
RestorationEvent = Notice | RestorationProgress | PlaneRestored | PlaneFailed | RestorationFinished
CalibrationEvent = Notice | CalibrationProgress | CalibrationFinished
InspectionEvent = InspectionProgress | InspectionFinished
TrustEvent = TrustProgress | TrustFinished
