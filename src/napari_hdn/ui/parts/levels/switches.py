"""Which latent levels take part in a restoration: one box each, 1 = finest."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import Hint, watch
from napari_hdn.ui.session import Session


class LevelSwitches(QWidget):
    """Boxes for the levels of the session's model; a view of which ones are off."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addStretch(1)
        self.boxes: list[QCheckBox] = []  # level 1 first
        self._none = Hint("those of the model, once one is chosen")
        self._none.setWordWrap(False)
        self._layout.insertWidget(0, self._none)
        self._shown: object = None
        watch(self, session.model_changed, self._on_model)
        watch(self, session.levels_changed, self._on_levels)
        self._on_model()

    def switched_off(self) -> tuple[int, ...] | None:
        """The levels that are off; None without a model."""
        return self._session.levels_off if self.boxes else None

    def _on_model(self) -> None:
        model = self._session.model
        if model is self._shown:
            return
        self._shown = model
        for box in self.boxes:
            box.deleteLater()
        network = None if model is None else model.config.network
        self.boxes = []
        self._none.setVisible(network is None)
        if network is None:
            return
        for level in range(1, network.levels + 1):
            box = QCheckBox(str(level))
            untrained = level in network.deactivated_levels
            is_top = level == network.levels
            box.setEnabled(not is_top and not untrained)
            box.setToolTip(explain_level(level, is_top=is_top, untrained=untrained))
            box.clicked.connect(partial(switch_level, self._session, level))
            self._layout.insertWidget(level - 1, box)
            self.boxes.append(box)
        self._on_levels()

    def _on_levels(self) -> None:
        for level, box in enumerate(self.boxes, 1):
            box.setChecked(level not in self._session.levels_off)


def switch_level(session: Session, level: int, on: bool) -> None:
    """Switch one level on or off."""
    off = {*session.levels_off} - {level} if on else {*session.levels_off, level}
    try:
        session.switch_levels_off(off)
    except HDNError as error:
        session.report(str(error))
        session.levels_changed.emit()  # the box goes back


def explain_level(level: int, *, is_top: bool, untrained: bool) -> str:
    """What a level is for, or why it cannot be switched."""
    if is_top:
        return "The top level has to stay on"
    if untrained:
        return "The model was trained without this level"
    return (
        f"Details of about {2**level} pixels; level 1 is the finest. Switching the bottom levels "
        "off removes line noise and other fine artefacts."
    )
