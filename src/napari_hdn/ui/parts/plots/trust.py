"""Plots of a judgement: predicted spread against observed error, and what each level decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg

from napari_hdn.ui.parts.plots.axes import BLUE, GREEN, ORANGE, Plot
from napari_hdn.ui.parts.theme import text_colour

if TYPE_CHECKING:
    from napari_hdn.core.trust.prior_share import PriorShare
    from napari_hdn.core.trust.spread import SpreadCalibration

_BAR = 0.36


class CalibrationPlot(Plot):
    """Observed error over predicted spread, on logarithmic axes: most pixels have little of both."""

    def __init__(self) -> None:
        super().__init__("observed RMS error", "predicted std, counts", height=190)
        self.add_legend((10, 4))
        self.bars = pg.ErrorBarItem(pen=pg.mkPen(BLUE, width=1))
        self.addItem(self.bars)
        self.points = self.plot(
            pen=None, symbol="o", symbolSize=6, symbolBrush=BLUE, symbolPen=None, name="observed"
        )
        self.right = self.plot(pen=pg.mkPen(GREEN, width=1), name="as predicted")
        self.fit = self.plot(pen=pg.mkPen(ORANGE, width=2), name="times the factor")

    def show_spread(self, spread: SpreadCalibration) -> None:
        """Draw a calibration."""
        x = np.array(spread.predicted)
        least = max(0.2 * float(x[x > 0].min()) if (x > 0).any() else 1e-6, 1e-12)
        x, y = (np.maximum(a, least) for a in (x, np.array(spread.observed)))
        error = np.array(spread.error)
        up, down = np.log10((y + error) / y), np.log10(y / np.maximum(y - error, least))
        x, y = np.log10(x), np.log10(y)
        self.bars.setData(x=x, y=y, top=up, bottom=np.maximum(down, 0))
        self.points.setData(x, y)
        ends = np.array([x.min() - 0.1, x.max() + 0.1])
        self.right.setData(ends, ends)
        if spread.measured:
            self.fit.setData(ends, ends + np.log10(spread.factor))
        else:
            self.fit.setData([], [])
        low, high = min(float(y.min()), ends[0]), max(float((y + up).max()), ends[1])
        self.setXRange(*ends, padding=0)
        self.setYRange(low, high)
        self.getAxis("bottom").setTicks([_ticks(*ends)])
        self.getAxis("left").setTicks([_ticks(low, high)])


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """1, 2, 5, 10 between powers of ten; only as many as there is room for."""
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    every = [(d + np.log10(k), f"{k * 10.0**d:g}") for d in decades for k in steps]
    return [(float(at), text) for at, text in every if low <= at <= high]


class LevelBars(Plot):
    """Two bars a level: how far its samples differ, and what the image decided; the share beside."""

    def __init__(self) -> None:
        super().__init__("", "RMS counts; number: share of the prior", height=230)
        self.add_legend((-8, 2))  # above all bars: any of them may be the longest
        self.differs = pg.BarGraphItem(
            x0=[0], y=[0], height=_BAR, width=[0], brush=ORANGE, name="differs between samples"
        )
        self.decided = pg.BarGraphItem(
            x0=[0], y=[0], height=_BAR, width=[0], brush=BLUE, name="decided by the image"
        )
        self.addItem(self.differs)
        self.addItem(self.decided)
        self._numbers: list[pg.TextItem] = []

    def show_prior(self, prior: PriorShare) -> None:
        """Draw all levels, level 1 (finest) at the bottom."""
        levels = np.arange(1, prior.levels + 1)
        spread, decided = (
            np.sqrt((a.astype(np.float64) ** 2).mean(axis=(1, 2)))
            for a in (prior.spread, prior.decided)
        )
        zero = np.zeros(prior.levels)
        self.differs.setOpts(x0=zero, y=levels - _BAR / 2, height=_BAR, width=spread)
        self.decided.setOpts(x0=zero, y=levels + _BAR / 2, height=_BAR, width=decided)
        for number in self._numbers:
            self.removeItem(number)
        self._numbers = []
        far = float(max(spread.max(), decided.max(), 1e-9))
        for level, share, at in zip(
            levels, prior.of_levels, np.maximum(spread, decided), strict=True
        ):
            words = "off" if level in prior.off else f"{share:.2f}"
            number = pg.TextItem(words, color=text_colour(), anchor=(0, 0.5))
            number.setPos(float(at), float(level))
            self.addItem(number)
            self._numbers.append(number)
        self.getAxis("left").setTicks([[(int(k), f"level {k}") for k in levels]])
        self.setXRange(0, 1.25 * far, padding=0)
        room = 0.5 * (prior.levels + 0.2)  # for the legend
        self.setYRange(0.4, prior.levels + 0.6 + room, padding=0)
