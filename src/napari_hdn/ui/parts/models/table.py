"""All saved models in a table, read in the background; one that cannot be read says why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.api import HDNError, ModelRecord
from napari_hdn.ui import jobs
from napari_hdn.ui.parts.forms import Hint, watch
from napari_hdn.ui.parts.tables import with_heads
from napari_hdn.ui.parts.theme import warning_colour
from napari_hdn.ui.session import Session

_HEADS = (
    ("Model", "Its name; bold: the one in hand"),
    ("Date", "When its training ended"),
    ("Steps", "How long it was trained, in steps; with those of the model that it was made of"),
    ("Levels", "How many latent levels, and which of them are off; 1 = finest"),
    ("Noise", "Its noise model"),
    ("Learned from", "Names, axes and shapes of the images"),
    ("Size", "On the disk, with all that belongs to it"),
)
_AT_A_TIME = 16  # models read in one go, so that the first ones are seen at once
_ROW_PX, _LEAST_PX = 24, 220

_known: dict[tuple[Any, ...], ModelRecord] = {}  # what was read of folders as they are


class _Cell(QTableWidgetItem):
    """Sorted by a value, not by its text."""

    def __init__(self, text: str, value: Any, *, right: bool = False) -> None:
        super().__init__(text)
        self.value = value
        if right:
            self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return bool(self.value < getattr(other, "value", self.value))


class ModelTable(QWidget):
    """A view of the models on disk.

    Parameters
    ----------
    session : Session
    """

    selected = Signal()  # other models than before

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._folders: list[Path] = []
        self._records: dict[Path, ModelRecord] = {}
        self._round = 0  # of reading; answers of an earlier one come too late
        self.wanted: set[Path] = set()  # to be selected once they are there
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search names, noise models and images")
        self.search.setClearButtonEnabled(True)
        self.table = with_heads(_HEADS, _ROW_PX)
        self.table.setMinimumHeight(_LEAST_PX)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        heads = self.table.horizontalHeader()
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        heads.setMaximumSectionSize(600)
        for column, width in enumerate((150, 106, 50, 92, 120, 150, 70)):
            self.table.setColumnWidth(column, width)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.search)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.hint)
        self.search.textChanged.connect(self._filter)
        self.table.itemSelectionChanged.connect(self.selected.emit)
        watch(self, session.models_changed, self.refresh)
        watch(self, session.model_changed, self._mark)
        self.refresh()

    @property
    def records(self) -> list[ModelRecord]:
        """Of the selected rows, from the top."""
        rows = sorted({i.row() for i in self.table.selectionModel().selectedRows()})
        folders = [self._folder_at(row) for row in rows if not self.table.isRowHidden(row)]
        return [self._records[f] for f in folders if f in self._records]

    @property
    def reading(self) -> bool:
        """Whether some are yet to be read."""
        return len(self._records) < len(self._folders)

    def select(self, folders: Sequence[Path]) -> None:
        """Select models, as soon as they are there."""
        self.wanted = set(folders)
        self._select_wanted()

    def refresh(self) -> None:
        """Show what is on the disk now; what was read before and is as it was is not read again."""
        chosen = {record.folder for record in self.records}
        try:
            self._folders, error = api.list_models(), ""
        except HDNError as caught:
            self._folders, error = [], str(caught)
        self._round += 1
        self._records = {}
        self.table.setRowCount(0)
        self.wanted |= chosen
        stamps = {folder: api.record_stamp(folder) for folder in self._folders}
        self._show([_known[s] for s in stamps.values() if s in _known])
        self._say(error)
        self._read_on(self._round, [(f, s) for f, s in stamps.items() if s not in _known])

    def explain(self, record: ModelRecord | None) -> None:
        """Say why a model cannot be read, if it cannot; else how many there are."""
        self._say("" if record is None else record.error or "")

    def _read_on(self, number: int, left: list[tuple[Path, Any]]) -> None:
        """Read some, show them, then the next: the window answers between."""
        if not left:
            return
        now, later = left[:_AT_A_TIME], left[_AT_A_TIME:]

        def on_result(records: list[ModelRecord]) -> None:
            if number != self._round:
                return
            for (_, stamp), record in zip(now, records, strict=True):
                _known[stamp] = record
            self._show(records)
            self._say()
            self._read_on(number, later)

        jobs.look_up(
            lambda: [api.read_record(folder) for folder, _ in now],
            on_result,
            lambda text: self._say(text),
            owner=self,
        )

    def _show(self, records: list[ModelRecord]) -> None:
        self.table.blockSignals(True)
        self.table.setSortingEnabled(False)
        first = self.table.rowCount()
        self.table.setRowCount(first + len(records))
        for row, record in enumerate(records, first):
            self._records[record.folder] = record
            for column, cell in enumerate(_cells(record)):
                self.table.setItem(row, column, cell)
        self.table.setSortingEnabled(True)  # sorts, too
        self.table.blockSignals(False)
        self._mark()
        self._filter()
        self._select_wanted()

    def _select_wanted(self) -> None:
        rows = [r for r in range(self.table.rowCount()) if self._folder_at(r) in self.wanted]
        if rows:
            self.table.blockSignals(True)
            if len(rows) == len(self.wanted):
                self.table.clearSelection()
            model, selection = self.table.model(), self.table.selectionModel()
            for row in rows:
                flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
                selection.select(model.index(row, 0), flags)
                self.wanted.discard(self._folder_at(row))
            self.table.scrollToItem(self.table.item(rows[0], 0))
            self.table.blockSignals(False)
        self.selected.emit()

    def _mark(self) -> None:
        """The one in hand in bold."""
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 0)
            font = item.font()
            font.setBold(self._folder_at(row) == self._session.model_folder)
            item.setFont(font)

    def _filter(self) -> None:
        words = self.search.text().lower().split()
        for row in range(self.table.rowCount()):
            record = self._records.get(self._folder_at(row))
            text = "" if record is None else f"{record.name} {record.noise} {record.data}".lower()
            self.table.setRowHidden(row, not all(word in text for word in words))

    def _say(self, error: str = "") -> None:
        read, total = len(self._records), len(self._folders)
        bad = sum(record.error is not None for record in self._records.values())
        if error:
            self.hint.say(error, warning=True)
        elif read < total:
            self.hint.say(f"Reading models: {read} of {total} ...")
        elif not total:
            self.hint.say(f"There are no models yet. They are kept in {api.models_folder()}.")
        else:
            damaged = f" {bad} cannot be read; choose one to see why." if bad else ""
            self.hint.say(
                f"{total} model{'s' * (total != 1)}, {_size(self._bytes())} in all.{damaged}",
                warning=bool(bad),
            )

    def _bytes(self) -> int:
        return sum(record.bytes for record in self._records.values())

    def _folder_at(self, row: int) -> Path:
        return self.table.item(row, 0).data(Qt.ItemDataRole.UserRole)


def _cells(record: ModelRecord) -> list[QTableWidgetItem]:
    off = ",".join(map(str, record.levels_off))
    levels = "" if record.levels is None else f"{record.levels}" + (f" ({off} off)" if off else "")
    steps = "" if record.steps is None else f"{record.steps}"
    data = "; ".join(record.data)
    cells: list[QTableWidgetItem] = [
        _Cell(record.name, record.name.casefold()),
        _Cell(_local(record.created), record.created),
        _Cell(steps, record.steps or 0, right=True),
        _Cell(levels, (record.levels or 0, record.levels_off)),
        _Cell(record.noise if record.error is None else "cannot be read", record.noise),
        _Cell(data if record.error is None else record.error, data),
        _Cell(_size(record.bytes), record.bytes, right=True),
    ]
    more = [
        str(record.folder),
        record.error or "",
        "stopped before its time" if record.stopped else "",
        f"{record.direct} direct network{'s' * (record.direct > 1)}" if record.direct else "",
    ]
    cells[0].setData(Qt.ItemDataRole.UserRole, record.folder)
    for cell in cells:
        own = [] if cell is cells[0] else [cell.text()]
        cell.setToolTip("\n".join(line for line in (*own, *more) if line))
        if record.error is not None:
            cell.setForeground(QBrush(QColor(warning_colour())))
    return cells


def _local(created: str) -> str:
    try:
        return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:  # from another program
        return created[:16].replace("T", " ")


def _size(count: int) -> str:
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 1), ("GB", 1)):
        if count < 1000 or unit == "GB":
            return f"{count:.{digits}f} {unit}"
        count /= 1000  # type: ignore[assignment]
    raise AssertionError
