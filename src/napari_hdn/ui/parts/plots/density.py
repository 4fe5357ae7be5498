"""How counts spread at one signal: p(x | s)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hdn.ui.parts.forms import Hint
from napari_hdn.ui.parts.plots.axes import BLUE, GREEN, ORANGE, Plot
from napari_hdn.ui.parts.plots.variance import spoken_counts

if TYPE_CHECKING:
    from napari_hdn.core.noise.base import NoiseModel

_POINTS = 601
_SIGMAS = 5.0  # to either side


class DensityPlot(QWidget):
    """The density of counts, with the signal and one sigma on either side marked."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = Plot("p(x | s)", "counts x", height=140)
        self.density = self.plot.plot(
            pen=pg.mkPen(ORANGE, width=2), fillLevel=0, brush=pg.mkBrush(240, 154, 42, 50)
        )
        self.signal_line = pg.InfiniteLine(angle=90, pen=pg.mkPen(GREEN, width=2))
        dashed = pg.mkPen(BLUE, width=1, style=pg.QtCore.Qt.PenStyle.DashLine)
        self.sigma_lines = [pg.InfiniteLine(angle=90, pen=dashed) for _ in range(2)]
        for line in (self.signal_line, *self.sigma_lines):
            self.plot.addItem(line)
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.hint)
        layout.addWidget(self.plot)

    def show_density(self, model: NoiseModel, signal: float, curve: int) -> None:
        """Draw p(x | s) at a signal in counts, of one of the model's noise curves."""
        sigma = float(np.sqrt(model.variance_curve(np.array([signal]), curve)[0]))
        reach = _SIGMAS * sigma
        counts = np.linspace(signal - reach, signal + reach, _POINTS)
        density = model.density_curve(counts, signal, curve)
        self.density.setData(counts, density)
        self.plot.setXRange(counts[0], counts[-1], padding=0)
        self.plot.setYRange(0, max(float(density.max()), 1e-12), padding=0.06)
        self.signal_line.setValue(signal)
        for line, sign in zip(self.sigma_lines, (-1, 1), strict=True):
            line.setValue(signal + sign * sigma)
        self.hint.say(_words(counts, density, signal, sigma))


def _words(counts: np.ndarray, density: np.ndarray, signal: float, sigma: float) -> str:
    weights = density / density.sum() if density.sum() > 0 else np.full(len(density), np.nan)
    below = np.cumsum(weights)
    low, high = (float(np.interp(share, below, counts)) for share in (0.025, 0.975))
    at, mean, spread, low_, high_ = (
        spoken_counts(v, 2 * sigma) for v in (signal, float(weights @ counts), sigma, low, high)
    )
    return (
        f"A pixel of signal {at} counts (green) reads {mean} on average, sigma {spread} (blue); "
        f"19 of 20 such pixels read {low_} to {high_}."
    )
