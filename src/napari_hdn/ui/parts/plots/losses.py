"""The losses of a training as they come in."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hdn.ui.parts.forms import Hint
from napari_hdn.ui.parts.plots.axes import BLUE, ORANGE, Plot
from napari_hdn.ui.training import LossHistory

_REDRAW_MS = 1000  # drawing takes the training's time


class LossPlot(QWidget):
    """Reconstruction above, KL below: they differ too much in size to share an axis."""

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(Hint("Loss in nats per pixel: reconstruction, and KL below"))
        self.plots = {
            "reconstruction": Plot("reconstr.", height=112, zoom=True),
            "kl": Plot("KL", "training step", height=150, zoom=True),
        }
        self.curves: dict[tuple[str, str], pg.PlotDataItem] = {}
        for plot in self.plots.values():
            layout.addWidget(plot)
        self.plots["kl"].setXLink(self.plots["reconstruction"])
        self.plots["reconstruction"].add_legend((-8, 4))
        for part in self.plots:
            named = part == "reconstruction"
            self.curves["training", part] = self.plots[part].plot(
                pen=pg.mkPen(BLUE, width=1), name="training" if named else None
            )
            self.curves["validation", part] = self.plots[part].plot(
                pen=pg.mkPen(ORANGE, width=2),
                symbol="o",
                symbolSize=5,
                symbolBrush=ORANGE,
                symbolPen=None,
                name="validation" if named else None,
            )
        self._shown: tuple[LossHistory, LossHistory] | None = None
        self._outdated = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REDRAW_MS)
        self._rest.timeout.connect(self._draw_if_needed)

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
            for part in self.plots:
                self.curves[name, part].setData(history.steps, getattr(history, part))
        for part in self.plots:
            values = np.array(getattr(training, part) + getattr(validation, part))
            values = values[np.isfinite(values)]
            if len(values):
                self.plots[part].setYRange(*_span(values), padding=0.08)
        self.plots["reconstruction"].enableAutoRange(axis="x")


def _span(values: np.ndarray) -> tuple[float, float]:
    """The range worth seeing: the first steps' high losses would flatten all that follows."""
    high = float(np.quantile(values, 0.95)) if len(values) > 20 else float(values.max())
    low = float(values.min())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
