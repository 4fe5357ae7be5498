"""Which images: a layer or a folder of TIFFs, what its axes are, and which channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import HDNError, ImageStack
from napari_hdn.ui import jobs
from napari_hdn.ui.layers import guess_layer_axes, product_of, selectable, stack_of
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.session import Session
from napari_hdn.ui.sources import FolderSource, LayerSource, Source, describe

FOLDER = "folder"


class LayerChoice(Choice):
    """The viewer's images, kept up to date, with a folder of files as the last choice."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.keep_folder = False  # a folder is in use; without, new layers win over an empty choice
        events = session.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            watch(self, event, self.refresh)
        watch(self, events.inserted, self._follow_name)
        for layer in session.viewer.layers:
            watch(self, layer.events.name, self.refresh)
        self.refresh()
        active = session.viewer.layers.selection.active
        if active is not None and selectable(active):
            self.choose(active)

    def refresh(self) -> None:
        """List the layers anew, the one chosen before staying chosen."""
        viewer = self._session.viewer
        if viewer is None:
            return
        before = self.value() if self._deliberate() else None
        layers = [layer for layer in viewer.layers if selectable(layer)]
        # raw images first: what this plugin made is rarely what one wants to learn from
        layers.sort(key=lambda layer: product_of(layer) in {"mean", "truth"})
        self.blockSignals(True)
        self.clear()
        for layer in layers:
            self.addItem(layer.name, layer)
        self.addItem("Folder of TIFF files ...", FOLDER)
        self.choose(before)
        if before is None and layers:
            self.setCurrentIndex(0)
        self.blockSignals(False)
        if before is None or self.value() is not before:
            self.currentIndexChanged.emit(self.currentIndex())

    def _deliberate(self) -> bool:
        """Whether the present choice is worth keeping when a better one arrives."""
        value = self.value()
        if value == FOLDER:
            return self.keep_folder
        return value is not None and product_of(value) not in {"mean", "truth"}

    def _follow_name(self, event: Any) -> None:
        watch(self, event.value.events.name, self.refresh)


class FolderPath(QWidget):
    """A path to a folder, typed or browsed for."""

    changed = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.edit = QLineEdit()
        self.edit.setPlaceholderText(title)
        self.browse = QPushButton("Browse")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row(self.edit, self.browse, stretch=0))
        self.browse.clicked.connect(self._on_browse)
        self.edit.textChanged.connect(lambda _: self.changed.emit())

    @property
    def path(self) -> Path | None:
        """What stands there, or None."""
        text = self.edit.text().strip()
        return Path(text).expanduser() if text else None

    def _on_browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self._title, self.edit.text())
        if chosen:
            self.edit.setText(chosen)


class ImageSource(QWidget):
    """What to learn from, with an immediate word on whether it can be used."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._folder_stacks: list[ImageStack] | HDNError | None = None
        self.images = LayerChoice(session)
        self.folder = FolderPath("Folder with TIFF images")
        self.axes = QLineEdit()
        self.axes.setPlaceholderText("one letter per axis, as TYX")
        self.axes.setToolTip(
            "One letter per axis: S sample, T time, C channel, Z depth, Y and X. Guessed from the "
            "shape and the axis labels; correct it if it is wrong. Every Y-X plane is one image."
        )
        self.channel = Choice()
        self.hint = Hint()
        form = self.form = Form(self)
        form.add("Images", self.images)
        form.add("", self.folder)
        form.add("Axes", self.axes)
        form.add("Channel", self.channel)
        form.addRow(self.hint)
        self.images.currentIndexChanged.connect(self._on_image_chosen)
        self.folder.changed.connect(self._on_folder_changed)
        self.axes.textEdited.connect(self._on_axes_edited)
        self.channel.currentIndexChanged.connect(self._check)
        self._on_image_chosen()

    @property
    def layer(self) -> Layer | None:
        """The chosen layer, if it is one."""
        value = self.images.value()
        return None if value is None or value == FOLDER else value

    def snapshot(self) -> Source:
        """What is chosen, for a job.

        Raises
        ------
        HDNError
            If it cannot be used.
        """
        axes, channel = self.axes.text().strip(), self.channel.value()
        if self.layer is not None:
            return LayerSource.of(self.layer, axes or None, channel)
        if self.folder.path is None:
            raise HDNError("Choose an image layer, or a folder with TIFF images.")
        return FolderSource(self.folder.path, axes or None, channel)

    def _on_image_chosen(self) -> None:
        self.form.setRowVisible(self.folder, self.images.value() == FOLDER)
        if (layer := self.layer) is not None:
            self.axes.setText(self._session.axes_of(layer) or self._guess(layer))
            self._check()
        else:
            self._on_folder_changed()

    def _guess(self, layer: Layer) -> str:
        try:
            return guess_layer_axes(layer)
        except HDNError:  # told by _check
            return ""

    def _on_folder_changed(self) -> None:
        self._folder_stacks = None
        self.axes.clear()
        folder = self.folder.path
        self.images.keep_folder = folder is not None
        if folder is not None:

            def on_result(stacks: list[ImageStack]) -> None:
                if self.folder.path == folder:
                    self._folder_stacks = stacks
                    if not self.axes.text():
                        self.axes.setText(stacks[0].axes)
                    self._check()

            def on_error(error: Exception) -> None:
                if not isinstance(error, HDNError):
                    raise error
                if self.folder.path == folder:
                    self._folder_stacks = error
                    self._check()

            jobs.look_up(lambda: api.open_images([folder]), on_result, on_error, owner=self)
        self._check()

    def _on_axes_edited(self, text: str) -> None:
        if self.layer is not None:
            self._session.set_axes(self.layer, text.strip() or None)
        self._check()

    def _check(self) -> None:
        try:
            stack = self._stack()
            self._offer_channels(stack)
            if stack is None:
                self.hint.say("" if self.folder.path is None else "Looking into the folder ...")
            else:
                self.hint.say(describe(stack) + self._others())
        except HDNError as error:
            self.form.setRowVisible(self.channel, False)
            self.hint.say(str(error), warning=True)
        self.changed.emit()

    def _stack(self) -> ImageStack | None:
        axes = self.axes.text().strip() or None
        if self.layer is not None:
            return stack_of(self.layer, axes, self.channel.value())
        if isinstance(self._folder_stacks, HDNError):
            raise self._folder_stacks
        if self._folder_stacks is None:
            return None
        first = self._folder_stacks[0]
        return ImageStack(first.array, axes or first.axes, first.name, self.channel.value())

    def _others(self) -> str:
        if self.layer is not None or not isinstance(self._folder_stacks, list):
            return ""
        count = len(self._folder_stacks)
        return f" (first of {count} files)" if count > 1 else " (one file)"

    def _offer_channels(self, stack: ImageStack | None) -> None:
        count = 0
        if stack is not None and "C" in stack.axes:
            count = int(stack.array.shape[stack.axes.index("C")])
        if self.channel.count() != (count + 1 if count > 1 else 0):
            self.channel.blockSignals(True)
            self.channel.clear()
            if count > 1:
                self.channel.addItem("all, each as an image of its own", None)
                for i in range(count):
                    self.channel.addItem(f"channel {i}", i)
            self.channel.blockSignals(False)
        self.form.setRowVisible(self.channel, count > 1)
