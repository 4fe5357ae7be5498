"""What to restore: some of the layers, or a folder of TIFFs into another folder."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_hdn.api import HDNError
from napari_hdn.ui.layers import product_of, selectable
from napari_hdn.ui.parts.forms import Choice, Form, Hint, watch
from napari_hdn.ui.parts.source import FolderPath
from napari_hdn.ui.session import Session
from napari_hdn.ui.sources import FolderSource, LayerSource

_LAYER_ROLE = Qt.ItemDataRole.UserRole
_OURS = {"mean", "std", "preview", "truth"}


class LayerChecks(QListWidget):
    """The viewer's images, each with a box to tick."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setFixedHeight(84)
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        viewer = session.viewer
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            watch(self, event, self.refresh)
        watch(self, events.inserted, self._follow_name)
        for layer in viewer.layers:
            watch(self, layer.events.name, self.refresh)
        active = viewer.layers.selection.active
        self.refresh(ticked=None if active is None else [active])
        self.itemChanged.connect(lambda _: self.changed.emit())

    def ticked(self) -> list[Layer]:
        """The layers to restore, in the order of the list."""
        items = [self.item(i) for i in range(self.count())]
        return [
            item.data(_LAYER_ROLE) for item in items if item.checkState() == Qt.CheckState.Checked
        ]

    def refresh(self, _: Any = None, *, ticked: list[Layer] | None = None) -> None:
        """List the layers anew, those ticked before staying ticked."""
        viewer = self._session.viewer
        if viewer is None:
            return
        layers = [x for x in viewer.layers if selectable(x) and product_of(x) not in _OURS]
        before = self.ticked() if ticked is None else ticked
        chosen = [x for x in before if x in layers] or layers[:1]
        self.blockSignals(True)
        self.clear()
        for layer in layers:
            item = QListWidgetItem(layer.name)
            item.setData(_LAYER_ROLE, layer)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            on = layer in chosen
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.addItem(item)
        self.blockSignals(False)
        self.changed.emit()

    def _follow_name(self, event: Any) -> None:
        watch(self, event.value.events.name, self.refresh)


class Targets(QWidget):
    """Layers or a folder, with an immediate word on whether they can be used."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.kind = Choice([("layers", "layers"), ("a folder of TIFF files", "folder")])
        self.layers = LayerChecks(session)
        self.folder = FolderPath("Folder with TIFF images")
        self.output = FolderPath("Folder for the restored images")
        self.axes = QLineEdit()
        self.axes.setPlaceholderText("as told by each image")
        self.axes.setToolTip(
            "Leave empty to take the axes given in the Train dock, else those that each image's "
            "labels and shape tell. One letter per axis: S, T, C, Z, Y, X."
        )
        self.channel = Choice()
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = self.form = Form()
        form.add("Restore", self.kind)
        form.add("", self.layers)
        form.add("From", self.folder)
        form.add("To", self.output)
        form.add("Axes", self.axes)
        form.add("Channel", self.channel)
        form.addRow(self.hint)
        layout.addLayout(form)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.layers.changed.connect(self._check)
        self.axes.textEdited.connect(self._check)
        self.channel.currentIndexChanged.connect(self._check)
        watch(self, session.model_changed, self._take_channel)
        self._on_kind()

    @property
    def is_folder(self) -> bool:
        """Whether files are to be restored."""
        return self.kind.value() == "folder"

    def layer_sources(self) -> list[LayerSource]:
        """The ticked layers, for a job.

        Raises
        ------
        HDNError
            If none is ticked, or one cannot be used.
        """
        layers = self.layers.ticked()
        if not layers:
            raise HDNError("Tick at least one image layer to restore.")
        return [self._source(layer) for layer in layers]

    def folder_source(self) -> FolderSource:
        """The folder, for a job.

        Raises
        ------
        HDNError
            If no folder is named, or none to write to.
        """
        if self.folder.path is None:
            raise HDNError("Choose the folder with the TIFF images to restore.")
        if self.output.path is None:
            raise HDNError("Choose the folder that the restored images are written to.")
        axes = self.axes.text().strip() or None
        return FolderSource(self.folder.path, axes, self.channel.value())

    def _source(self, layer: Layer) -> LayerSource:
        axes = self.axes.text().strip() or self._session.axes_of(layer)
        source = LayerSource.of(layer, axes, None)
        channel = self.channel.value()
        if channel is None or "C" not in source.stack.axes:
            return source
        return LayerSource.of(layer, axes, channel)

    def _on_kind(self) -> None:
        folder = self.is_folder
        self.form.setRowVisible(self.layers, not folder)
        self.form.setRowVisible(self.folder, folder)
        self.form.setRowVisible(self.output, folder)
        self._check()

    def _check(self) -> None:
        try:
            sources = [] if self.is_folder else [self._source(x) for x in self.layers.ticked()]
            self._offer_channels([s.stack for s in sources])
            planes = sum(len(s.stack) for s in sources)
            axes = ", ".join(dict.fromkeys(s.stack.axes for s in sources))
            plural = "s" if planes != 1 else ""
            self.hint.say(f"{planes} plane{plural} to restore, axes {axes}" if sources else "")
        except HDNError as error:
            self.hint.say(str(error), warning=True)
        self.changed.emit()

    def _offer_channels(self, stacks: list[Any]) -> None:
        counts = [int(s.array.shape[s.axes.index("C")]) for s in stacks if "C" in s.axes]
        count = max(counts, default=0)
        if self.channel.count() != (count + 1 if count > 1 else 0):
            self.channel.blockSignals(True)
            self.channel.clear()
            if count > 1:
                self.channel.addItem("all", None)
                for i in range(count):
                    self.channel.addItem(f"channel {i}", i)
            self.channel.blockSignals(False)
            self._take_channel()
        self.form.setRowVisible(self.channel, count > 1)

    def _take_channel(self) -> None:
        """A model trained on one channel is for that channel."""
        if self._session.model is not None and self.channel.count():
            self.channel.choose(self._session.model.config.channel)
