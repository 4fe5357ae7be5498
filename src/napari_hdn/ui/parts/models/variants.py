"""The variants of the model in hand, in a table: which are there, how they compare, choose one."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.api import HDNError, VariantRecord
from napari_hdn.ui import jobs
from napari_hdn.ui.comparing import Key
from napari_hdn.ui.parts.forms import Hint, row, watch
from napari_hdn.ui.parts.tables import with_heads
from napari_hdn.ui.session import Session

_HEADS = (
    ("Variant", "What it is called; bold: the one in hand"),
    ("Off", "Levels that are off"),
    ("Loss", "On held-out patches, nats per pixel: without an artefact's levels it is larger"),
    ("Artefact left", "In the background of the restored piece, RMS counts"),
    ("Removed", "Difference to the first model's restored piece, RMS counts"),
)
_NO_NUMBERS = "Compare them on the piece above to see how much of the artefact each leaves."
_ONLY_SWITCHED = "The model in hand with these levels off, not retrained: what the preview shows"
_ROW_PX = 24


class VariantTable(QWidget):
    """A view of the family of the session's model."""

    wanted = Signal()  # a comparison

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.records: list[VariantRecord] = []
        self._keys: list[Key] = []  # by row of the table
        self.table = with_heads(_HEADS, _ROW_PX)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        heads = self.table.horizontalHeader()
        heads.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        heads.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.compare = QPushButton("Compare on this piece")
        self.compare.setToolTip("Restore the piece that was inspected with each of them")
        self.use = QPushButton("Use for restoring")
        self.use.setToolTip("Make the selected one the model in hand, in all docks")
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.table)
        layout.addWidget(self.hint)
        layout.addWidget(row(self.compare, self.use))
        self.compare.clicked.connect(self.wanted.emit)
        self.use.clicked.connect(self._on_use)
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.cellDoubleClicked.connect(lambda *_: self._on_use())
        for signal in (session.model_changed, session.models_changed):
            watch(self, signal, self.refresh)
        for signal in (session.levels_changed, session.compared_changed):
            watch(self, signal, self._fill)
        watch(self, session.inspection_changed, self._enable)
        self.refresh()

    def refresh(self) -> None:
        """Look on disk for the variants of the model in hand."""
        model = self._session.model
        if model is None:
            if self._session.model_folder is None:
                self._take([])
            return

        def on_result(records: list[VariantRecord]) -> None:
            if self._session.model is model:
                self._take(records)

        jobs.look_up(lambda: api.variants_of(model), on_result, self._on_error, owner=self)

    def _on_error(self, text: str) -> None:
        self._take([])
        self.hint.say(text, warning=True)

    def _take(self, records: list[VariantRecord]) -> None:
        self.records = records
        self._fill()

    def _fill(self) -> None:
        model, off = self._session.model, self._session.levels_off
        rows = [(_Row.of(record)) for record in self.records]
        if model is not None:
            trained = tuple(sorted(model.config.network.deactivated_levels))
            at = [r.key for r in rows]
            here = (model.folder, trained)
            if here not in at:
                rows.append(_Row(here, model.name, _last_loss(model)))
            if off != trained:
                after = [r.key for r in rows].index(here) + 1
                rows.insert(
                    after, _Row((model.folder, off), "↳ only switched", None, _ONLY_SWITCHED)
                )
        in_hand = None if model is None else (model.folder, off)
        compared = self._session.compared
        if compared is not None and (model is None or compared.family != model.summary.family):
            compared = None
        selected = self._selected()
        self._keys = [r.key for r in rows]
        self.table.setRowCount(len(rows))
        for at_row, entry in enumerate(rows):
            numbers = None if compared is None else compared.numbers.get(entry.key)
            cells = (
                entry.name,
                ", ".join(map(str, entry.key[1])) or "none",
                "–" if entry.loss is None else f"{entry.loss:.3f}",
                "–" if numbers is None else f"{numbers.artefact_left:.3g}",
                "–" if numbers is None or numbers.removed is None else f"{numbers.removed:.3g}",
            )
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(entry.tip if column == 0 else _HEADS[column][1])
                font = item.font()
                font.setBold(entry.key == in_hand)
                item.setFont(font)
                if column:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(at_row, column, item)
        self._select(selected)
        head = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(head + _ROW_PX * max(len(rows), 1) + 4)
        self.hint.say(_NO_NUMBERS if compared is None else f"On {compared.piece.in_words()}.")
        self._enable()

    def _enable(self) -> None:
        self.use.setEnabled(self._selected() is not None)
        self.compare.setEnabled(self._session.inspected is not None)

    def _selected(self) -> Key | None:
        at = self.table.currentRow()
        return self._keys[at] if 0 <= at < len(self._keys) and self.table.selectedItems() else None

    def _select(self, key: Key | None) -> None:
        """Rows come and go: what is selected is a variant, not a row."""
        if key in self._keys:
            self.table.selectRow(self._keys.index(key))
        else:
            self.table.clearSelection()
            self.table.setCurrentCell(-1, -1)

    def _on_use(self) -> None:
        key, session = self._selected(), self._session
        if key is None:
            return
        folder, off = key
        try:
            if session.model is not None and session.model.folder == folder:
                session.switch_levels_off(off)
            else:
                session.choose_model(folder)
        except HDNError as error:
            session.report(str(error))


class _Row:
    def __init__(self, key: Key, name: str, loss: float | None, tip: str = "") -> None:
        self.key = key
        self.name = name
        self.loss = loss
        self.tip = tip or name

    @classmethod
    def of(cls, record: VariantRecord) -> _Row:
        how = {"warm": f"made of {record.parent}", "scratch": "from scratch"}[record.begun]
        rule = " by the published rule" if record.rule == "posterior" and record.levels_off else ""
        stopped = ", stopped early" if record.stopped else ""
        tip = f"{record.name}: {record.steps} steps{stopped}, {how}{rule}; {record.folder}"
        return cls((Path(record.folder), record.levels_off), record.name, record.loss, tip)


def _last_loss(model: object) -> float | None:
    last = model.summary.last_losses  # type: ignore[attr-defined]
    return None if last is None else last.loss
