"""What to restore: some of the layers, or a folder of images into another folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_hdn.api import HDNError, ImageStack
from napari_hdn.ui.layers import guess_layer_axes, product_of, selectable
from napari_hdn.ui.parts.channel import ChannelChoice
from napari_hdn.ui.parts.folder import FOLDER_TITLE, FolderPath, ImageFolder
from napari_hdn.ui.parts.forms import Choice, Form, Hint, watch
from napari_hdn.ui.session import Session
from napari_hdn.ui.sources import FolderSource, LayerSource, left_out_by_reader

_LAYER_ROLE = Qt.ItemDataRole.UserRole
_OURS = {"mean", "median", "map", "std", "preview", "truth"}


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
        self.kind = Choice([("layers", "layers"), ("a folder of images", "folder")])
        self.layers = LayerChecks(session)
        self.folder = ImageFolder(FOLDER_TITLE, all_needed=False)
        self.output = FolderPath("Folder for the restored images")
        self.axes = QLineEdit()
        self.axes.setPlaceholderText("as told by each image")
        self.axes.setToolTip(
            "Leave empty to take the axes given in the Train dock, else those that each image's "
            "labels and shape tell. One letter per axis: S, T, C, Z, Y, X."
        )
        self.channel = ChannelChoice("all")
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
        self.folder.path_changed.connect(self._check)
        self.folder.looked.connect(self._check)
        self.folder.looking.connect(self._check)
        self.axes.textEdited.connect(self._check)
        self.channel.currentIndexChanged.connect(self._check)
        watch(self, session.model_changed, self._on_model)
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
            raise HDNError("Choose the folder with the images to restore.")
        if self.output.path is None:
            raise HDNError("Choose the folder that the restored images are written to.")
        return FolderSource(self.folder.path, self._folder_axes(), self.chosen_channel())

    def folder_stacks(self) -> list[ImageStack]:
        """The images of the folder, of the chosen channel.

        Raises
        ------
        HDNError
            If no folders are named, or the images are not known yet.
        """
        self.folder_source()
        stacks = self._folder_stacks()
        if not stacks:
            raise HDNError("The folder is still being looked into; try again in a moment.")
        return [s.of_channel(self.chosen_channel()) for s in stacks]

    def chosen_channel(self) -> int | None:
        """The channel to restore; as long as a folder's images are not known, the model's."""
        if self.is_folder and not self.channel.count():
            try:
                known = self._folder_stacks() is not None
            except HDNError:  # the job looks again, and tells
                known = False
            if not known:
                return self._models_channel()
        return self.channel.value()

    def _source(self, layer: Layer) -> LayerSource:
        axes = self.axes.text().strip() or guess_layer_axes(layer, self._session.axes_of(layer))
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
            text = self._look_at_folder() if self.is_folder else self._look_at_layers()
            left_out = "" if self.is_folder else self._left_out_by_readers()
            told = f"{text}. {left_out}" if left_out else text
            self.hint.say(
                told, warning=bool(left_out) or (self.is_folder and bool(self.folder.unopened))
            )
            self.form.setRowVisible(self.channel, self.channel.count() > 0)
        except HDNError as error:
            self.hint.say(str(error), warning=True)
        self.changed.emit()

    def _look_at_layers(self) -> str:
        sources = [self._source(x) for x in self.layers.ticked()]
        self._offer_channels([s.stack for s in sources], [s.channel_names for s in sources])
        if not self.layers.count():
            return (
                "There is no image layer yet: open images in napari, or choose a folder of images."
            )
        # once more, as a channel may have been chosen only now
        return _planes([self._source(x).stack for x in self.layers.ticked()])

    def _left_out_by_readers(self) -> str:
        remarks = map(left_out_by_reader, self.layers.ticked())
        return next((remark for remark in remarks if remark), "")

    def _look_at_folder(self) -> str:
        stacks = self._folder_stacks()
        named = [s.metadata.channel_names for s in self.folder.stacks() or []]
        self._offer_channels(stacks or [], named)
        if stacks is None:
            return self.folder.in_words()
        files = f"{len(stacks)} image{'s' if len(stacks) != 1 else ''}"
        planes = _planes([s.of_channel(self.channel.value()) for s in stacks])
        text = f"{files}, {planes}" if planes else files
        if unopened := self.folder.unopened:
            first = unopened[0].error
            which = "One more cannot" if len(unopened) == 1 else f"{len(unopened)} more cannot"
            text += f". {which} be restored, and will be left out: {first}"
        return text

    def _folder_stacks(self) -> list[ImageStack] | None:
        """The folder's images with all their channels, None as long as they are not known."""
        stacks = None if self.folder.path is None else self.folder.stacks()
        if stacks is None:
            return None
        axes = self._folder_axes()
        return [ImageStack(s.array, axes or s.axes, s.name) for s in stacks]

    def _folder_axes(self) -> str | None:
        given = self.axes.text().strip()
        return given or self._session.axes_of(self.folder.path)

    def _offer_channels(self, stacks: list[ImageStack], named: Sequence[tuple[str, ...]]) -> None:
        """With names where all images have the same."""
        names = named[0] if len(set(named)) == 1 else ()
        if self.channel.offer(stacks, names) and self.channel.count():
            self._take_channel()

    def _on_model(self) -> None:
        self._take_channel()
        self._check()

    def _take_channel(self) -> None:
        """A model trained on one channel is for that channel."""
        if self._session.model is not None and self.channel.count():
            self.channel.choose(self._models_channel())

    def _models_channel(self) -> int | None:
        model = self._session.model
        return None if model is None else model.config.channel


def _planes(stacks: list[ImageStack]) -> str:
    if not stacks:
        return ""
    planes = sum(len(s) for s in stacks)
    axes = ", ".join(dict.fromkeys(s.axes for s in stacks))
    channels = {s.channel for s in stacks if s.channel is not None}
    channel = f", channel {channels.pop()}" if len(channels) == 1 else ""
    return f"{planes} plane{'s' if planes != 1 else ''} to restore, axes {axes}{channel}"
