"""How the noise model held in training: what posterior samples left of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_hdn.ui.parts.checks import Badge, Sentence
from napari_hdn.ui.parts.plots.axes import BLUE, GREEN, ORANGE, Plot
from napari_hdn.ui.parts.section import Section

if TYPE_CHECKING:
    from napari_hdn.core.training.residuals import ResidualCheck


class ResidualView(Section):
    """Variance and kurtosis of z-scores over the signal, with the verdict in words."""

    def __init__(self) -> None:
        super().__init__("Residual check", expanded=True)
        self.badge = Badge()
        self.sentence = Sentence()
        verdict = QWidget()
        line = QHBoxLayout(verdict)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.badge, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(self.sentence, 1)
        self.plot = Plot("z-scores", "signal in counts", height=150)
        self.plot.add_legend((-8, 4))
        dashed = pg.mkPen(GREEN, width=1, style=pg.QtCore.Qt.PenStyle.DashLine)
        for right in (0, 1):
            self.plot.addItem(pg.InfiniteLine(right, angle=0, pen=dashed))
        look = {"symbol": "o", "symbolSize": 6, "symbolPen": None}
        self.variance = self.plot.plot(
            pen=pg.mkPen(BLUE, width=2), symbolBrush=BLUE, name="variance (right: 1)", **look
        )
        self.kurtosis = self.plot.plot(
            pen=pg.mkPen(ORANGE, width=1), symbolBrush=ORANGE, name="kurtosis (0 if normal)", **look
        )
        self.inside.addWidget(verdict)
        self.inside.addWidget(self.plot)
        self.show_check(None)

    def show_check(self, check: ResidualCheck | None) -> None:
        """Show a check, or nothing."""
        self.setVisible(check is not None)
        if check is None:
            return
        self.badge.show_verdict(check.verdict)
        self.sentence.setText(check.in_words())
        self.variance.setData(check.signal, check.variance_at)
        self.kurtosis.setData(check.signal, check.kurtosis_at)
        values = (*check.variance_at, *check.kurtosis_at)
        low, high = min(-0.3, *values), max(1.6, *values)
        self.plot.setYRange(low, high + 0.4 * (high - low), padding=0.08)  # room for the legend
