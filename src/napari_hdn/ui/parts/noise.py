"""Where the noise model of a training comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.api import HDNError, NoiseConfig
from napari_hdn.ui import jobs
from napari_hdn.ui.parts.checks import verdict_in_words
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.method import NOISE_FILES
from napari_hdn.ui.session import Session

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration
    from napari_hdn.core.noise.base import NoiseModel

CALIBRATED = "calibrated"
_WORDS = {
    "auto": "Finds variance = gain × signal + offset by itself.",
    "gaussian": "The same spread everywhere, as after a camera's own processing.",
    "file": "A noise_model.json, such as from the folder of another model, or an .npz of earlier "
    "tools.",
}
_NONE_YET = "There is no calibrated noise model yet: make one in the dock Calibrate noise model."


class NoiseChoice(QWidget):
    """Calibrated, estimated, known, or loaded.

    A noise model that is calibrated while the session lasts is chosen by itself.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._taken: Path | None = None  # the last calibration that was chosen by itself
        self.source = Choice(
            [
                ("estimated from the images", "auto"),
                ("calibrated", CALIBRATED),
                ("known sigma", "gaussian"),
                ("loaded from a file", "file"),
            ]
        )
        self.calibrated = Choice()
        self.sigma = QDoubleSpinBox()
        self.sigma.setRange(0.001, 1e6)
        self.sigma.setDecimals(3)
        self.sigma.setValue(25.0)
        self.sigma.setSuffix(" counts")
        self.path = QLineEdit()
        self.path.setPlaceholderText("noise_model.json")
        self.browse = QPushButton("Browse")
        self._file = row(self.path, self.browse, stretch=0)
        self.hint = Hint()
        self.bootstrap = QCheckBox("refit its shape during training")
        self.bootstrap.setToolTip(
            "Half-way through training the shape of the noise curve is refitted to posterior samples "
            "of the network (bootstrap): within 25 %, its scale stays"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = self._form = Form()
        form.add("Noise model", self.source)
        form.add("", self.calibrated)
        form.add("Sigma", self.sigma)
        form.add("File", self._file)
        form.addRow(self.hint)
        form.add("", self.bootstrap)
        layout.addLayout(form)
        self.source.currentIndexChanged.connect(self._on_source)
        self.calibrated.currentIndexChanged.connect(self._explain)
        self.browse.clicked.connect(self._on_browse)
        watch(self, session.models_changed, self.refresh)
        watch(self, session.calibration_changed, self.refresh)
        self.refresh()

    @property
    def file(self) -> Path | None:
        """The file of the chosen noise model, if it comes from one."""
        source, text = self.source.value(), self.path.text().strip()
        if source == CALIBRATED:
            return self.calibrated.value()
        return Path(text).expanduser() if source == "file" and text else None

    def config(self) -> NoiseConfig:
        """The choice, checked.

        Raises
        ------
        HDNError
            If no noise model was calibrated yet.
        pydantic.ValidationError
            If something else is missing.
        """
        source = self.source.value()
        if source == CALIBRATED and self.file is None:
            raise HDNError(_NONE_YET)
        return NoiseConfig(
            source="file" if source == CALIBRATED else source,
            sigma=self.sigma.value() if source == "gaussian" else None,
            path=self.file,
            bootstrap=self.bootstrap.isChecked() and source != "gaussian",
        )

    def agreed(self) -> bool:
        """Ask before a noise model is used whose checks failed; once for each file.

        Raises
        ------
        HDNError
            If the file cannot be read.
        """
        path, known = self.file, self._session.accepted_noise_models
        if path is None or path.suffix.lower() != ".json" or path.resolve() in known:
            return True
        calibration = api.load_calibration(path)
        bad = getattr(calibration, "bad", ())  # a bare noise model was never judged
        if not bad:
            return True
        failed = "\n\n".join(f"{c.name.capitalize()}: {c.text} {c.advice}".rstrip() for c in bad)
        answer = QMessageBox.question(
            self,
            "Train with this noise model?",
            f"The noise model {path.stem} is not right for the images that it was judged on:\n\n"
            f"{failed}\n\nTrain with it all the same?",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        if answer != QMessageBox.StandardButton.Yes:
            return False
        known.add(path.resolve())
        return True

    def refresh(self) -> None:
        """List the calibrated noise models anew; one that was just made is chosen."""
        try:
            files, error = api.list_noise_models(), ""
        except HDNError as caught:
            files, error = [], str(caught)
        made = self._session.calibration_path
        before = self.calibrated.value()
        if made is not None and made not in files:
            files.insert(0, made)
        self.calibrated.blockSignals(True)
        self.calibrated.clear()
        for file in files:
            self.calibrated.addItem(file.stem, file)
            self.calibrated.setItemData(self.calibrated.count() - 1, str(file), 3)  # tool tip
        if not files:
            self.calibrated.addItem("none yet", None)
        new = made is not None and made != self._taken
        self.calibrated.choose(made if new else before)
        self.calibrated.blockSignals(False)
        if new:
            self._taken = made
            self.source.choose(CALIBRATED)
        self._on_source()
        if error:
            self.hint.say(error, warning=True)

    def _on_source(self) -> None:
        source = self.source.value()
        self._form.setRowVisible(self.calibrated, source == CALIBRATED)
        self._form.setRowVisible(self.sigma, source == "gaussian")
        self._form.setRowVisible(self._file, source == "file")
        self._form.setRowVisible(self.bootstrap, source != "gaussian")
        self._explain()

    def _explain(self) -> None:
        source, path = self.source.value(), self.file
        if source != CALIBRATED:
            self.hint.say(_WORDS[source])
        elif path is None:
            self.hint.say(_NONE_YET)
        elif path == self._session.calibration_path and self._session.calibration is not None:
            self._say_of(self._session.calibration)
        else:
            self.hint.say(f"Reading {path.stem} ...")

            def if_still(show: Callable[[Any], None]) -> Callable[[Any], None]:
                return lambda value: show(value) if self.file == path else None

            jobs.look_up(
                lambda: api.load_calibration(path),
                if_still(self._say_of),
                if_still(lambda text: self.hint.say(text, warning=True)),
                owner=self,
            )

    def _say_of(self, loaded: Calibration | NoiseModel) -> None:
        model = getattr(loaded, "noise_model", loaded)
        judged = model is not loaded
        words = verdict_in_words(loaded) if judged else "It was never judged on images."
        self.hint.say(f"{model.describe()}. {words}", warning=judged and loaded.verdict == "bad")

    def _on_browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Noise model", self.path.text(), NOISE_FILES)
        if chosen:
            self.path.setText(chosen)
