"""The variants of a model on one piece: how much of the artefact is left, and what was removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import HDNError, InspectionFinished, InspectionProgress, Notice
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.ui.inspection import Done, Inspected, LevelsJob
from napari_hdn.ui.live import Decoder

if TYPE_CHECKING:
    from napari_hdn.api import HDN, VariantRecord
    from napari_hdn.core.levels.inspection import Inspection
    from napari_hdn.ui.piece import Piece

_STOPPED = "Stopped: the variants were not compared."

Key = tuple[Path | None, tuple[int, ...]]  # the model's folder, and all levels that are off


@dataclass(frozen=True)
class Numbers:
    """What one variant makes of a piece; counts."""

    artefact_left: float  # RMS in the background
    removed: float | None  # RMS of the difference to the first of the family; None without it


@dataclass(frozen=True)
class Told:
    """What is kept of a piece: its words, but neither layer nor pixels."""

    words: str

    def in_words(self) -> str:
        """What was looked at."""
        return self.words


@dataclass(frozen=True)
class Compared:
    """Variants of one family, on one piece."""

    family: str
    piece: Told
    numbers: dict[Key, Numbers]


class ComparisonJob(LevelsJob):
    """Restore a piece with each variant of a model; the last event is `Compared`.

    Parameters
    ----------
    model : HDN
        The one in hand, saved or not.
    off : tuple of int
        Levels that are switched off of it, which makes one more variant, not retrained.
    records : sequence of VariantRecord
        Its family, the first of it first.
    piece, device
        As for `LevelsJob`.
    """

    kind = "comparison"

    def __init__(
        self,
        model: HDN,
        off: tuple[int, ...],
        records: list[VariantRecord],
        piece: Piece,
        device: str = "auto",
    ) -> None:
        super().__init__(f"comparing the variants of {model.name}", model, piece, device)
        self.off = off
        self.records = records

    def work(self) -> Iterator[Any]:
        """Compare, in the worker's thread."""
        model, piece = self.model, self.piece
        assert model is not None
        assert piece is not None
        counts, began = piece.read(), time.monotonic()
        first: np.ndarray | None = None
        numbers: dict[Key, Numbers] = {}
        family = [(r.folder, r.is_first) for r in self.records if r.folder != model.folder]
        own = [(model.folder, model.summary.origin is None)]
        todo = sorted([*family, *own], key=lambda f: not f[1])  # what the others are held against
        for number, (folder, is_first) in enumerate(todo):
            try:
                variant = model if folder == model.folder else api.load_model(folder or "")
            except HDNError as error:
                yield Notice(f"Left out: {error}", "warning")
                continue
            look = None
            for event in api.inspect_levels(
                variant, counts, boxes=piece.boxes, device=self.device, stop=self.stop
            ):
                if isinstance(event, InspectionProgress):
                    fraction = (number + event.fraction) / len(todo)
                    elapsed = time.monotonic() - began
                    yield Done(fraction, elapsed * (1 / fraction - 1))
                elif isinstance(event, InspectionFinished):
                    look = event.inspection
            if look is None:
                raise StoppedEarly(_STOPPED)
            image = look.decomposition.image
            first = image if is_first else first
            trained = look.decomposition.untrained
            numbers[folder, trained] = _numbers(look, trained, image, first)
            if variant is model and self.off != trained:
                switched = Decoder(Inspected(model, piece, look, self.device))
                without = switched.without(self.off, self.stop)
                if without is None:
                    raise StoppedEarly(_STOPPED)
                numbers[folder, self.off] = _numbers(look, self.off, without, first)
        yield Compared(model.summary.family, Told(piece.in_words()), numbers)

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Compared):
            self.fraction = 1.0
            n = len(event.numbers)
            self.end(f"Compared {n} variant{'s' if n != 1 else ''}.")

    def close(self) -> None:
        """Let go of the records, too."""
        super().close()
        self.records = []


def _numbers(
    look: Inspection, off: tuple[int, ...], image: np.ndarray, first: np.ndarray | None
) -> Numbers:
    held = api.artefact_by_level(look)
    left = sum(float(v) for level, v in enumerate(held, 1) if level not in off)
    removed = None
    if first is not None:
        removed = float(np.sqrt(np.mean((first.astype(np.float64) - image) ** 2)))
    return Numbers(left**0.5, removed)
