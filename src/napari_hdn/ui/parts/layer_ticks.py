"""Several of the viewer's layers, ticked in a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_hdn.ui.parts.forms import watch
from napari_hdn.ui.session import Session

_ROW_PX = 22
_SHOWN = (3, 8)  # rows, at least and at most


class LayerTicks(QListWidget):
    """A list of layers with a tick each, kept up to date; what was ticked stays ticked.

    Parameters
    ----------
    session : Session
    accept : callable
        Which layers are offered.
    """

    edited = Signal()

    def __init__(self, session: Session, accept: Callable[[Layer], bool]) -> None:
        super().__init__()
        self._session = session
        self._accept = accept
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        events = session.viewer.layers.events
        for event in (events.removed, events.reordered):
            watch(self, event, self.refresh)
        watch(self, events.inserted, self._on_inserted)
        for layer in session.viewer.layers:
            watch(self, layer.events.name, self._on_renamed)
        self.itemChanged.connect(lambda *_: self.edited.emit())
        self.refresh()

    @property
    def layers(self) -> list[Layer]:
        """Those that are ticked, in the order of the list."""
        return [
            item.data(Qt.ItemDataRole.UserRole)
            for item in map(self.item, range(self.count()))
            if item.checkState() == Qt.CheckState.Checked
        ]

    def tick(self, layer: Layer, on: bool = True) -> None:
        """Tick a layer, or take its tick away."""
        for item in map(self.item, range(self.count())):
            if item.data(Qt.ItemDataRole.UserRole) == layer:
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def refresh(self) -> None:
        """List the layers anew."""
        viewer = self._session.viewer
        if viewer is None:
            return
        ticked = self.layers
        self.blockSignals(True)
        self.clear()
        for layer in viewer.layers:
            if self._accept(layer):
                item = QListWidgetItem(layer.name)
                item.setData(Qt.ItemDataRole.UserRole, layer)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                on = any(layer is t for t in ticked)
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
                item.setToolTip(layer.name)
                self.addItem(item)
        self.blockSignals(False)
        least, most = _SHOWN
        self.setFixedHeight(_ROW_PX * min(max(self.count(), least), most) + 6)
        self.edited.emit()

    def _on_inserted(self, event: Any) -> None:
        watch(self, event.value.events.name, self._on_renamed)
        self.refresh()

    def _on_renamed(self) -> None:
        for item in map(self.item, range(self.count())):
            item.setText(item.data(Qt.ItemDataRole.UserRole).name)
