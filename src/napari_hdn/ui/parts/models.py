"""Which model: the one in hand, one that was saved, or a folder from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QInputDialog, QPushButton, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.progress import spoken_time
from napari_hdn.ui.session import Session

if TYPE_CHECKING:
    from napari_hdn.api import HDN


def summarise(model: HDN) -> str:
    """One or two lines that tell models apart."""
    network, done = model.config.network, model.summary
    size = f"{model.parameters / 1e6:.2f} million" if model.parameters >= 1e5 else model.parameters
    levels = f"{network.levels} level{'s' if network.levels > 1 else ''}"
    stopped = ", stopped early" if done.stopped else ""
    return (
        f"{levels}, {size} parameters; {done.steps} steps in {spoken_time(done.seconds)}{stopped}, "
        f"{done.created[:16].replace('T', ' ')}. Learned from {'; '.join(done.data)}. "
        f"Noise: {model.noise_model.describe()}"
    )


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
        self.rename.setToolTip("Give this model another name")
        self.summary = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = Form()
        form.add(label, row(self.models, self.browse, self.rename, stretch=0))
        form.addRow(self.summary)
        layout.addLayout(form)
        self.models.activated.connect(self._on_chosen)
        self.browse.clicked.connect(self._on_browse)
        self.rename.clicked.connect(self._on_rename)
        watch(self, session.models_changed, self.refresh)
        watch(self, session.model_changed, self.refresh)
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
        if current is None:
            self.models.addItem("none chosen" if folders else "none yet", None)
        for folder in folders:
            self.models.addItem(folder.name, folder)
            self.models.setItemData(self.models.count() - 1, str(folder), 3)  # tool tip
        self.models.choose(current)
        self.models.blockSignals(False)
        self.rename.setEnabled(current is not None)
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
        self._session.choose_model(self.models.value())

    def _on_browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Model folder", str(api.models_folder()))
        if chosen:
            self._session.choose_model(Path(chosen))

    def _on_rename(self) -> None:
        session = self._session
        if session.model_folder is None:
            return
        name, agreed = QInputDialog.getText(
            self, "Rename model", "New name of the model", text=session.model_folder.name
        )
        if not agreed:
            return
        try:
            session.rename_model(name)
        except HDNError as error:
            session.report(str(error))
