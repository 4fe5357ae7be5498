"""A folder, typed or browsed for, and what images are in it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import FileStack, HDNError, Unopened
from napari_hdn.ui import jobs
from napari_hdn.ui.parts.forms import row

FOLDER_TITLE = "Folder with images, or an OME-Zarr folder"
_TELL_EVERY_MS = 500
_AFTER_MS = 300  # since the last keystroke: half a path may be a folder with thousands of files


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
        if not text:
            return None
        try:
            return Path(text).expanduser()
        except RuntimeError:  # "~somebody", not typed to its end
            return Path(text)

    def _on_browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self._title, self.edit.text())
        if chosen:
            self.edit.setText(chosen)


class ImageFolder(FolderPath):
    """A folder of images, or an OME-Zarr, looked into in the background once its path is typed."""

    path_changed = Signal()  # to another folder, of whose images nothing is known yet
    looking = Signal()  # more images were opened, see `opened`
    looked = Signal()  # the images are known now, or why there are none

    def __init__(self, title: str, *, all_needed: bool = True) -> None:
        super().__init__(title)
        self._all_needed = all_needed  # whether one that cannot be opened spoils the folder
        self.unopened: list[Unopened] = []
        self.opened = 0  # images so far
        self._folder: Path | None = None
        self._stacks: list[FileStack] | None = None
        self._error: str | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_AFTER_MS)
        self._timer.timeout.connect(self._look)
        self._progress = QTimer(self)
        self._progress.setInterval(_TELL_EVERY_MS)
        self._progress.timeout.connect(self.looking)
        self.looked.connect(self._progress.stop)
        self.changed.connect(self._on_changed)

    def in_words(self) -> str:
        """What happens until the images are known."""
        if self._folder is None:
            return ""
        return f"Looking into the folder ...{f' {self.opened:,} images' if self.opened else ''}"

    def stacks(self) -> list[FileStack] | None:
        """The images in the folder, None as long as they are not known.

        Raises
        ------
        HDNError
            If the folder cannot be used.
        """
        if self._error is not None:
            raise HDNError(self._error)
        return self._stacks

    def _on_changed(self) -> None:
        if self.path == self._folder:
            return
        self._folder, self._stacks, self._error = self.path, None, None
        self.unopened = []
        self.opened = 0
        self._timer.stop()
        self._progress.stop()
        if self._folder is not None:
            self._timer.start()
        self.path_changed.emit()

    def _look(self) -> None:
        folder = self._folder
        if folder is None:
            return
        self._progress.start()

        def on_image(count: int) -> None:
            if self._folder != folder:
                raise HDNError("Another folder was chosen meanwhile.")
            self.opened = count

        def on_result(found: tuple[list[FileStack], list[Unopened]]) -> None:
            if self._folder == folder:
                self._stacks, self.unopened = found
                self.looked.emit()

        def on_error(text: str) -> None:
            if self._folder == folder:
                self._error = text
                self.looked.emit()

        def look() -> tuple[list[FileStack], list[Unopened]]:
            try:
                return api.open_images([folder], on_image=on_image), []
            except HDNError:
                if self._all_needed or self._folder != folder:
                    raise
            images = []
            for number, image in enumerate(api.open_each(api.find_files([folder])), 1):
                images.append(image)
                on_image(number)
            stacks = [image for image in images if isinstance(image, FileStack)]
            return stacks, [image for image in images if isinstance(image, Unopened)]

        jobs.look_up(look, on_result, on_error, owner=self)
