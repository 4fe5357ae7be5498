"""A table of numbers that can be sorted, and copied so that it pastes into a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.ui.parts.tables import dress

_MOST_PX = 130  # of a column: a long name must not hide the numbers
_ROW_PX = 24
_SHOWN_ROWS = 8  # higher tables scroll


class _Cell(QTableWidgetItem):
    """Sorted by its value, not by its text."""

    def __init__(self, value: Any) -> None:
        super().__init__(_text(value))
        self.value = value
        if not isinstance(value, str):
            self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        mine, its = self.value, getattr(other, "value", None)
        if mine is None or its is None:
            return mine is None and its is not None
        return bool(mine < its)


class ResultTable(QWidget):
    """Rows of a result, with a button that copies all of them with the header.

    Parameters
    ----------
    copy_label : str
        Of the button.
    """

    row_chosen = Signal(object)  # the first value of the row

    def __init__(self, copy_label: str = "Copy table") -> None:
        super().__init__()
        self._header: tuple[str, ...] = ()
        self._rows: list[tuple[Any, ...]] = []
        self.table = QTableWidget(0, 0)
        dress(self.table, _ROW_PX)
        heads = self.table.horizontalHeader()
        heads.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        heads.setMaximumSectionSize(_MOST_PX)
        self.copy = QPushButton(copy_label)
        self.copy.setToolTip("All rows with the header, to paste into a spreadsheet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.table)
        layout.addWidget(self.copy)
        self.copy.clicked.connect(self._on_copy)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.show_rows((), [])

    def show_rows(
        self,
        header: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        heads: Sequence[str] | None = None,
    ) -> None:
        """Show a table.

        Parameters
        ----------
        header : sequence of str
            What is copied, in full; shown as tool tips.
        rows : sequence of tuple
        heads : sequence of str, optional
            What stands above the columns, shorter.
        """
        self._header, self._rows = tuple(header), list(rows)
        self.table.setSortingEnabled(False)
        self.table.blockSignals(True)
        self.table.setColumnCount(len(self._header))
        self.table.setRowCount(len(self._rows))
        self.table.setHorizontalHeaderLabels(list(heads or header))
        for column, text in enumerate(self._header):
            self.table.horizontalHeaderItem(column).setToolTip(text)
        for at, values in enumerate(self._rows):
            for column, value in enumerate(values):
                self.table.setItem(at, column, _Cell(value))
        self.table.blockSignals(False)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as given, until a click
        self.copy.setEnabled(bool(self._rows))
        shown = min(max(len(self._rows), 1), _SHOWN_ROWS)
        head = self.table.horizontalHeader().sizeHint().height()
        bar = self.table.horizontalScrollBar().sizeHint().height()
        self.table.setFixedHeight(head + _ROW_PX * shown + bar + 4)

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(api.tsv_text(self._header, self._rows))

    def _on_selected(self) -> None:
        at = self.table.currentRow()
        item = self.table.item(at, 0) if at >= 0 else None
        if isinstance(item, _Cell):
            self.row_chosen.emit(item.value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
