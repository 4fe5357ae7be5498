"""A button that copies the paragraph for a methods section."""

from __future__ import annotations

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QApplication

from napari_hdn import api
from napari_hdn.api import HDNError
from napari_hdn.ui.parts.button import Button
from napari_hdn.ui.parts.forms import watch
from napari_hdn.ui.session import Session


class CopyMethods(Button):
    """Copies how the current model was trained and, after a restoration with it, how it restored.

    Parameters
    ----------
    session : Session
    restoring : bool
        Whether the last restoration is told, too.
    """

    def __init__(self, session: Session, *, restoring: bool) -> None:
        super().__init__(
            "Copy methods text",
            "Copy the paragraph for a paper's methods section, with references: how this model was "
            "trained" + (" and what was done in the last restoration with it" * restoring),
        )
        self._session = session
        self._restoring = restoring
        self.clicked.connect(self._on_clicked)
        watch(self, session.model_changed, self._show)
        self._show()

    def _show(self) -> None:
        self.allow("" if self._session.model is not None else "Choose or train a model first")

    def _on_clicked(self) -> None:
        try:
            model = self._session.chosen_model()
            recipe = getattr(self._session.last.get("restoration"), "recipe", None)
            made = model.summary.created
            told = self._restoring and recipe is not None and recipe.model.created == made
            text = api.methods_text(recipe if told else model)
        except HDNError as error:
            self._session.report(str(error))
            return
        about = f"the training of {model.name}" + " and the last restoration with it" * told
        copy_methods(text, about)


def copy_methods(text: str, about: str) -> None:
    """Put a methods text on the clipboard, and say so."""
    QApplication.clipboard().setText(text)
    show_info(f"Copied: the methods text of {about}. Paste it into your manuscript.")
