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
    looked = Signal()  # the images are known now, or why there are none

    def __init__(self, title: str, *, all_needed: bool = True) -> None:
        super().__init__(title)
        self._all_needed = all_needed  # whether one that cannot be opened spoils the folder
        self.unopened: list[Unopened] = []
        self._folder: Path | None = None
        self._stacks: list[FileStack] | None = None
        self._error: str | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_AFTER_MS)
        self._timer.timeout.connect(self._look)
        self.changed.connect(self._on_changed)

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
        self._timer.stop()
        if self._folder is not None:
            self._timer.start()
        self.path_changed.emit()

    def _look(self) -> None:
        folder = self._folder
        if folder is None:
            return

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
                return api.open_images([folder]), []
            except HDNError:
                if self._all_needed:
                    raise
            images = list(api.open_each(api.find_files([folder])))
            stacks = [image for image in images if isinstance(image, FileStack)]
            return stacks, [image for image in images if isinstance(image, Unopened)]

        jobs.look_up(look, on_result, on_error, owner=self)
