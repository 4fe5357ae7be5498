"""A folder's restoration in the dock: what files to write, and a table of what came of each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, QUrl
from qtpy.QtGui import QColor, QDesktopServices
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QHeaderView,
    QPushButton,
    QStyledItemDelegate,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.api import BatchRow
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.parts.tables import dress
from napari_hdn.ui.parts.theme import warning_colour
from napari_hdn.ui.restoration import FolderJob

_HEADS = ("image", "status", "reason")
_ROW_PX = 22
_SHOWN_ROWS = 7
_AT_ROOT = QModelIndex()


class BatchModel(QAbstractTableModel):
    """The rows of a job, of which only those in sight are looked at: there may be thousands."""

    def __init__(self) -> None:
        super().__init__()
        self.job: FolderJob | None = None
        self._count = 0

    def show_job(self, job: FolderJob) -> None:
        """Show the rows as they are now."""
        if job is not self.job or len(job.rows) != self._count:
            self.beginResetModel()
            self.job, self._count = job, len(job.rows)
            self.endResetModel()
        elif self._count:
            self.dataChanged.emit(self.index(0, 0), self.index(self._count - 1, len(_HEADS) - 1))

    def rowCount(self, parent: QModelIndex = _AT_ROOT) -> int:
        """How many images there are."""
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: QModelIndex = _AT_ROOT) -> int:
        """Image, status, reason."""
        return 0 if parent.isValid() else len(_HEADS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:
        """What stands above the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _HEADS[section]
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """One cell."""
        if self.job is None:
            return None
        of = self.job.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return (of.image, self._status(index.row(), of), _beside(of))[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(filter(None, (of.image, of.reason, *of.files)))
        if role == Qt.ItemDataRole.ForegroundRole and of.status in ("failed", "done in part"):
            return QColor(warning_colour())
        return None

    def _status(self, number: int, of: BatchRow) -> str:
        assert self.job is not None
        if number != self.job.begun:
            return of.status
        done, planes = self.job.planes
        return f"{done} of {planes} planes" if planes > 1 else "running"


class _Reason(QStyledItemDelegate):
    """Cuts off the end of what is too long, where names are shortened in their middle."""

    def initStyleOption(self, option: Any, index: Any) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight


class BatchPart(QWidget):
    """What files a folder's images become, and the table of the batch while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.format = Choice([("OME-TIFF", "ome-tiff"), ("OME-Zarr", "ome-zarr")])
        self.format.setToolTip(
            "OME-TIFF: one file an image, read by every program. OME-Zarr 0.5: a folder an image, with "
            "smaller copies, for images of many gigabytes; one that was stopped is gone on with"
        )
        self.dtype = Choice([("float32", "float32"), ("as the images", "input")])
        self.dtype.setToolTip(
            "float32 keeps every value. As the images: rounded, and clipped to what their integer type "
            "holds; how many pixels were clipped is told. Uncertainties are always float32"
        )
        self.again = QCheckBox("restore again what was done before")
        self.again.setToolTip(
            "Else images are passed over that were restored into this folder before, with the same "
            "model and settings. Older results are kept; new files are numbered"
        )
        self.model = BatchModel()
        self._looked_at: int | None = None  # the row that was scrolled to last
        self.table = QTableView()
        self.table.setModel(self.model)
        self.summary = Hint()
        self.copy = QPushButton("Copy table")
        self.copy.setToolTip("All that is known of these images, to paste into a spreadsheet")
        self.open = QPushButton("Open folder")
        self.open.setToolTip("The folder of the restored images and of the table hdn-batch.csv")
        self._reason = _Reason()
        self._set_up_table()
        form = Form()
        form.add("Files", self.format)
        form.add("Pixels", self.dtype)
        form.add("", self.again)
        self.section = Section("Files, and what was done", expanded=True)
        self.section.inside.addLayout(form)
        self.section.inside.addWidget(self.table)
        self.section.inside.addWidget(self.summary)
        self.buttons = row(self.copy, self.open)
        self.section.inside.addWidget(self.buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.section)
        self.copy.clicked.connect(self._on_copy)
        self.open.clicked.connect(self._on_open)
        self._show_results(None)

    def choices(self) -> dict[str, Any]:
        """What was chosen, for a `FolderJob`."""
        return {
            "format": self.format.value(),
            "integers": self.dtype.value() == "input",
            "again": self.again.isChecked(),
        }

    def show_job(self, job: Job | None) -> None:
        """Show what came of each image so far; the last folder stays until there is another."""
        if not isinstance(job, FolderJob):
            return
        self.model.show_job(job)
        shown = job.begun if job.running else self._first_trouble(job)
        if shown not in (None, self._looked_at) and not self.table.underMouse():
            self.table.scrollTo(self.model.index(shown, 0))
        self._looked_at = shown
        self._show_results(job)

    @staticmethod
    def _first_trouble(job: FolderJob) -> int | None:
        return next((i for i, of in enumerate(job.rows) if of.status != "done"), None)

    def _show_results(self, job: FolderJob | None) -> None:
        there = job is not None and bool(job.rows)
        self.table.setVisible(there)
        self.buttons.setVisible(there)
        self.open.setEnabled(job is not None and job.target.is_dir())
        table = None if job is None else job.table
        self.summary.say("" if table is None or not table.exists() else f"Table: {table}")

    def _set_up_table(self) -> None:
        table = self.table
        dress(table, _ROW_PX)
        table.setItemDelegateForColumn(_HEADS.index("reason"), self._reason)
        heads = table.horizontalHeader()
        heads.setStretchLastSection(True)
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        heads.resizeSection(0, 150)
        heads.resizeSection(1, 88)
        table.setFixedHeight(heads.sizeHint().height() + _ROW_PX * _SHOWN_ROWS + 4)

    def _on_copy(self) -> None:
        job = self.model.job
        if job is not None:
            rows = [r.cells() for r in job.rows]
            QApplication.clipboard().setText(api.tsv_text(BatchRow.header(), rows))

    def _on_open(self) -> None:
        job = self.model.job
        if job is not None:
            open_folder(job.target)


def _beside(of: BatchRow) -> str:
    """The reason without the image's name, which stands beside it."""
    if not of.reason.startswith(of.image):
        return of.reason
    return of.reason.removeprefix(of.image).removeprefix(",").lstrip()


def open_folder(folder: Path) -> None:
    """Show a folder in the file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
