"""What switching levels off does to the piece that was inspected, at once.

The session's switches and its last inspection decide what is shown; a thread computes it, always for
the latest choice only. A run of levels from the bottom up is a sum of contributions that are there
already; any other choice is decoded from the highest level that changed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_hdn import api
from napari_hdn.api import ImageStack, PlaneRestored, RestorationConfig, Stop
from napari_hdn.ui import jobs
from napari_hdn.ui.comparison import ComparisonLayers
from napari_hdn.ui.inspection import Inspected
from napari_hdn.ui.layers import is_open
from napari_hdn.ui.looks import limit_of

if TYPE_CHECKING:
    from napari_hdn.core.artefacts import Structure
    from napari_hdn.core.levels.view import LevelView
    from napari_hdn.ui.session import Session

_AT_ONCE = 1024 * 1024  # pixels that are decoded in one piece


@dataclass(frozen=True)
class Switched:
    """A piece with some levels off.

    Attributes
    ----------
    look : Inspected
    off : tuple of int
        All that are off.
    before, without, removed : ndarray
        (Y, X) counts: with all levels that the model has on, without those, and the difference.
    rms : float
        Of what was removed, counts.
    share : float
        Of the variance of ``before``, that what was removed has.
    limit : float
        Counts up to which almost all of what was removed reaches.
    structure : Structure or None
        Of what was removed; None where that is nothing.
    """

    look: Inspected
    off: tuple[int, ...]
    before: np.ndarray
    without: np.ndarray
    removed: np.ndarray
    rms: float
    share: float
    limit: float
    structure: Structure | None

    @property
    def switched(self) -> tuple[int, ...]:
        """Levels that are off besides those that the model was trained without."""
        return tuple(level for level in self.off if level not in self.look.untrained)


class LevelPreview:
    """Computes and shows what the session's switches do; for the main thread.

    Parameters
    ----------
    session : Session
    """

    changed = Signal()  # `shown`, `busy` or `error`

    def __init__(self, session: Session) -> None:
        self._session = session
        self.shown: Switched | None = None
        self.error = ""
        self.busy = False
        self.layers = ComparisonLayers(session.viewer)
        self._latest: tuple[Inspected, tuple[int, ...]] | None = None
        self._decoder: Decoder | None = None
        self._stop = Stop()
        session.inspection_changed.connect(self._on_inspection)
        session.levels_changed.connect(self._on_levels)

    def _on_inspection(self) -> None:
        look = self._session.inspected
        self.shown, self.error, self._latest = None, "", None
        self._decoder = None if look is None else Decoder(look)
        self.changed.emit()
        if look is None:
            self.layers.end()
            return
        self.layers.begin(look)
        if self._session.levels_off != look.untrained or self.layers.any_there():
            self._ask()
        else:  # the first flip shall be as fast as the others
            jobs.look_up(self._decoder.encode, _nothing, _nothing)

    def _on_levels(self) -> None:
        if self._session.inspected is not None:
            self._ask()

    def _ask(self) -> None:
        assert self._session.inspected is not None
        self._latest = self._session.inspected, self._session.levels_off
        self._stop.request()
        if not self.busy:
            self._compute()

    def _compute(self) -> None:
        assert self._latest is not None
        assert self._decoder is not None
        (_, off), self._latest = self._latest, None
        decoder, stop = self._decoder, Stop()
        self._stop = stop
        self.busy = True
        self.changed.emit()
        jobs.look_up(lambda: decoder.switched(off, stop), self._on_switched, self._on_error)

    def _on_switched(self, switched: Switched | None) -> None:
        self._next()
        if switched is None:  # stopped, as something else is wanted by now
            return
        session = self._session
        wanted = switched.look is session.inspected and switched.off == session.levels_off
        if wanted and is_open(session.viewer):
            self.shown, self.error = switched, ""
            self.layers.show(switched)
        self.changed.emit()

    def _on_error(self, text: str) -> None:
        self._next()
        self.error = text
        self.changed.emit()

    def _next(self) -> None:
        self.busy = False
        if self._latest is not None:
            self._compute()


def _nothing(_: Any) -> None:
    """Whoever needs it will be told then."""


class Decoder:
    """Decodes one inspected piece with one choice of levels after another; for a worker.

    Parameters
    ----------
    look : Inspected
    """

    def __init__(self, look: Inspected) -> None:
        self._look = look
        self._view: LevelView | None = None
        self._one_at_a_time = threading.Lock()

    def encode(self) -> None:
        """Get ready for choices that have to be decoded."""
        if self._look.inspection.counts.size <= _AT_ONCE:
            self._decode(self._look.untrained)

    def switched(self, off: tuple[int, ...], stop: Stop) -> Switched | None:
        """The piece with these levels off; None if stopped."""
        before = self._look.inspection.decomposition.image
        without = self.without(off, stop)
        if without is None:
            return None
        removed = before - without
        structure = None
        if off != self._look.untrained:
            structure = api.structure_of_difference(removed, float(before.mean()))
        variance, mean = removed.var(dtype=np.float64), removed.mean(dtype=np.float64)
        return Switched(
            self._look,
            off,
            before,
            without,
            removed,
            rms=float(variance + mean**2) ** 0.5,
            share=float(variance / max(before.var(dtype=np.float64), 1e-12)),
            limit=limit_of(removed),
            structure=structure,
        )

    def without(self, off: tuple[int, ...], stop: Stop) -> np.ndarray | None:
        """(Y, X) counts with these levels off: a sum, decoded at once or in tiles; None if stopped."""
        look, parts = self._look, self._look.inspection.decomposition
        if off == look.untrained:
            return parts.image
        # a level that was trained off by the posterior's rule is not at its prior's mean
        if not look.untrained and off == tuple(range(1, len(off) + 1)):
            return parts.without(off)
        if look.inspection.counts.size > _AT_ONCE:
            return self._in_tiles(off, stop)
        return self._decode(off)

    def _decode(self, off: tuple[int, ...]) -> np.ndarray:
        look = self._look
        with self._one_at_a_time:
            if self._view is None:
                self._view = api.level_view(look.model, look.inspection.counts, look.device)
            return self._view.restored(off)

    def _in_tiles(self, off: tuple[int, ...], stop: Stop) -> np.ndarray | None:
        config = RestorationConfig(
            samples=1,
            deactivated_levels=off,
            device=self._look.device,  # type: ignore[arg-type]
        )
        stack = ImageStack(self._look.inspection.counts, "YX", self._look.piece.source.name)
        rows = []
        for event in api.restore(self._look.model, stack, config, stop=stop):
            if isinstance(event, PlaneRestored):
                rows.append(event.planes["mean"])
                if event.complete:
                    return np.concatenate(rows)
        return None
