"""How two or more models were made, side by side in a window of its own."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QDialog,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.api import ComparedRow
from napari_hdn.ui.parts.forms import Hint, row
from napari_hdn.ui.parts.theme import warning_colour

_MOST_PX = 340
_ROW_PX = 22


class ModelComparison(QDialog):
    """A table with a column for each model; what differs stands out.

    Parameters
    ----------
    names : sequence of str
        Of the models.
    rows : sequence of ComparedRow
    parent : QWidget, optional
    """

    def __init__(
        self, names: Sequence[str], rows: Sequence[ComparedRow], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare models")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._names, self._rows = list(names), list(rows)
        self.table = QTableWidget(len(rows), len(names) + 1)
        self.table.setHorizontalHeaderLabels(["", *names])
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_PX)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        brush = QBrush(QColor(warning_colour()))
        for at, compared in enumerate(rows):
            for column, text in enumerate((compared.what, *compared.values)):
                item = QTableWidgetItem(text or "not known")
                item.setToolTip(text)
                if column > 0 and text != compared.values[0]:
                    item.setForeground(brush)
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.table.setItem(at, column, item)
        heads = self.table.horizontalHeader()
        heads.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        heads.setMaximumSectionSize(_MOST_PX)
        self.table.resizeColumnsToContents()
        heads.setMaximumSectionSize(4 * _MOST_PX)
        self.only = QCheckBox("Only what differs")
        self.copy = QPushButton("Copy table")
        self.copy.setToolTip("All rows that are shown, to paste into a spreadsheet")
        different = sum(compared.differs for compared in rows)
        layout = QVBoxLayout(self)
        layout.addWidget(
            Hint(
                f"{different} of {len(rows)} entries differ; what is not as in {names[0]} stands out. "
                "Point at an entry to read it whole."
            )
        )
        layout.addWidget(self.table, 1)
        layout.addWidget(row(self.only, self.copy, stretch=0))
        self.only.toggled.connect(self._filter)
        self.copy.clicked.connect(self._on_copy)
        self.only.setChecked(different > 0)
        width = sum(self.table.columnWidth(c) for c in range(len(names) + 1)) + 60
        self.resize(min(max(width, 520), 1200), 640)

    def _filter(self) -> None:
        for at, compared in enumerate(self._rows):
            self.table.setRowHidden(at, self.only.isChecked() and not compared.differs)

    def _on_copy(self) -> None:
        shown = [r for r in self._rows if r.differs or not self.only.isChecked()]
        text = api.tsv_text(("", *self._names), [(r.what, *r.values) for r in shown])
        QApplication.clipboard().setText(text)
