"""What was found about a restoration: verdicts, curves, and what to do with them."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_hdn.api import spoken_levels
from napari_hdn.ui.judging import Judged
from napari_hdn.ui.parts.checks import CheckList, Sentence
from napari_hdn.ui.parts.forms import Hint, row
from napari_hdn.ui.parts.plots.trust import CalibrationPlot, LevelBars
from napari_hdn.ui.parts.section import Section

_UNMEASURED = (
    "Not measured: choose repeats of a static scene, or a second frame of this one, and judge again. "
    "Until then the standard deviation ranks places by certainty; it is no error bar."
)
_MISSED = {"prior": "prior against image", "control": "pure noise", "repeats": "error bars"}


class Verdicts(QWidget):
    """A view of one judgement."""

    layers_wanted = Signal()
    report_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.about = Hint()
        self.checks = CheckList()
        self.missed = Hint()
        self.layers = QPushButton("Add maps as layers")
        self.layers.setToolTip(
            "The parts of the trust map, residuals, standard deviation and the prior's share, each as a "
            "hidden layer"
        )
        self.report = QPushButton("Save report...")
        self.report.setToolTip(
            "One page to print or to attach to a paper, its numbers and its maps, to a folder; nothing "
            "there is overwritten"
        )
        self.calibration_section = Section("Are the error bars right?", expanded=True)
        self.calibration = CalibrationPlot()
        self.calibration_words = Sentence()
        self.prior_section = Section("Prior against image, by level", expanded=True)
        self.bars = LevelBars()
        self.prior_words = Sentence()
        for section, parts in (
            (self.calibration_section, (self.calibration_words, self.calibration)),
            (self.prior_section, (self.bars, self.prior_words)),
        ):
            for part in parts:
                section.inside.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.about)
        layout.addWidget(self.checks)
        layout.addWidget(self.missed)
        layout.addWidget(row(self.layers, self.report))
        layout.addWidget(self.calibration_section)
        layout.addWidget(self.prior_section)
        self.layers.clicked.connect(self.layers_wanted)
        self.report.clicked.connect(self.report_wanted)

    def show_judged(self, judged: Judged, *, chosen_now: str = "") -> None:
        """Show a judgement; ``chosen_now`` is an image, model or levels that it is not of."""
        found = judged.judgement
        off = f", {spoken_levels(found.settings.off)} off" if found.settings.off else ""
        text = f"Shown: {judged.piece.in_words()}, restored by {found.model.name}{off}."
        if chosen_now:
            text += f" You chose {chosen_now}: press Judge to look at it."
        self.about.say(text, warning=bool(chosen_now))
        self.checks.show_checks(found.checks)
        missed = ", ".join(_MISSED[name] for name in found.not_done)
        self.missed.say(f"Stopped before: {missed}." if missed else "", warning=True)
        self.calibration.setVisible(found.spread is not None)
        if found.spread is None:
            self.calibration_words.setText(_UNMEASURED)
        else:
            self.calibration_words.setText(found.spread.in_words())
            self.calibration.show_spread(found.spread)
        self.prior_section.setVisible(found.prior is not None)
        if found.prior is not None:
            self.bars.show_prior(found.prior)
            self.prior_words.setText(found.prior.in_words())
