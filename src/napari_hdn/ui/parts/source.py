"""Which images: a layer or a folder of images, what its axes are, and which channel."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QWidget

from napari_hdn.api import HDNError, ImageStack
from napari_hdn.ui.channel_names import channel_names
from napari_hdn.ui.layers import guess_layer_axes, product_of, selectable, stack_of
from napari_hdn.ui.parts.channel import ChannelChoice
from napari_hdn.ui.parts.folder import FOLDER_TITLE, ImageFolder
from napari_hdn.ui.parts.forms import Choice, Form, Hint, watch
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
        self.addItem("Folder of images ...", FOLDER)
        self.choose(before)
        if before is None and layers:
            self.setCurrentIndex(0)
        self.blockSignals(False)
        if before is None or self.value() != before:
            self.currentIndexChanged.emit(self.currentIndex())

    def _deliberate(self) -> bool:
        """Whether the present choice is worth keeping when a better one arrives."""
        value = self.value()
        if value == FOLDER:
            return self.keep_folder
        return value is not None and product_of(value) not in {"mean", "truth"}

    def _follow_name(self, event: Any) -> None:
        watch(self, event.value.events.name, self.refresh)


class ImageSource(QWidget):
    """The images to work on, with an immediate word on whether they can be used.

    Parameters
    ----------
    session : Session
    purpose : str
        What becomes of them, as it stands below their size.
    """

    changed = Signal()

    def __init__(self, session: Session, purpose: str = "to learn from") -> None:
        super().__init__()
        self._session = session
        self._purpose = purpose
        self.images = LayerChoice(session)
        self.folder = ImageFolder(FOLDER_TITLE)
        self.axes = QLineEdit()
        self.axes.setPlaceholderText("one letter per axis, as TYX")
        self.axes.setToolTip(
            "One letter per axis: S sample, T time, C channel, Z depth, Y and X. Guessed from the "
            "shape and the axis labels; correct it if it is wrong. Every Y-X plane is one image."
        )
        self.channel = ChannelChoice("all, each as an image of its own")
        self.hint = Hint()
        form = self.form = Form(self)
        form.add("Images", self.images)
        form.add("", self.folder)
        form.add("Axes", self.axes)
        form.add("Channel", self.channel)
        form.addRow(self.hint)
        self.images.currentIndexChanged.connect(self._on_image_chosen)
        self.folder.path_changed.connect(self._on_folder_changed)
        self.folder.looked.connect(self._on_folder_looked)
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
            raise HDNError(
                "Choose an image layer, or a folder with images: TIFF, OME-Zarr or NumPy."
            )
        return FolderSource(self.folder.path, axes or None, channel)

    def _on_image_chosen(self) -> None:
        self.form.setRowVisible(self.folder, self.images.value() == FOLDER)
        self.axes.setText(self._known_axes())
        self._check()

    def _on_folder_changed(self) -> None:
        self.images.keep_folder = self.folder.path is not None
        if self.layer is None:
            self.axes.setText(self._known_axes())
            self._check()

    def _on_folder_looked(self) -> None:
        if self.layer is None:
            if self.axes.text().strip():
                self._remember_axes()
            else:
                self.axes.setText(self._known_axes())
            self._check()

    def _known_axes(self) -> str:
        """What the user said before, else what the images tell."""
        try:
            if self.layer is not None:
                return guess_layer_axes(self.layer, self._session.axes_of(self.layer))
            if self.folder.path is None:
                return ""
            stacks = self.folder.stacks()
            told = stacks[0].axes if stacks else ""
            return self._session.axes_of(self.folder.path) or told
        except HDNError:  # told by _check
            return ""

    def _on_axes_edited(self) -> None:
        self._remember_axes()
        self._check()

    def _remember_axes(self) -> None:
        """Only axes that fit: other docks take them as they are."""
        images = self.layer if self.layer is not None else self.folder.path
        if images is None:
            return
        try:
            stack = self._stack()
        except HDNError:
            stack = None
        given = bool(self.axes.text().strip())
        self._session.set_axes(images, stack.axes if stack is not None and given else None)

    def _check(self) -> None:
        try:
            stack = self._stack()
            self.channel.offer([] if stack is None else [stack], self._channel_names(stack))
            if stack is None:
                self.hint.say("" if self.folder.path is None else "Looking into the folder ...")
            else:
                chosen = stack.of_channel(self.channel.value())
                self.hint.say(f"{describe(chosen)} {self._purpose}{self._others()}")
            self.form.setRowVisible(self.channel, self.channel.count() > 0)
        except HDNError as error:
            self.form.setRowVisible(self.channel, False)
            self.hint.say(str(error), warning=True)
        self.changed.emit()

    def _stack(self) -> ImageStack | None:
        """The image, or the first in the folder, with all its channels."""
        axes = self.axes.text().strip() or None
        if self.layer is not None:
            return stack_of(self.layer, axes)
        stacks = None if self.folder.path is None else self.folder.stacks()
        if not stacks:
            return None
        return ImageStack(stacks[0].array, axes or stacks[0].axes, stacks[0].name)

    def _channel_names(self, stack: ImageStack | None) -> tuple[str, ...]:
        if stack is None:
            return ()
        if self.layer is not None:
            return channel_names(stack.axes, self.layer.metadata, stack.array)
        stacks = self.folder.stacks()
        return stacks[0].metadata.channel_names if stacks else ()

    def _others(self) -> str:
        if self.layer is not None:
            return ""
        count = len(self.folder.stacks() or [])
        return f" (first of {count} images)" if count > 1 else " (one image)"
