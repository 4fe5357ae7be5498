"""How the error of the mean falls with the number of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_hdn.api import decibels
from napari_hdn.ui.parts.forms import Hint
from napari_hdn.ui.parts.plots.axes import BLUE, ORANGE, Plot

if TYPE_CHECKING:
    from napari_hdn.core.restoring.convergence import Convergence
    from napari_hdn.ui.restoration.sufficiency import Law

_UP_TO = 128
_LEAST_DB = 1e-3


class SufficiencyView(QWidget):
    """A button to measure, a plot of the law with what was measured, and words."""

    def __init__(self) -> None:
        super().__init__()
        self.measure = QPushButton("Measure on what is in view")
        self.measure.setToolTip("Draws 32 samples of what is in view of the first ticked layer")
        self.plot = Plot("dB to the limit", "samples", height=150)
        self.plot.setLogMode(x=True, y=True)
        self.plot.add_legend((-8, 4))
        ticks = 2 ** np.arange(int(np.log2(_UP_TO)) + 1)
        self.plot.getAxis("bottom").setTicks([[(float(np.log10(n)), str(n)) for n in ticks]])
        self.curves: dict[str, pg.PlotDataItem] = {}
        for name, colour in (("independent", BLUE), ("in pairs", ORANGE)):
            self.curves[name] = self.plot.plot(pen=pg.mkPen(colour, width=2), name=name)
            self.curves[f"{name}, measured"] = self.plot.plot(
                pen=None, symbol="o", symbolSize=6, symbolBrush=colour, symbolPen=None
            )
        self.words = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.measure, self.plot, self.words):
            layout.addWidget(widget)
        self.plot.hide()

    def show_law(self, known: Law | None, samples: int) -> None:
        """Draw the law, and say what it means for so many samples."""
        self.plot.setVisible(known is not None)
        if known is None:
            self.words.say("")
            return
        law = known.convergence
        limit = law.spread.single
        numbers = np.unique(np.round(np.geomspace(1, _UP_TO, 40)))
        measured = {"independent": law.singles, "in pairs": law.paired}
        for name, excess in measured.items():
            pairs = name == "in pairs"
            shown = numbers[numbers >= 2] if pairs else numbers
            curve = [decibels(law.law(n, pairs=pairs), limit) for n in shown]
            self.curves[name].setData(shown, np.maximum(curve, _LEAST_DB))
            points = [(n, decibels(e, limit)) for n, e in zip(law.counts, excess, strict=True)]
            seen = [(n, max(db, _LEAST_DB)) for n, db in points if np.isfinite(db)]
            self.curves[f"{name}, measured"].setData(*np.array(seen).T)
        self.words.say(f"{known.of}: {_in_words(law, samples)}")


def _in_words(law: Convergence, samples: int) -> str:
    limit = law.spread.single
    alone = decibels(law.law(samples, pairs=False), limit)
    text = f"{samples} independent samples: within {alone:.2f} dB of the limit"
    if samples > 1:
        paired = decibels(law.law(samples, pairs=True), limit)
        text += f"; in pairs, as the mean takes them: {paired:.2f} dB"
    return f"{text}. {law.spread.enough()} samples in pairs are enough for 0.05 dB."
