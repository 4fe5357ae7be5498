"""The dock *Manage models*: what there is, what it is called, what goes, what is sent and taken in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices, QShowEvent
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QInputDialog,
    QMessageBox,
)

from napari_hdn import api
from napari_hdn.api import HDNError, ModelRecord
from napari_hdn.ui import model_care
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.parts.button import Button
from napari_hdn.ui.parts.forms import heading, row, watch
from napari_hdn.ui.parts.methods import copy_methods
from napari_hdn.ui.parts.models.comparison import ModelComparison
from napari_hdn.ui.parts.models.export_form import ExportForm
from napari_hdn.ui.parts.models.notes import ModelNotes
from napari_hdn.ui.parts.models.table import ModelTable
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.session import session_of
from napari_hdn.ui.sharing import ExportJob, ImportJob, SharingJob

if TYPE_CHECKING:
    import napari

_JUST_NOW_S = 180  # a training writes at least every other minute
_MOST_COMPARED = 8


class ManageDock(JobDock):
    """A view of the models on disk.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = (SharingJob.kind,)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self._told: ImportJob | None = None  # whose model was selected
        self._author = ""  # as given at the last export
        self.models = ModelTable(self._session)
        self.use = Button("Use", "Make it the model in hand, in all docks of this window")
        self.rename = Button("Rename", "Give it another name")
        self.delete = Button(
            "Delete", "Move to the computer's bin, from where it can be taken back"
        )
        self.open = Button("Open folder", "Show it in the computer's own file manager")
        self.compare = Button("Compare", "Show how the selected models were made, side by side")
        self.methods = Button(
            "Copy methods text",
            "Copy the paragraph for a paper's methods section, with references: how the selected model "
            "was trained",
        )
        self.export = Button("Export ...", "Pack it into one file, for a colleague or for the zoo")
        self.take_in = Button("Import ...", "Take in a model that somebody sent, as a .zip")
        self.again = Button("Refresh", "Look again at what is on the disk")
        self.stop = Button("Stop", "Stop; nothing half done is left behind")
        self.notes = ModelNotes(self._session)
        self.notices = Notices()
        self._lay_out()
        self.models.selected.connect(self._enable)
        self.models.table.cellDoubleClicked.connect(lambda *_: self._on_use())
        self.use.clicked.connect(self._on_use)
        self.rename.clicked.connect(self._on_rename)
        self.delete.clicked.connect(self._on_delete)
        self.open.clicked.connect(self._on_open)
        self.compare.clicked.connect(self._on_compare)
        self.methods.clicked.connect(self._on_methods)
        self.export.clicked.connect(self._on_export)
        self.take_in.clicked.connect(self._on_import)
        self.again.clicked.connect(self.models.refresh)
        self.stop.clicked.connect(self._session.stop)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)
        self._show_job()

    def _lay_out(self) -> None:
        self.body.addWidget(self.models, 1)
        self.body.addWidget(row(self.use, self.rename, self.delete, self.open))
        self.body.addWidget(row(self.compare, self.methods))
        self.body.addWidget(row(self.export, self.take_in, self.again))
        self.body.addWidget(heading("Notes"))
        self.body.addWidget(self.notes)
        self.body.addWidget(self.notices)
        self.footer.addWidget(self.stop)
        self.footer.addWidget(self.progress)

    def showEvent(self, event: QShowEvent) -> None:
        """Look again: another program may have trained one meanwhile."""
        super().showEvent(event)
        self.models.refresh()

    # one model, or some

    def _on_use(self) -> None:
        for record in self.models.records[:1]:
            self._session.choose_model(record.folder)

    def _on_rename(self) -> None:
        for record in self.models.records[:1]:
            name, agreed = QInputDialog.getText(
                self, "Rename model", "Name of the model", text=record.name
            )
            if not agreed:
                return
            self.notes.save()
            try:
                renamed = model_care.rename(record.folder, name)
            except HDNError as error:
                self._session.report(str(error))
            else:
                self.models.select([renamed])

    def _on_delete(self) -> None:
        records = self.models.records
        if not records:
            return
        try:
            for record in records:
                model_care.check_unused(record.folder)
        except HDNError as error:
            self._session.report(str(error))
            return
        asked = QMessageBox.question(
            self,
            "Delete models" if len(records) > 1 else "Delete model",
            _question(records),
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        if asked != QMessageBox.StandardButton.Yes:
            return
        self.notes.save()
        for record in records:
            try:
                model_care.move_to_bin(record.folder)
            except HDNError as error:
                self._session.report(str(error))
                return

    def _on_open(self) -> None:
        records = self.models.records
        folder = records[0].folder if records else api.models_folder()
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self._session.report(f"The folder could not be opened here; it is {folder}.")

    def _on_compare(self) -> None:
        records = self.models.records[:_MOST_COMPARED]
        try:
            rows = api.compare_models([record.folder for record in records])
        except HDNError as error:
            self._session.report(str(error))
            return
        self.comparison = ModelComparison([record.name for record in records], rows, self)
        self.comparison.show()

    def _on_methods(self) -> None:
        for record in self.models.records[:1]:
            try:
                copy_methods(api.methods_text(record.folder), f"the training of {record.name}")
            except HDNError as error:
                self._session.report(str(error))

    # sending and taking in

    def _on_export(self) -> None:
        if not self.models.records:
            return
        record = self.models.records[0]
        self.notes.save()
        form = ExportForm(record, self._author, self)
        if form.exec() != QDialog.DialogCode.Accepted:
            return
        self._author = form.authors.text()
        ending = ".bioimageio.zip" if form.zoo is not None else ".zip"
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Export model", str(Path.home() / f"{record.name}{ending}"), "Archives (*.zip)"
        )
        if not chosen:
            return
        target = Path(chosen if chosen.lower().endswith(".zip") else f"{chosen}.zip")
        self._begin(lambda: ExportJob(record.folder, target, form.training_state, form.zoo))

    def _on_import(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Import model", str(Path.home()), "Archives (*.zip)"
        )
        if chosen:
            self._begin(lambda: ImportJob(Path(chosen)))

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.stop.setVisible(running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.setVisible(job is not None)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
        if isinstance(job, ImportJob) and job.result is not None and job is not self._told:
            self._told = job
            self.models.select([job.result])
        self._enable()

    def _enable(self) -> None:
        records = self.models.records
        readable = [record for record in records if record.error is None]
        one = len(records) == 1
        running = self._shown is not None and self._shown.running
        unreadable = "" if len(readable) == len(records) else "It cannot be read"
        only_one = "" if one else "Select one model"
        several = f"Select 2 to {_MOST_COMPARED} models that can be read"
        busy = "Wait until this export or import is done" if running else ""
        self.use.allow(only_one or unreadable)
        self.rename.allow(only_one)
        self.delete.allow("" if records else "Select the models to delete")
        can_compare = 2 <= len(readable) == len(records) <= _MOST_COMPARED
        self.compare.allow("" if can_compare else several)
        self.methods.allow(only_one or unreadable)
        self.export.allow(only_one or unreadable or busy)
        self.take_in.allow(busy)
        self.notes.show_model(records[0].folder if one else None)
        self.models.explain(records[0] if one else None)


def _question(records: list[ModelRecord]) -> str:
    """What is about to go, and who would miss it."""
    names = ", ".join(record.name for record in records[:5])
    more = f" and {len(records) - 5} more" if len(records) > 5 else ""
    lines = [f"Move {names}{more} to the bin?"]
    direct = sum(record.direct for record in records)
    if direct:
        lines.append(f"{direct} direct network{'s' * (direct > 1)} would go with it.")
    held = [record.name for record in records if model_care.holders(record.folder)]
    if held:
        lines.append(f"{held[0]} is in hand; the docks would have no model then.")
    recent = [record.name for record in records if time.time() - record.written < _JUST_NOW_S]
    if recent:
        lines.append(
            f"{recent[0]} was written in the last minutes: perhaps a training in another program still "
            "goes on."
        )
    return "\n\n".join(lines)
