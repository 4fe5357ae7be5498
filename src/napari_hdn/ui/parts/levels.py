"""Which latent levels take part in a restoration: one box each, 1 = finest."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_hdn.ui.parts.forms import watch
from napari_hdn.ui.session import Session


class LevelSwitches(QWidget):
    """Boxes for the levels of the session's model, as it was trained until the user says else."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addStretch(1)
        self.boxes: list[QCheckBox] = []  # level 1 first
        self._shown: object = None
        watch(self, session.model_changed, self._on_model)
        self._on_model()

    def switched_off(self) -> tuple[int, ...] | None:
        """The levels that are off; None without a model."""
        if not self.boxes:
            return None
        return tuple(i for i, box in enumerate(self.boxes, 1) if not box.isChecked())

    def _on_model(self) -> None:
        model = self._session.model
        if model is self._shown:
            return
        self._shown = model
        for box in self.boxes:
            box.deleteLater()
        network = None if model is None else model.config.network
        self.boxes = []
        for level in range(1, 0 if network is None else network.levels + 1):
            box = QCheckBox(str(level))
            box.setChecked(network is not None and level not in network.deactivated_levels)
            is_top = network is not None and level == network.levels
            box.setEnabled(box.isChecked() and not is_top)
            box.setToolTip(
                "The top level has to stay on"
                if is_top
                else "This model was trained without this level"
                if not box.isChecked()
                else f"Details of about {2**level} pixels; level 1 is the finest. Switching the "
                "bottom levels off removes line noise and other fine artefacts."
            )
            self._layout.insertWidget(level - 1, box)
            self.boxes.append(box)
