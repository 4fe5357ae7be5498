"""The calibration in hand: can it be trusted, its plots, its checks, its structure, its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QFileDialog, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_hdn.api import HDNError
from napari_hdn.ui.parts.checks import Badge, CheckList, Sentence, verdict_in_words
from napari_hdn.ui.parts.forms import Hint, row, watch
from napari_hdn.ui.parts.method import source_in_words
from napari_hdn.ui.parts.plots.density import DensityPlot
from napari_hdn.ui.parts.plots.structure import StructureView
from napari_hdn.ui.parts.plots.variance import VariancePlot
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.session import Session

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration

_JSON, _NPZ = "Noise model (*.json)", "GMM for other tools (*.npz)"


class CalibrationView(QWidget):
    """A view of the session's calibration; hidden as long as there is none."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._shown: Calibration | None = None
        self.badge = Badge()
        self.verdict = Sentence()
        self.facts = Hint()
        self.curve = QSpinBox()
        self.curve.setPrefix("curve of image ")
        self.curve.setToolTip("The images were scaled apart; each has a noise curve of its own")
        self.variance = VariancePlot()
        self.density = DensityPlot()
        self.checks = CheckList()
        self.structure = StructureView()
        self.saved = Hint()
        self.save = QPushButton("Save as ...")
        self.save.setToolTip("Write the noise model to another file, too")
        self.sections = {
            "variance": Section("Variance over the signal", expanded=True),
            "density": Section("Spread at the signal of the green line", expanded=True),
            "checks": Section("Checks", expanded=True),
            "structure": Section("Is the noise structured?"),
        }
        self._lay_out()
        self.curve.valueChanged.connect(self._show_curve)
        self.variance.signal_moved.connect(self._show_density)
        self.save.clicked.connect(self._on_save)
        watch(self, session.calibration_changed, self._show)
        self._show()

    def _lay_out(self) -> None:
        contents = {
            "variance": (self.curve, self.variance),
            "density": (self.density,),
            "checks": (self.checks,),
            "structure": (self.structure,),
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(row(self.badge, self.verdict, stretch=1))
        layout.addWidget(self.facts)
        layout.addWidget(row(self.saved, self.save, stretch=0))
        for name, widgets in contents.items():
            for widget in widgets:
                self.sections[name].inside.addWidget(widget)
            layout.addWidget(self.sections[name])

    def _show(self) -> None:
        calibration = self._session.calibration
        self.setVisible(calibration is not None)
        if calibration is None:
            return
        self._show_file()
        if calibration is self._shown:
            return
        self._shown = calibration
        self.badge.show_verdict(calibration.verdict)
        self.verdict.setText(f"<b>{verdict_in_words(calibration)}</b>")
        self.facts.say(_facts(calibration))
        self.checks.show_checks(calibration.checks)
        self.structure.show_structure(calibration.structure)
        if calibration.structure is not None and calibration.structure.verdict == "structured":
            self.sections["structure"].expand()
        curves = calibration.noise_model.curves
        self.curve.blockSignals(True)
        self.curve.setRange(1, curves)
        self.curve.setValue(1)
        self.curve.setSuffix(f" of {curves}")
        self.curve.blockSignals(False)
        self.curve.setVisible(curves > 1)
        self._show_curve()
        self.variance.put_line(_median(calibration))
        self._show_density()

    def _show_curve(self) -> None:
        if self._shown is not None:
            self.variance.show_calibration(self._shown, self.curve.value() - 1)
            self._show_density()

    def _show_density(self, *_: float) -> None:
        if self._shown is not None:
            model, curve = self._shown.noise_model, self.curve.value() - 1
            self.density.show_density(model, self.variance.signal, curve)

    def _show_file(self) -> None:
        path = self._session.calibration_path
        self.saved.setToolTip("" if path is None else str(path))
        if path is None:
            self.saved.say("Not saved: it is lost when napari closes.", warning=True)
        else:
            self.saved.say(f"Saved as {path.stem}; the dock Train HDN offers it.")

    def _on_save(self) -> None:
        path = self._ask_path()
        if path is None:
            return
        try:
            self._session.save_calibration(path)
            self.saved.say(f"Written to {path}.")
        except HDNError as error:
            self._session.report(str(error))

    def _ask_path(self) -> Path | None:
        assert self._shown is not None
        kinds = [_JSON, _NPZ] if self._shown.noise_model.kind == "gmm" else [_JSON]
        now = self._session.calibration_path
        chosen, kind = QFileDialog.getSaveFileName(
            self,
            "Save noise model",
            "noise_model.json" if now is None else now.name,
            ";;".join(kinds),
            options=QFileDialog.Option.DontConfirmOverwrite,  # nothing is ever replaced
        )
        if not chosen:
            return None
        path = Path(chosen)
        if path.suffix.lower() not in (".json", ".npz"):
            path = path.with_name(path.name + (".npz" if kind == _NPZ else ".json"))
        return path


def _facts(calibration: Calibration) -> str:
    how = f"Measured on {source_in_words(calibration.source)}: {calibration.reason}."
    return " ".join([f"{calibration.noise_model.describe()}.", how, *calibration.remarks])


def _median(calibration: Calibration) -> float:
    """The median signal of the images, counts."""
    histogram = calibration.histogram
    below = np.concatenate([[0.0], np.cumsum(histogram.pixels)])
    return float(np.interp(0.5 * below[-1], below, histogram.edges))
