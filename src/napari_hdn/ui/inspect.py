"""The dock *Inspect latent levels*: what each level holds, and the image without some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

from napari_hdn.api import HDNError
from napari_hdn.ui.comparing import ComparisonJob
from napari_hdn.ui.inspection import DrawingJob, Inspected, InspectionJob, LevelsJob
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.level_layers import add_contributions, add_drawn
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.forms import Form, Hint, row, watch
from napari_hdn.ui.parts.levels.advice import AdviceBox
from napari_hdn.ui.parts.levels.drawn import DrawnLevels
from napari_hdn.ui.parts.levels.piece_choice import PieceChoice
from napari_hdn.ui.parts.levels.removed import RemovedView
from napari_hdn.ui.parts.levels.retraining import Retraining
from napari_hdn.ui.parts.levels.rows import LevelRows
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.models.variants import VariantTable
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.retraining import retraining_job
from napari_hdn.ui.session import session_of
from napari_hdn.ui.training import TrainingJob

if TYPE_CHECKING:
    import napari


class InspectDock(JobDock):
    """A view of the levels of the session's model.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds_over = (InspectionJob.kind, DrawingJob.kind, ComparisonJob.kind)
    kinds = (*kinds_over, TrainingJob.kind)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.models = ModelChoice(self._session)
        self.piece = PieceChoice(self._session)
        self.device = DeviceChoice()
        self.notices = Notices()
        self.looked_at = Hint()
        self.advice = AdviceBox(self._session)
        self.rows = LevelRows(self._session)
        self.contributions = QPushButton("Add contributions as layers")
        self.contributions.setToolTip(
            "What each level adds, in counts: one layer with an axis level"
        )
        self.removed = RemovedView(self._session)
        self.drawn = DrawnLevels(self._session)
        self.retraining = Retraining(self._session)
        self.variants = VariantTable(self._session)
        self.inspect = QPushButton("Inspect")
        self.inspect.setToolTip("Look at what each latent level contributes to this piece")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop; what is shown stays")
        self.levels_section = Section("Levels, from coarse to fine", expanded=True)
        self.removed_section = Section("What is removed", expanded=True)
        self.drawn_section = Section("What a level may hold")
        self.retraining_section = Section("Retrain without these levels")
        self.variants_section = Section("Variants of this model", expanded=True)
        self._lay_out()
        self._choose_known_image()
        self._chosen = self.piece.image.layer
        self.retraining.take_images(self._chosen)
        self._connect()
        self._on_inspection()
        self._show_job()

    def _lay_out(self) -> None:
        device = Form()
        device.add("Device", self.device)
        self.body.addWidget(self.models)
        self.body.addWidget(self.piece)
        self.body.addLayout(device)
        self.body.addWidget(self.notices)
        self.body.addWidget(self.looked_at)
        self.body.addWidget(self.advice)
        for section, parts in (
            (self.levels_section, (self.rows, self.contributions)),
            (self.removed_section, (self.removed,)),
            (self.drawn_section, (self.drawn,)),
            (self.retraining_section, (self.retraining,)),
            (self.variants_section, (self.variants,)),
        ):
            for part in parts:
                section.inside.addWidget(part)
            self.body.addWidget(section)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.inspect, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.inspect.clicked.connect(lambda: self._begin(self._inspection))
        self.drawn.wanted.connect(lambda origin: self._begin(lambda: self._drawing(origin)))
        self.drawn.layers_wanted.connect(self._on_drawn_layers)
        self.retraining.wanted.connect(lambda: self._begin(self._retraining))
        self.variants.wanted.connect(lambda: self._begin(self._comparison))
        self.contributions.clicked.connect(self._on_contributions)
        self.stop.clicked.connect(self._session.stop)
        self.piece.image.currentIndexChanged.connect(self._on_image)
        watch(self, self._session.inspection_changed, self._on_inspection)
        watch(self, self._session.model_changed, self._on_model)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)

    def _choose_known_image(self) -> None:
        """The one that is looked at already: a dock may be opened again while a job runs."""
        job, look = self._session.job, self._session.inspected
        piece = job.piece if isinstance(job, LevelsJob) else None if look is None else look.piece
        if piece is not None:
            self.piece.image.choose(piece.source.layer)

    # what the user does

    def _inspection(self) -> Job:
        return InspectionJob(
            self._session.chosen_model(), self.piece.snapshot(), self.device.value()
        )

    def _drawing(self, origin: str) -> Job:
        model, look = self._session.chosen_model(), self._session.inspected
        piece = self.piece.snapshot() if look is None or self._is_other(look) else look.piece
        return DrawingJob(model, piece.middle(), origin, self.device.value())

    def _comparison(self) -> Job:
        session = self._session
        model, look = session.chosen_model(), session.inspected
        if look is not None and self._is_other(look):
            raise HDNError(
                f"The levels shown are of {look.piece.source.name}; press Inspect first to compare on "
                f"{self.piece.image.layer.name}."
            )
        piece = self.piece.snapshot() if look is None else look.piece
        records = self.variants.records
        return ComparisonJob(model, session.levels_off, records, piece, self.device.value())

    def _retraining(self) -> Job:
        return retraining_job(self._session, self.retraining, self.device.value())

    def _on_contributions(self) -> None:
        look, viewer = self._session.inspected, self._session.viewer
        if look is not None and viewer is not None:
            add_contributions(viewer, look)

    def _on_drawn_layers(self) -> None:
        drawn, viewer = self._session.drawn, self._session.viewer
        if drawn is not None and viewer is not None:
            add_drawn(viewer, drawn)

    # what is no longer wanted

    def _on_image(self) -> None:
        job, layer, before = self._session.job, self.piece.image.layer, self._chosen
        self._chosen = layer
        self.retraining.take_images(layer)
        self._on_inspection()
        if isinstance(job, LevelsJob) and job.piece is not None and layer is not before:
            chosen = job.piece.source
            if chosen.layer is before:  # else the job is another dock's
                job.drop(f"Stopped: {chosen.name} is no longer the image that is chosen.")

    def _is_other(self, look: Inspected) -> bool:
        """Whether another image is chosen than what is shown."""
        layer = self.piece.image.layer
        return layer is not None and look.piece.source.layer is not layer

    def _on_model(self) -> None:
        job, model = self._session.job, self._session.model
        if isinstance(job, LevelsJob) and job.model is not None and job.model is not model:
            job.drop(f"Stopped: {job.model.name} is no longer the model that is chosen.")

    # what the session tells

    def _on_inspection(self) -> None:
        look = self._session.inspected
        if look is None:
            self.looked_at.say("")
        else:
            text = f"Shown: {look.piece.in_words()}. {look.moved.text if look.moved else ''}"
            warning = look.moved is not None and look.moved.severity == "warning"
            if self._is_other(look):
                text += f" You chose {self.piece.image.layer.name}: press Inspect to look at it."
                warning = True
            self.looked_at.say(text.strip(), warning=warning)
        self.levels_section.setVisible(look is not None)
        self.removed_section.setVisible(look is not None)

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.inspect.setEnabled(not running)
        self.drawn.draw.setEnabled(not running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
