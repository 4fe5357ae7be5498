"""Where the noise model comes from."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hdn.api import NoiseConfig
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row

_WORDS = {
    "auto": "Finds variance = gain × signal + offset by itself.",
    "gaussian": "The same spread everywhere, as after a camera's own processing.",
    "file": "A noise_model.json, such as from the folder of another model.",
}


class NoiseChoice(QWidget):
    """Estimated, known, or loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.source = Choice(
            [
                ("estimated from the images", "auto"),
                ("known sigma", "gaussian"),
                ("loaded from a file", "file"),
            ]
        )
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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = self._form = Form()
        form.add("Noise model", self.source)
        form.add("Sigma", self.sigma)
        form.add("File", self._file)
        form.addRow(self.hint)
        layout.addLayout(form)
        self.source.currentIndexChanged.connect(self._on_source)
        self.browse.clicked.connect(self._on_browse)
        self._on_source()

    def config(self) -> NoiseConfig:
        """The choice, checked.

        Raises
        ------
        pydantic.ValidationError
            If something is missing.
        """
        source = self.source.value()
        text = self.path.text().strip()
        return NoiseConfig(
            source=source,
            sigma=self.sigma.value() if source == "gaussian" else None,
            path=Path(text).expanduser() if source == "file" and text else None,
        )

    def _on_source(self) -> None:
        source = self.source.value()
        self._form.setRowVisible(self.sigma, source == "gaussian")
        self._form.setRowVisible(self._file, source == "file")
        self.hint.say(_WORDS[source])

    def _on_browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Noise model", self.path.text(), "Noise model (*.json)"
        )
        if chosen:
            self.path.setText(chosen)
