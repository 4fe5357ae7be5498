"""Notes on a model, saved by themselves a moment after the last key."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import FRAMED, Hint
from napari_hdn.ui.session import Session

_AFTER_MS = 800
_HEIGHT_PX = 84


class ModelNotes(QWidget):
    """A view of the notes of one model.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._folder: Path | None = None
        self._saved = ""
        self.text = QPlainTextEdit()
        self.text.setFixedHeight(_HEIGHT_PX)
        self.text.setStyleSheet(FRAMED)
        self.hint = Hint()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_AFTER_MS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.text)
        layout.addWidget(self.hint)
        self.text.textChanged.connect(self._on_typed)
        self._timer.timeout.connect(self.save)
        self.text.installEventFilter(self)
        self.show_model(None)

    def show_model(self, folder: Path | None) -> None:
        """Show the notes of a model; what was written on the one before is saved first."""
        if folder == self._folder and folder is not None:
            return
        self.save()
        self._folder, text, error = folder, "", ""
        if folder is not None:
            try:
                text = api.read_notes(folder)
            except HDNError as caught:
                error = str(caught)
        self._saved = text
        self.text.blockSignals(True)
        self.text.setPlainText(text)
        self.text.blockSignals(False)
        self.text.setReadOnly(folder is None or bool(error))
        name = "" if folder is None else folder.name
        self.text.setPlaceholderText(
            f"Notes on {name}: sample, microscope, what it is good for ..."
            if name
            else "Select one model to read or write notes on it."
        )
        self.hint.say(error, warning=True)

    def save(self) -> None:
        """Write what was typed, if anything."""
        self._timer.stop()
        text = self.text.toPlainText()
        if self._folder is None or text == self._saved:
            return
        try:
            api.write_notes(self._folder, text, self._saved)
        except HDNError as error:
            self.hint.say(str(error), warning=True)
            self._session.report(str(error))
        else:
            self._saved = text
            self.hint.say(f"Saved with {self._folder.name}.")

    def eventFilter(self, watched: QWidget, event: QEvent) -> bool:
        """Save when the text is left, or the dock is closed."""
        if event.type() in (QEvent.Type.FocusOut, QEvent.Type.Hide):
            self.save()
        return bool(super().eventFilter(watched, event))

    def _on_typed(self) -> None:
        self.hint.say("")
        self._timer.start()
