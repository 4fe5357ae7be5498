"""One of the viewer's layers, or none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal

from napari_hdn.ui.layers import selectable
from napari_hdn.ui.parts.forms import Choice, watch
from napari_hdn.ui.session import Session
from napari_hdn.ui.sources import LayerSource


class LayerPick(Choice):
    """A list of layers, kept up to date, below a first entry that stands for none.

    Parameters
    ----------
    session : Session
    none_label : str
        What the first entry says.
    accept : callable
        Which layers are offered.
    """

    edited = Signal()  # another layer, or the chosen one has other data

    def __init__(
        self, session: Session, none_label: str, accept: Callable[[Layer], bool] = selectable
    ) -> None:
        super().__init__()
        self._session = session
        self._none_label = none_label
        self._accept = accept
        events = session.viewer.layers.events
        for event in (events.removed, events.reordered):
            watch(self, event, self.refresh)
        watch(self, events.inserted, self._on_inserted)
        for layer in session.viewer.layers:
            self._follow(layer)
        self.currentIndexChanged.connect(lambda *_: self.edited.emit())
        self.refresh()

    @property
    def layer(self) -> Layer | None:
        """The chosen layer."""
        return self.value()

    def source(self, channel: int | None = None) -> LayerSource | None:
        """The chosen layer for a job, with the axes that the user gave it in some dock.

        Raises
        ------
        HDNError
            If it cannot be used.
        """
        if self.layer is None:
            return None
        axes = self._session.axes_of(self.layer)
        source = LayerSource.of(self.layer, axes, None)
        stack = source.stack.of_channel(channel)
        return LayerSource(source.layer, stack, source.placement)

    def refresh(self) -> None:
        """List the layers anew, the one chosen before staying chosen."""
        viewer = self._session.viewer
        if viewer is None:
            return
        before = self.value()
        self.blockSignals(True)
        self.clear()
        self.addItem(self._none_label, None)
        for layer in viewer.layers:
            if self._accept(layer):
                self.addItem(layer.name, layer)
        self.choose(before)
        self.blockSignals(False)
        if self.value() is not before:
            self.currentIndexChanged.emit(self.currentIndex())

    def _on_inserted(self, event: Any) -> None:
        self._follow(event.value)
        self.refresh()

    def _follow(self, layer: Layer) -> None:
        watch(self, layer.events.name, self._on_renamed)
        if self._accept(layer):
            for name in ("data", "scale", "translate", "rotate", "affine", "units"):
                watch(self, layer.events[name], self._on_layer_edited)

    def _on_renamed(self) -> None:
        for i in range(1, self.count()):
            self.setItemText(i, self.itemData(i).name)

    def _on_layer_edited(self, event: Any) -> None:
        if event.source is self.layer:
            self.edited.emit()
