"""napari's grid, borrowed while layers are compared, and given back as it was."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from psygnal import Signal

_SQUARE = (-1, -1)
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
        self._before: dict[str, Any] | None = None  # the grid as the user had it
        self._placed: Callable[[bool], None] = lambda on: None
        self._smaller = 1
        self._busy = False
        self._grid().events.enabled.connect(self._on_grid)

    def begin(self, placed: Callable[[bool], None]) -> None:
        """There are layers to compare; ``placed`` is told whether they lie side by side."""
        self._placed = placed
        if self.wanted:
            self._take()

    def want(self, on: bool) -> None:
        """What the user wants from now on."""
        self.wanted = on
        (self._take if on else self.end)()
        self._placed(on)
        self.changed.emit()

    def end(self) -> None:
        """Give the grid back."""
        grid, before = self._grid(), self._before
        self._before = None
        if grid is None or before is None:
            return
        self._set(grid, before)
        self._zoom(self._smaller)

    def _take(self) -> None:
        grid = self._grid()
        if grid is None or grid.enabled or self._before is not None:
            return  # the user has a grid already
        self._before = {k: getattr(grid, k) for k in ("shape", "stride", "enabled")}
        self._set(grid, {"shape": _SQUARE, "stride": _IN_ORDER, "enabled": True})
        self._smaller = max(grid.actual_shape(self._viewer().layers))
        self._zoom(1 / self._smaller)  # a place shows what the whole canvas did

    def _set(self, grid: Any, values: dict[str, Any]) -> None:
        self._busy = True
        try:
            for name, value in values.items():
                setattr(grid, name, value)
        finally:
            self._busy = False

    def _zoom(self, factor: float) -> None:
        viewer = self._viewer()
        # since napari 0.9 the camera belongs to the scene
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
