"""napari's grid, borrowed while layers are compared, and given back as it was.

The grid is let go of while layers are removed: napari 0.9.2 crashes when it draws a grid of which three
layers went at once. Who adds or hides several gives it back first, too (`SideBySide.end`), and begins
again.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_hdn.ui.layers import is_open

_SQUARE = (-1, -1)
_REMOVED_MS = 100  # several are removed one after another
_IN_ORDER = 1  # begins with the lowest layer: raw, before, without, removed


class SideBySide:
    """Shows the visible layers of a viewer beside each other, one camera for all.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    """

    changed = Signal()  # `wanted`

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self.wanted = True
        self._said = False  # whether the user has chosen
        self._before: dict[str, Any] | None = None  # the grid as the user had it
        self._placed: Callable[[bool], None] = lambda on: None
        self._there: Callable[[], bool] = lambda: False
        self._smaller = 1
        self._busy = False
        self._paused = False
        self._grid().events.enabled.connect(self._on_grid)
        viewer.layers.events.removing.connect(self._on_removing)

    @property
    def only_offered(self) -> bool:
        """Whether it is off by `propose`, not by the user."""
        return not self.wanted and not self._said

    def propose(self, on: bool) -> None:
        """What is sensible, unless the user has chosen."""
        if not self._said and on != self.wanted:
            self.wanted = on
            if not on:
                self.end()
            self.changed.emit()

    def begin(self, placed: Callable[[bool], None], there: Callable[[], bool]) -> None:
        """There are layers to compare.

        Parameters
        ----------
        placed : callable
            Told whether they lie side by side, when that changes.
        there : callable
            Tells whether there are still some.
        """
        self._placed, self._there = placed, there
        if self.wanted:
            self._take()

    def want(self, on: bool) -> None:
        """What the user wants from now on."""
        self.wanted, self._said = on, True
        if not on:
            self.end()
        elif self._there():
            self._take()
        self._placed(on)
        self.changed.emit()

    def refit(self) -> None:
        """A place shows what the whole canvas did, however many places there are now."""
        grid, viewer = self._grid(), self._viewer()
        if self._before is None or viewer is None:
            return
        smaller = max(grid.actual_shape(viewer.layers))
        self._zoom(self._smaller / smaller)
        self._smaller = smaller

    def end(self) -> None:
        """Give the grid back."""
        grid, before = self._grid(), self._before
        self._before = None
        if grid is None or before is None:
            return
        self._set(grid, before)
        self._zoom(self._smaller)
        self._smaller = 1

    def _take(self) -> None:
        grid = self._grid()
        if grid is None or grid.enabled or self._before is not None:
            return  # the user has a grid already
        # in this order, so that the grid is off before it changes its shape back
        self._before = {k: getattr(grid, k) for k in ("enabled", "shape", "stride")}
        self._set(grid, {"shape": _SQUARE, "stride": _IN_ORDER, "enabled": True})
        self._smaller = 1
        self.refit()

    def _set(self, grid: Any, values: dict[str, Any]) -> None:
        self._busy = True
        try:
            for name, value in values.items():
                setattr(grid, name, value)
        finally:
            self._busy = False

    def _on_removing(self) -> None:
        if self._before is None:
            return
        self.end()
        if not self._paused:
            self._paused = True
            QTimer.singleShot(_REMOVED_MS, self._resume)

    def _resume(self) -> None:
        self._paused = False
        if self.wanted and is_open(self._viewer()) and self._there():
            self._take()

    def _zoom(self, factor: float) -> None:
        viewer = self._viewer()
        # since napari 0.9 the camera belongs to the scene
        if factor != 1:
            getattr(viewer, "scene", viewer).camera.zoom *= factor

    def _on_grid(self) -> None:
        """The user switches the grid off, by napari's own button."""
        grid = self._grid()
        if self._busy or self._before is None or grid is None or grid.enabled:
            return
        self.want(False)

    def _grid(self) -> Any:
        viewer = self._viewer()
        if viewer is None:
            return None
        return getattr(viewer, "canvas", viewer).grid  # of the viewer itself before napari 0.9
