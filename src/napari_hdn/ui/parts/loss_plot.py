"""The losses of a training as they come in."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hdn.ui.parts.forms import Hint, watch
from napari_hdn.ui.training import LossHistory

_TRAINING, _VALIDATION = "#5fa8ff", "#ffb14a"  # told apart by the colour-blind, too
_REDRAW_MS = 1000  # drawing takes the training's time
_PARTS = (("reconstruction", "reconstr."), ("kl", "KL"))


class LossPlot(QWidget):
    """Reconstruction above, KL below: they differ too much in size to share an axis."""

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(Hint("Loss in nats per pixel: reconstruction, and KL below"))
        self.plots: dict[str, pg.PlotWidget] = {}
        self.curves: dict[tuple[str, str], pg.PlotDataItem] = {}
        for part, label in _PARTS:
            plot = pg.PlotWidget()
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setLabel("left", f"{label}")
            plot.getAxis("left").setWidth(58)
            plot.getAxis("left").enableAutoSIPrefix(False)
            plot.getAxis("bottom").enableAutoSIPrefix(False)
            plot.showGrid(x=True, y=True, alpha=0.2)
            self.plots[part] = plot
            layout.addWidget(plot)
        top, bottom = (self.plots[p] for p, _ in _PARTS)
        bottom.setLabel("bottom", "training step")
        bottom.getAxis("bottom").setHeight(42)
        bottom.getPlotItem().layout.setContentsMargins(0, 0, 0, 6)  # the label hangs out by 5
        top.getAxis("bottom").setStyle(showValues=False)  # those of the plot below
        bottom.setXLink(top)
        top.setFixedHeight(112)
        bottom.setFixedHeight(150)
        self.legend = top.addLegend(offset=(-8, 4), verSpacing=-6, labelTextSize="8pt")
        for part, _ in _PARTS:
            named = part == _PARTS[0][0]
            self.curves["training", part] = self.plots[part].plot(
                pen=pg.mkPen(_TRAINING, width=1), name="training" if named else None
            )
            self.curves["validation", part] = self.plots[part].plot(
                pen=pg.mkPen(_VALIDATION, width=2),
                symbol="o",
                symbolSize=5,
                symbolBrush=_VALIDATION,
                symbolPen=None,
                name="validation" if named else None,
            )
        self._shown: tuple[LossHistory, LossHistory] | None = None
        self._outdated = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REDRAW_MS)
        self._rest.timeout.connect(self._draw_if_needed)
        self._take_theme()
        watch(self, get_settings().appearance.events.theme, self._take_theme)

    def show_history(
        self, training: LossHistory, validation: LossHistory, *, now: bool = False
    ) -> None:
        """Draw what there is, at most about once a second, and only while it is seen."""
        self._shown, self._outdated = (training, validation), True
        if now:
            self._rest.stop()
        self._draw_if_needed()

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what came in while nobody looked."""
        super().showEvent(event)
        self._draw_if_needed()

    def _draw_if_needed(self) -> None:
        seen = self.isVisible() and not self._rest.isActive()
        if self._shown is not None and self._outdated and seen:
            self._outdated = False
            self._rest.start()
            self._draw(*self._shown)

    def _draw(self, training: LossHistory, validation: LossHistory) -> None:
        for name, history in (("training", training), ("validation", validation)):
            for part, _ in _PARTS:
                self.curves[name, part].setData(history.steps, getattr(history, part))
        for part, _ in _PARTS:
            values = np.array(getattr(training, part) + getattr(validation, part))
            values = values[np.isfinite(values)]
            if len(values):
                self.plots[part].setYRange(*_span(values), padding=0.08)
        self.plots["reconstruction"].enableAutoRange(axis="x")

    def _take_theme(self) -> None:
        theme = get_theme(get_settings().appearance.theme)
        text = theme.text.as_hex()
        for plot in self.plots.values():
            plot.setBackground(theme.background.as_hex())
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(text)
                plot.getAxis(side).setTextPen(text)
        self.legend.setLabelTextColor(text)
        for _, label in self.legend.items:
            label.setText(label.text, color=text)


def _span(values: np.ndarray) -> tuple[float, float]:
    """The range worth seeing: the first steps' high losses would flatten all that follows."""
    high = float(np.quantile(values, 0.95)) if len(values) > 20 else float(values.max())
    low = float(values.min())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
