"""A button that copies the paragraph for a methods section."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QPushButton

from napari_hdn import api
from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import watch
from napari_hdn.ui.session import Session


class CopyMethods(QPushButton):
    """Copies how the current model was trained and, after a restoration with it, how it restored.

    Parameters
    ----------
    session : Session
    restoring : bool
        Whether the last restoration is told, too.
    """

    def __init__(self, session: Session, *, restoring: bool) -> None:
        super().__init__("Copy methods text")
        self._session = session
        self._restoring = restoring
        self.setToolTip(
            "Copy the paragraph for a paper's methods section, with references: how this model was "
            "trained" + (" and what was done in the last restoration with it" * restoring)
        )
        self.clicked.connect(self._on_clicked)
        watch(self, session.model_changed, self._show)
        self._show()

    def _show(self) -> None:
        self.setEnabled(self._session.model is not None)

    def _on_clicked(self) -> None:
        try:
            model = self._session.chosen_model()
            recipe = getattr(self._session.last.get("restoration"), "recipe", None)
            made = model.summary.created
            told = self._restoring and recipe is not None and recipe.model.created == made
            QApplication.clipboard().setText(api.methods_text(recipe if told else model))
        except HDNError as error:
            self._session.report(str(error))
