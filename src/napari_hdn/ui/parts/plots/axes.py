"""What all plots in docks share: the viewer's theme, colours, and quiet axes."""

from __future__ import annotations

import pyqtgraph as pg

from napari_hdn.ui.parts.forms import watch
from napari_hdn.ui.parts.theme import background_colour, text_colour, theme_changed

# told apart by the colour-blind, on dark and on light ground
BLUE, ORANGE, GREEN = "#5fa8ff", "#f09a2a", "#21b08a"
SHADE = (227, 182, 23, 60)
_LEFT_PX = 66
_BOTTOM_PX = 36
_TICKS_PX = 22


class Plot(pg.PlotWidget):
    """A plot of fixed height that looks like the dock around it.

    Parameters
    ----------
    left, bottom : str
        Labels of the axes; without ``bottom`` the axis has neither label nor numbers.
    height : int
        In pixels.
    zoom : bool
        Whether the mouse zooms and pans; without, the wheel scrolls the dock.
    """

    def __init__(self, left: str, bottom: str = "", *, height: int, zoom: bool = False) -> None:
        super().__init__()
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setMouseEnabled(x=zoom, y=zoom)
        self.setFixedHeight(height)
        for side in ("left", "bottom"):
            self.getAxis(side).enableAutoSIPrefix(False)
        self.setLabel("left", left)
        self.getAxis("left").setWidth(_LEFT_PX)
        if bottom:
            self.setLabel("bottom", bottom)
            self.getAxis("bottom").setHeight(_BOTTOM_PX)
            self.getPlotItem().layout.setContentsMargins(0, 0, 0, 6)  # the label hangs out by 5
        else:
            self.getAxis("bottom").setStyle(showValues=False)
        self.showGrid(x=True, y=True, alpha=0.2)
        self.legend: pg.LegendItem | None = None
        self._take_theme()
        watch(self, theme_changed(), self._take_theme)

    def add_legend(self, offset: tuple[float, float]) -> None:
        """Name the curves that are added from now on; ``offset`` as pyqtgraph has it."""
        self.legend = self.addLegend(offset=offset, verSpacing=-6, labelTextSize="8pt")
        self._take_theme()

    def _take_theme(self) -> None:
        text = text_colour()
        self.setBackground(background_colour())
        for side in ("left", "bottom"):
            self.getAxis(side).setPen(text)
            self.getAxis(side).setTextPen(text)
        if self.legend is not None:
            self.legend.setLabelTextColor(text)
            for _, label in self.legend.items:
                label.setText(label.text, color=text)
