"""What to export of a model, and as what."""

from __future__ import annotations

from pydantic import ValidationError
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_hdn import api
from napari_hdn.api import ModelRecord
from napari_hdn.ui.failures import explain
from napari_hdn.ui.parts.forms import FRAMED, Choice, Form, Hint, row

_FORMATS = (
    (".zip of the model folder, for napari-hdn", "zip"),
    ("package for the BioImage Model Zoo", "bioimageio"),
)
_ABOUT = {
    "zip": (
        "All of the model, with its direct networks and notes. A colleague takes it in with Import. It "
        "holds the names of the images that the model learned from."
    ),
    "bioimageio": (
        "One deterministic pass of the model that other programs run (ilastik, deepImageJ, ...), "
        "without uncertainty, checked as the zoo does; and the whole model, which Import gives "
        "back. It holds the names of the images that the model learned from. Needs the extra "
        "bioimageio."
    ),
}


class ExportForm(QDialog):
    """Asks how to export one model; `zoo` and `training_state` are the answers.

    Parameters
    ----------
    record : ModelRecord
    author : str
        Offered as who made the model.
    parent : QWidget, optional
    """

    def __init__(
        self, record: ModelRecord, author: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Export {record.name}")
        self.zoo: api.ZooDetails | None = None
        self.format = Choice(_FORMATS)
        self.about = Hint()
        self.with_training = QCheckBox("With what training on needs (some five times as large)")
        self.authors = QLineEdit(author)
        self.authors.setPlaceholderText("names with semicolons between: Ada Lovelace; Grace Hopper")
        self.license = Choice([(name, name) for name in api.LICENSES])
        self.license.setEditable(True)
        self.license.setToolTip("Under which others may use the model; an SPDX name")
        self.title = QLineEdit()
        self.title.setPlaceholderText(f"HDN {record.name}")
        self.description = QPlainTextEdit()
        self.description.setPlaceholderText(
            "one or two sentences: what is seen, by which microscope"
        )
        self.description.setFixedHeight(56)
        self.description.setStyleSheet(FRAMED)
        self.tags = QLineEdit()
        self.tags.setPlaceholderText("words to find it by, with commas between: confocal, nuclei")
        levels = range(1, record.levels or 1)
        trained = set(record.levels_off)
        self.off = [QCheckBox(f"{i}") for i in levels]
        for level, box in zip(levels, self.off, strict=True):
            box.setChecked(level in trained)
            box.setEnabled(level not in trained)
        self.complaint = Hint()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setText("Choose file ...")
        self._trained = trained
        self._lay_out()
        self.format.currentIndexChanged.connect(self._on_format)
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        self._on_format()

    @property
    def training_state(self) -> bool:
        """Whether what training on needs goes along."""
        return self.format.value() == "zip" and self.with_training.isChecked()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        first, self._form = Form(), Form()
        first.add("Export as", self.format)
        layout.addLayout(first)
        layout.addWidget(self.about)
        layout.addWidget(self.with_training)
        self._levels = row(*self.off)
        self._fields = (
            ("Authors", self.authors),
            ("License", self.license),
            ("Title", self.title),
            ("Description", self.description),
            ("Tags", self.tags),
            ("Levels off", self._levels),
        )
        for label, field in self._fields:
            self._form.add(label, field)
        layout.addLayout(self._form)
        layout.addWidget(self.complaint)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(520)

    def _on_format(self) -> None:
        zoo = self.format.value() == "bioimageio"
        self.about.say(_ABOUT[self.format.value()])
        self.with_training.setVisible(not zoo)
        for _, field in self._fields:
            self._form.setRowVisible(field, zoo and (field is not self._levels or bool(self.off)))
        self.complaint.say("")
        self.adjustSize()

    def _on_accepted(self) -> None:
        self.zoo = None
        if self.format.value() == "bioimageio":
            off = tuple(
                i for i, box in enumerate(self.off, 1) if box.isChecked() and i not in self._trained
            )
            try:
                self.zoo = api.ZooDetails(
                    authors=tuple(self.authors.text().split(";")),
                    license=self.license.currentText().strip(),
                    title=self.title.text(),
                    description=self.description.toPlainText(),
                    tags=tuple(self.tags.text().split(",")),
                    deactivated_levels=off,
                )
            except ValidationError as error:
                self.complaint.say(explain(error), warning=True)
                self.adjustSize()
                return
        self.accept()
