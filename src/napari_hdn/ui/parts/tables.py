"""The look that our tables share."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableView, QTableWidget


def dress(table: QTableView, row_px: int) -> None:
    """Small print, rows that are chosen as a whole and cannot be edited, names cut in their middle."""
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(row_px)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setWordWrap(False)  # else the end of a name is cut off, where names differ
    table.setStyleSheet("font-size: 8pt;")


def with_heads(heads: Sequence[tuple[str, str]], row_px: int) -> QTableWidget:
    """A dressed table with a column for each head, a name and its tool tip."""
    table = QTableWidget(0, len(heads))
    table.setHorizontalHeaderLabels([name for name, _ in heads])
    for column, (_, tip) in enumerate(heads):
        table.horizontalHeaderItem(column).setToolTip(tip)
    dress(table, row_px)
    return table
