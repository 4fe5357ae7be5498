"""Which model: the one in hand, one that was saved, or a folder from elsewhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QInputDialog, QPushButton, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.progress import spoken_time
from napari_hdn.ui.preferences import preferences
from napari_hdn.ui.session import Session

if TYPE_CHECKING:
    from napari_hdn.api import HDN

_UNSAVED = "unsaved"


def summarise(model: HDN) -> str:
    """One or two lines that tell models apart."""
    network, done = model.config.network, model.summary
    size = f"{model.parameters / 1e6:.2f} million" if model.parameters >= 1e5 else model.parameters
    levels = f"{network.levels} level{'s' if network.levels > 1 else ''}"
    stopped = ", stopped early" if done.stopped else ""
    return (
        f"{levels}, {size} parameters; {done.steps} steps in {spoken_time(done.seconds)}{stopped}, "
        f"{_local(done.created)}. Learned from {'; '.join(done.data)}. "
        f"Noise: {model.noise_model.describe()}"
    )


def _local(created: str) -> str:
    """A time as the clock on the wall shows it; models note it in UTC."""
    try:
        return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:  # from another program
        return created[:16].replace("T", " ")


class ModelChoice(QWidget):
    """A view of the session's current model.

    Parameters
    ----------
    session : Session
    label : str
        What stands to its left.
    """

    def __init__(self, session: Session, label: str = "Model") -> None:
        super().__init__()
        self._session = session
        self.models = Choice()
        self.browse = QPushButton("Browse")
        self.browse.setToolTip("Choose a model folder from elsewhere")
        self.rename = QPushButton("Rename")
        self.summary = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = Form()
        form.add(label, self.models)  # names of variants are long, and differ at their end
        form.add("", row(self.browse, self.rename))
        form.addRow(self.summary)
        layout.addLayout(form)
        self.models.activated.connect(self._on_chosen)
        self.browse.clicked.connect(self._on_browse)
        self.rename.clicked.connect(self._on_rename)
        watch(self, session.models_changed, self.refresh)
        watch(self, session.model_changed, self.refresh)
        watch(self, preferences.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session's model among those on disk."""
        current = self._session.model_folder
        try:
            folders = api.list_models()
            error = None
        except HDNError as caught:
            folders, error = [], str(caught)
        if current is not None and current not in folders:
            folders.insert(0, current)
        self.models.blockSignals(True)
        self.models.clear()
        unsaved = self._session.unsaved
        if current is None and self._session.model is None:
            self.models.addItem("none chosen" if folders else "none yet", None)
        if unsaved is not None:
            self.models.addItem("not saved", _UNSAVED)
            tip = "Trained, but it could not be saved; it is lost when napari closes"
            self.models.setItemData(self.models.count() - 1, tip, 3)
        for folder in folders:
            self.models.addItem(folder.name, folder)
            self.models.setItemData(self.models.count() - 1, str(folder), 3)  # tool tip
        in_hand = unsaved is not None and self._session.model is unsaved
        self.models.choose(_UNSAVED if in_hand else current)
        self.models.blockSignals(False)
        self.rename.setEnabled(in_hand or current is not None)
        self.rename.setText("Save as ..." if in_hand else "Rename")
        self.rename.setToolTip("Save this model" if in_hand else "Give this model another name")
        self._summarise(current, error)

    def _summarise(self, current: Path | None, error: str | None) -> None:
        session = self._session
        if error or session.model_error:
            self.summary.say(error or session.model_error, warning=True)
        elif session.model is not None:
            self.summary.say(summarise(session.model))
        else:
            self.summary.say("" if current is None else f"Reading {current.name} ...")

    def _on_chosen(self) -> None:
        chosen = self.models.value()
        if chosen == _UNSAVED:
            self._session.choose_unsaved()
        else:
            self._session.choose_model(chosen)

    def _on_browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Model folder", str(api.models_folder()))
        if chosen:
            self._session.choose_model(Path(chosen))

    def _on_rename(self) -> None:
        session = self._session
        if session.model_folder is not None:
            title, now, act = "Rename model", session.model_folder.name, session.rename_model
        else:
            job = session.last.get("training")
            wanted = "" if job is None or job.folder is None else job.folder.name
            title, now, act = "Save model", wanted, session.save_model
        name, agreed = QInputDialog.getText(self, title, "Name of the model", text=now)
        if not agreed:
            return
        try:
            act(name)
        except HDNError as error:
            session.report(str(error))
