"""Measured variance and the model's over the signal, with the images' signals underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.ui.parts.forms import Hint
from napari_hdn.ui.parts.plots.axes import BLUE, GREEN, ORANGE, SHADE, Plot

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration, SignalHistogram

_SEEN = 5e-4  # share of the pixels at either end of the histogram that need not be in the plot
_DECADES = 4  # of the histogram's shares
_CURVE_POINTS = 241


def spoken_counts(value: float, span: float) -> str:
    """A number of counts with the digits that matter where counts span ``span``."""
    digits = 2 - int(np.floor(np.log10(max(span, 1e-12))))
    return f"{value:.{min(max(digits, 0), 9)}f}"


class VariancePlot(QWidget):
    """A vertical line in it can be dragged to a signal.

    Attributes
    ----------
    uncovered : list of (low, high)
        Signals of the images, within the plot, at which the noise was not measured.
    """

    signal_moved = Signal(float)  # counts

    def __init__(self) -> None:
        super().__init__()
        self.uncovered: list[tuple[float, float]] = []
        self.top = Plot("variance", height=142)
        self.bottom = Plot("pixels", "signal in counts", height=100)
        self.bottom.setXLink(self.top)
        self.top.add_legend((-8, -4))  # noise grows with the signal: nothing is there
        self.bars = pg.ErrorBarItem(pen=pg.mkPen(BLUE, width=1))
        self.top.addItem(self.bars)
        self.points = self.top.plot(
            pen=None, symbol="o", symbolSize=6, symbolBrush=BLUE, symbolPen=None, name="measured"
        )
        self.model = self.top.plot(pen=pg.mkPen(ORANGE, width=2), name="model")
        self.histogram = pg.PlotCurveItem(
            [0, 1],
            [0],
            stepMode="center",
            fillLevel=0,
            brush=pg.mkBrush(150, 150, 160, 130),
            pen=None,
        )
        self.bottom.addItem(self.histogram)
        self.line = pg.InfiniteLine(
            angle=90, movable=True, pen=pg.mkPen(GREEN, width=3), hoverPen=pg.mkPen(GREEN, width=6)
        )
        self.line.setZValue(10)
        self.top.addItem(self.line)
        self.twin = pg.InfiniteLine(angle=90, pen=pg.mkPen(GREEN, width=1))
        self.bottom.addItem(self.twin)
        self._shades: list[tuple[Plot, pg.LinearRegionItem]] = []
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.top)
        layout.addWidget(self.bottom)
        layout.addWidget(self.hint)
        self.line.sigPositionChanged.connect(self._on_line)

    @property
    def signal(self) -> float:
        """Where the line stands, in counts."""
        return float(self.line.value())

    def show_calibration(self, calibration: Calibration, curve: int) -> None:
        """Draw one of its noise curves, counted from 0."""
        covered = api.covered_signal(calibration)
        low, high = _range(calibration)
        signal = np.linspace(low, high, _CURVE_POINTS)
        self.model.setData(signal, calibration.noise_model.variance_curve(signal, curve))
        self._show_measured(calibration, curve)
        self._show_histogram(calibration.histogram)
        self._shade(calibration.histogram, covered, (low, high))
        self._explain(calibration.histogram, covered)
        self.top.setXRange(low, high, padding=0.02)
        self.line.setBounds((low, high))

    def put_line(self, signal: float) -> None:
        """Move the line without a user."""
        self.line.setValue(signal)

    def _show_measured(self, calibration: Calibration, curve: int) -> None:
        if curve >= len(calibration.measured):  # only the first images' curves are kept
            self.points.setData([], [])
            self.bars.setData(x=None, y=None)
            highest = 0.0
        else:
            measured = calibration.measured[curve]
            two = 2 * measured.error
            self.points.setData(measured.signal, measured.variance)
            self.bars.setData(
                x=measured.signal,
                y=measured.variance,
                top=two,
                bottom=np.minimum(two + measured.rounding, measured.variance),
                beam=0,
            )
            highest = float((measured.variance + two).max(initial=0))
        model = float(np.max(self.model.getData()[1]))
        self.top.setYRange(0, max(highest, model, 1e-12), padding=0.06)

    def _show_histogram(self, histogram: SignalHistogram) -> None:
        """Shares on a logarithmic axis: what is rare is what a calibration lacks."""
        shares = np.asarray(histogram.pixels, dtype=float)
        most = np.log10(shares.max())
        least = np.log10(max(shares[shares > 0].min() / 2, shares.max() * 10.0**-_DECADES))
        heights = np.log10(np.maximum(shares, 10.0**least)) - least
        self.histogram.setData(np.asarray(histogram.edges, dtype=float), heights)
        decades = np.arange(np.ceil(least), np.floor(most) + 1)
        step = 1 + len(decades) // 3
        ticks = [(d - least, f"{100 * 10.0**d:g} %") for d in decades[::-1][::step]]
        self.bottom.getAxis("left").setTicks([ticks])
        self.bottom.setYRange(0, max(most - least, 0.1), padding=0.06)

    def _shade(
        self,
        histogram: SignalHistogram,
        covered: tuple[float, float] | None,
        seen: tuple[float, float],
    ) -> None:
        for plot, region in self._shades:
            plot.removeItem(region)
        self._shades, self.uncovered = [], []
        if covered is None:
            return
        least = max(float(histogram.edges[0]), seen[0])
        most = min(float(histogram.edges[-1]), seen[1])
        for ends in ((least, min(covered[0], most)), (max(covered[1], least), most)):
            if ends[1] <= ends[0]:
                continue
            self.uncovered.append(ends)
            for plot in (self.top, self.bottom):
                region = pg.LinearRegionItem(ends, movable=False, brush=SHADE, pen=pg.mkPen(None))
                region.setZValue(-10)
                plot.addItem(region)
                self._shades.append((plot, region))

    def _explain(self, histogram: SignalHistogram, covered: tuple[float, float] | None) -> None:
        words = "Bars: two standard errors. Drag the green line to a signal."
        if covered is None:
            words += " The file does not tell at which signals its noise was measured."
        elif self.uncovered:
            centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
            outside = (centres < covered[0]) | (centres > covered[1])
            share = 100 * float(histogram.pixels[outside].sum())
            words += f" Shaded: not measured, {share:.2g} % of the pixels."
        self.hint.say(words)

    def _on_line(self) -> None:
        self.twin.setValue(self.signal)
        self.signal_moved.emit(self.signal)


def _range(calibration: Calibration) -> tuple[float, float]:
    """Signals worth seeing: those measured, and those of nearly all pixels."""
    histogram = calibration.histogram
    below = np.cumsum(histogram.pixels)
    first = int(np.searchsorted(below, _SEEN))
    last = int(np.searchsorted(below, below[-1] - _SEEN))
    ends = [np.asarray(histogram.edges)[[first, min(last + 1, len(below))]]]
    ends += [c.signal for c in calibration.measured if len(c.signal)]
    low, high = (float(f(np.concatenate(ends))) for f in (np.min, np.max))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
