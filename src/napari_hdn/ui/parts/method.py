"""How the noise is to be measured, with the rows that this way needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.session import Session
from napari_hdn.ui.sources import LayerSource

NOISE_FILES = "Noise models (*.json *.npz)"

_SOURCES = (
    ("best for these images", "auto", "Takes the best source that the images allow and says why."),
    (
        "repeats of a static field",
        "repeats",
        "Frames along T or S of a field where nothing moves: their mean is the signal.",
    ),
    (
        "flat field",
        "flat_field",
        "Frames of an even field or a half-open diaphragm; with dark frames the offset is known.",
    ),
    (
        "clean and noisy image",
        "pair",
        "The images above are noisy; the clean one shows the same field, exposed for longer. "
        "Another scale is fitted.",
    ),
    (
        "slowly changing time series",
        "series",
        "Frames along T that change little from one to the next: their differences hold the noise.",
    ),
    (
        "the noisy images alone",
        "images",
        "From the grain of the flatter places in each image; less certain than repeats.",
    ),
    ("a file", "file", "A noise_model.json, or an .npz of earlier tools; judged on these images."),
)


class MethodChoice(QWidget):
    """The source of a calibration."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.source = Choice([(label, value) for label, value, _ in _SOURCES])
        self.hint = Hint()
        self.dark = LayerPick(session, "none")
        self.clean = LayerPick(session, "choose the clean image")
        self.path = QLineEdit()
        self.path.setPlaceholderText(".json or .npz")
        self.browse = QPushButton("Browse")
        self._file = row(self.path, self.browse, stretch=0)
        self.frames = Choice(
            [("register them", "register"), ("leave them out", "exclude"), ("keep them", "keep")]
        )
        self.frames.setToolTip(
            "Frames that are shifted, bleached or changed against the others. Registering fits shift "
            "and brightness of each frame; keeping counts the change as noise."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = self.form = Form()
        form.add("Measure on", self.source)
        form.addRow(self.hint)
        form.add("Dark frames", self.dark)
        form.add("Clean image", self.clean)
        form.add("File", self._file)
        form.add("Drifted", self.frames)
        layout.addLayout(form)
        self.source.currentIndexChanged.connect(self._on_source)
        self.browse.clicked.connect(self._on_browse)
        self._on_source()

    def settings(self) -> dict[str, Any]:
        """The fields of a `CalibrationConfig` that are chosen here."""
        source, text = self.source.value(), self.path.text().strip()
        frames = {"frames": self.frames.value()} if source == "repeats" else {}
        path = Path(text).expanduser() if source == "file" and text else None
        return {"source": source, "path": path, **frames}

    def others(self, channel: int | None) -> dict[str, LayerSource | None]:
        """The other layers that this source takes.

        Raises
        ------
        HDNError
            If one is missing or cannot be used.
        """
        source = self.source.value()
        if source == "pair" and self.clean.layer is None:
            raise HDNError("Choose the clean image that belongs to the noisy one.")
        return {
            "dark": self.dark.source(channel) if source == "flat_field" else None,
            "clean": self.clean.source(channel) if source == "pair" else None,
        }

    def _on_source(self) -> None:
        source = self.source.value()
        self.form.setRowVisible(self.dark, source == "flat_field")
        self.form.setRowVisible(self.clean, source == "pair")
        self.form.setRowVisible(self._file, source == "file")
        self.form.setRowVisible(self.frames, source == "repeats")
        self.hint.say(next(words for _, value, words in _SOURCES if value == source))
        self.changed.emit()

    def _on_browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Noise model", self.path.text(), NOISE_FILES)
        if chosen:
            self.path.setText(chosen)


def source_in_words(source: str) -> str:
    """A source of calibrations as the list of choices calls it."""
    return next(label for label, value, _ in _SOURCES if value == source)
