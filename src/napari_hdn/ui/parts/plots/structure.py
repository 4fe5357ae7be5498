"""Is the noise structured: its autocorrelation as a map, along x and y, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, Qt
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_hdn.ui.parts.checks import Sentence
from napari_hdn.ui.parts.forms import Hint
from napari_hdn.ui.parts.plots.axes import BLUE, GREEN, ORANGE, Plot

if TYPE_CHECKING:
    from napari_hdn.core.artefacts import Structure

_COLOURS = "CET-D1A"  # blue, white, red
_HEIGHT = 196
_PALE = 0.2  # the least correlation that may look strong
_NONE = (
    "Nothing to judge by: no background was flat enough, and no frames repeat. Draw a rectangle on "
    "background in a Shapes layer and choose it under Background."
)


class StructureView(QWidget):
    """A view of a `Structure`, or a word that there is none.

    Attributes
    ----------
    limit : float
        The correlation at which the map's colours end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limit = 1.0
        self.words = Sentence()
        self.map = Plot("lag y", "lag x in pixels", height=_HEIGHT)
        self.map.getAxis("left").setWidth(44)
        self.map.setFixedWidth(_HEIGHT)
        self.map.setAspectLocked(True)
        self.map.invertY(True)
        self.map.showGrid(x=False, y=False)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.image.setColorMap(pg.colormap.get(_COLOURS))
        self.map.addItem(self.image)
        self.profiles = Plot("correlation", "lag in pixels", height=_HEIGHT)
        self.profiles.getAxis("left").setWidth(58)
        self.profiles.add_legend((-6, 2))
        self.along = {
            name: self.profiles.plot(
                pen=pg.mkPen(colour, width=2),
                symbol=symbol,
                symbolSize=6,
                symbolBrush=colour,
                symbolPen=None,
                name=f"along {name}",
            )
            for name, colour, symbol in (("x", BLUE, "o"), ("y", ORANGE, "t"))
        }
        dashed = pg.mkPen(GREEN, width=1, style=Qt.PenStyle.DashLine)
        self.bounds = [pg.InfiniteLine(angle=0, pen=dashed) for _ in range(2)]
        for line in self.bounds:
            self.profiles.addItem(line)
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.words)
        self.plots = QWidget()
        side_by_side = QHBoxLayout(self.plots)
        side_by_side.setContentsMargins(0, 0, 0, 0)
        side_by_side.setSpacing(2)
        side_by_side.addWidget(self.map)
        side_by_side.addWidget(self.profiles, 1)
        layout.addWidget(self.plots)
        layout.addWidget(self.hint)

    def show_structure(self, structure: Structure | None, words: str = "") -> None:
        """Draw it; ``words`` instead of its own say what it means here."""
        self.plots.setVisible(structure is not None)
        if structure is None:
            self.words.setText(_NONE)
            self.hint.say("")
            return
        self.words.setText(words or structure.in_words())
        self._show_map(structure)
        self._show_profiles(structure)
        self.hint.say(
            f"Colours from −{self.limit:.2g} (blue) to {self.limit:.2g} (red), paler where weaker; "
            f"white noise stays within the dashed lines, ±{structure.bound:.2g}."
        )

    def _show_map(self, structure: Structure) -> None:
        values = np.array(structure.autocorrelation, dtype=np.float32)
        lags = len(values) // 2
        values[lags, lags] = np.nan  # 1 by definition: it would outshine the rest
        strongest = float(np.nanmax(np.abs(values)))
        self.limit = min(1.0, max(strongest, 3 * structure.bound, _PALE))
        shown = np.sign(values) * np.sqrt(
            np.abs(values) / self.limit
        )  # small ones show beside large
        self.image.setImage(shown, levels=(-1, 1))
        side = 2 * lags + 1
        self.image.setRect(QRectF(-lags - 0.5, -lags - 0.5, side, side))
        ticks = [(t, f"{t}") for t in range(-100, 101, 10) if abs(t) < lags - 1]
        for axis in ("left", "bottom"):
            self.map.getAxis(axis).setTicks([ticks])
        self.map.setRange(xRange=(-lags, lags), yRange=(-lags, lags), padding=0.02)

    def _show_profiles(self, structure: Structure) -> None:
        profiles = {"x": structure.profile_x, "y": structure.profile_y}
        for name, profile in profiles.items():
            self.along[name].setData(np.arange(1, len(profile)), profile[1:])
        for line, sign in zip(self.bounds, (-1, 1), strict=True):
            line.setValue(sign * structure.bound)
        values = np.concatenate([p[1:] for p in profiles.values()])
        low = min(float(values.min()), -1.5 * structure.bound)
        high = max(float(values.max()), 2.5 * structure.bound)  # room for the legend
        self.profiles.setYRange(low, high, padding=0.08)
        self.profiles.setXRange(1, len(structure.profile_x) - 1, padding=0.04)
