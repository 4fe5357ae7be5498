"""Jobs of the level inspector: look at the levels of a piece, draw images at each of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    InspectionFinished,
    InspectionProgress,
    JobRecipe,
    LevelsSettings,
    Notice,
)
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.piece import Piece

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.levels.inspection import Inspection

_GROWN = 1.5  # times as much variance as before
_WORTH_A_WORD = 0.05  # of the artefact's variance in all levels before
SAMPLES = 6  # images a level, as in the paper's Figure 3


@dataclass(frozen=True)
class Inspected:
    """What a look at the levels came to."""

    model: HDN
    piece: Piece
    inspection: Inspection
    device: str
    moved: Notice | None = None  # of a variant: whether the artefact has moved up
    recipe: JobRecipe | None = None

    @property
    def untrained(self) -> tuple[int, ...]:
        """Levels that the model was trained without."""
        return self.inspection.decomposition.untrained


@dataclass(frozen=True)
class Drawn:
    """Images drawn level by level: (n, samples, Y, X) counts, level 1 first."""

    model: HDN
    piece: Piece
    images: np.ndarray
    origin: str
    recipe: JobRecipe | None = None


@dataclass(frozen=True)
class Done:
    """How far a job is."""

    fraction: float
    remaining_s: float


class LevelsJob(Job):
    """What the jobs share: a model, a piece, and that nobody may want the result any more.

    Parameters
    ----------
    title : str
    model : HDN
    piece : Piece
    device : str
    """

    def __init__(self, title: str, model: HDN, piece: Piece, device: str) -> None:
        super().__init__(title)
        self.model: HDN | None = model  # until the job is over
        self.piece: Piece | None = piece
        self.device = device
        self.unwanted = ""  # why, once something else was chosen

    def drop(self, reason: str) -> None:
        """Stop; what it comes to is not shown."""
        self.unwanted = reason
        self.stop.request()

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        if self.unwanted:
            self.end(self.unwanted)
        super().show(event)
        match event:
            case InspectionProgress() | Done():
                self.fraction, self.remaining_s = event.fraction, event.remaining_s

    def close(self) -> None:
        """Let go of model and image."""
        super().close()
        self.model = self.piece = None


class InspectionJob(LevelsJob):
    """Look at what each level contributes to a piece; the last event is `Inspected`.

    Parameters
    ----------
    model, piece, device
        As for `LevelsJob`.
    earlier : Inspection, optional
        Of the model that this one is a variant of: has the artefact moved up?
    then : callable, optional
        The job that follows.
    """

    kind = "inspection"

    def __init__(
        self,
        model: HDN,
        piece: Piece,
        device: str = "auto",
        *,
        earlier: Inspection | None = None,
        then: Callable[[], Job] | None = None,
    ) -> None:
        super().__init__(f"inspecting the levels of {piece.source.name}", model, piece, device)
        self._earlier = earlier
        self._then = then

    def work(self) -> Iterator[Any]:
        """Inspect, in the worker's thread."""
        model, piece = self.model, self.piece
        assert model is not None
        assert piece is not None
        counts = piece.read()
        remark = api.range_remark(model, counts, piece.source.name)
        if remark:
            yield Notice(remark, "warning")
        for event in api.inspect_levels(
            model,
            counts,
            boxes=piece.boxes,
            device=self.device,
            stop=self.stop,
            name=piece.source.name,
        ):
            if isinstance(event, InspectionFinished):
                before = self._earlier
                moved = None if before is None else moved_up(before, event.inspection)
                recipe = _recipe(model, piece, self.device)
                yield Inspected(model, piece, event.inspection, self.device, moved, recipe)
            else:
                yield event
        if self.stop.requested:
            raise StoppedEarly("Stopped: the levels were not looked at.")

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Inspected):
            self.fraction = 1.0
            self.end(f"Inspected {event.piece.in_words()}.")

    def next(self) -> Job | None:
        """What was to follow."""
        if self.unwanted or self.stop.requested or self._then is None:
            return None
        return self._then()

    def close(self) -> None:
        """Let go of the earlier look, too."""
        super().close()
        self._earlier = self._then = None


def moved_up(earlier: Inspection, now: Inspection) -> Notice:
    """Whether a variant's levels hold more of the artefact than they did before retraining."""
    before, after = api.artefact_by_level(earlier), api.artefact_by_level(now)
    off = now.decomposition.untrained
    on = [level not in off for level in range(1, len(after) + 1)]
    grown = [
        level
        for level, (was, is_now) in enumerate(zip(before, after, strict=True), 1)
        if on[level - 1] and is_now > _GROWN * was and is_now > _WORTH_A_WORD * before.sum()
    ]
    kept, left = float(before.sum()) ** 0.5, float(after[on].sum()) ** 0.5
    numbers = (
        f"all levels held {kept:.3g} counts of it before, those that are on hold {left:.3g} now"
    )
    if grown:
        return Notice(
            f"The artefact has moved up into {api.spoken_levels(grown)} ({numbers}): look at the "
            "scores again, and compare with the model that it was made of.",
            "warning",
        )
    return Notice(f"The artefact has not moved up: {numbers}.")


def _recipe(model: HDN, piece: Piece, device: str, **drawing: int) -> JobRecipe:
    """What was done, for the layers that are made of it."""
    settings = LevelsSettings(background=piece.background, device=device, **drawing)
    return api.job_recipe("levels", settings, [piece.recorded], model=model)


class DrawingJob(LevelsJob):
    """Draw images at one level after another; the last event is `Drawn`.

    Parameters
    ----------
    model, piece, device
        As for `LevelsJob`.
    origin : {'image', 'prior'}
    samples, seed : int
    """

    kind = "drawing"

    def __init__(
        self,
        model: HDN,
        piece: Piece,
        origin: str,
        device: str = "auto",
        *,
        samples: int = SAMPLES,
        seed: int = 0,
    ) -> None:
        super().__init__(f"drawing images of {piece.source.name}", model, piece, device)
        self.origin = origin
        self.samples = samples
        self.seed = seed

    def work(self) -> Iterator[Any]:
        """Draw, in the worker's thread."""
        model, piece = self.model, self.piece
        assert model is not None
        assert piece is not None
        began = time.monotonic()
        for part in api.draw_levels(
            model,
            piece.read(),
            origin=self.origin,  # type: ignore[arg-type]
            samples=self.samples,
            seed=self.seed,
            device=self.device,
            stop=self.stop,
        ):
            if isinstance(part, float):
                elapsed = time.monotonic() - began
                yield Done(part, elapsed * (1 / part - 1) if part else math.inf)
            else:
                recipe = _recipe(model, piece, self.device, samples=self.samples, seed=self.seed)
                yield Drawn(model, piece, part, self.origin, recipe)
        if self.stop.requested:
            raise StoppedEarly("Stopped: no images were drawn.")

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Drawn):
            self.fraction = 1.0
            levels, samples = event.images.shape[:2]
            self.end(f"Drew {samples} images at each of {levels} levels.")
