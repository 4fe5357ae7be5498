"""The dock *Segment with diversity*: samples segmented one by one, and what they agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtWidgets import QPushButton, QSpinBox

from napari_hdn import api
from napari_hdn.api import HDNError, SegmentationConfig
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.agreement import Agreement
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.levels.piece_choice import PieceChoice
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.recipe import RecipeChoice
from napari_hdn.ui.parts.result_table import ResultTable
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.segmentation import (
    SegmentationJob,
    Segmented,
    has_samples,
    samples_of,
)
from napari_hdn.ui.segmentation_layers import look_at
from napari_hdn.ui.session import session_of

if TYPE_CHECKING:
    import napari

_FROM = (
    ("drawn with a model", "model"),
    ("those of a layer", "layer"),
)
_HEADS = {
    "object": "#",
    "confidence": "conf.",
    "samples with it": "in",
    "samples": "of",
    "area (px)": "px",
    "area (µm²)": "µm²",
    "centroid y (px)": "y",
    "centroid x (px)": "x",
}


def _holds_samples(layer: Layer) -> bool:
    return isinstance(layer, Image) and has_samples(layer)


class SegmentDock(JobDock):
    """A view of the last segmentation of the session.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = (SegmentationJob.kind,)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self._told: Segmented | None = None  # what the tables show
        self.origin = Choice(_FROM)
        self.models = ModelChoice(self._session)
        self.piece = PieceChoice(self._session, background=False)
        self.layer = LayerPick(self._session, "choose a layer of samples", _holds_samples)
        self.samples = QSpinBox()
        self.samples.setRange(1, 1000)
        self.samples.setValue(SegmentationConfig().samples)
        self.samples.setToolTip("Drawn from the posterior; the levels that are off stay off")
        self.device = DeviceChoice()
        self.recipe = RecipeChoice()
        self.notices = Notices()
        self.shown = Hint()
        self.objects = ResultTable("Copy objects")
        self.objects_section = Section("Objects of the consensus", expanded=True)
        self.agreement = Agreement(self._session)
        self.agreement_section = Section("Agreement with a truth", expanded=True)
        self.segment = QPushButton("Segment")
        self.segment.setToolTip("Segment every sample, and find what they agree on")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop; the consensus is of the samples that are segmented")
        self._lay_out()
        self._connect()
        self._on_origin()
        self._show_job()

    def _lay_out(self) -> None:
        origin, self._drawing, self._layer = Form(), Form(), Form()
        origin.add("Samples", self.origin)
        self._drawing.add("How many", self.samples)
        self._drawing.add("Device", self.device)
        self._layer.add("Layer", self.layer)
        self.body.addLayout(origin)
        self.body.addWidget(self.models)
        self.body.addWidget(self.piece)
        self.body.addLayout(self._drawing)
        self.body.addLayout(self._layer)
        self.body.addWidget(self.recipe)
        self.body.addWidget(self.notices)
        self.objects_section.inside.addWidget(self.shown)
        self.objects_section.inside.addWidget(self.objects)
        self.agreement_section.inside.addWidget(self.agreement)
        self.body.addWidget(self.objects_section)
        self.body.addWidget(self.agreement_section)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.segment, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.origin.currentIndexChanged.connect(self._on_origin)
        self.segment.clicked.connect(lambda: self._begin(self._segmentation))
        self.stop.clicked.connect(self._session.stop)
        self.objects.row_chosen.connect(self._on_object)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)

    # what the user does

    def _on_origin(self) -> None:
        drawn = self.origin.value() == "model"
        self.models.setVisible(drawn)
        self.piece.setVisible(drawn)
        self._drawing.setRowVisible(self.samples, drawn)
        self._drawing.setRowVisible(self.device, drawn)
        self._layer.setRowVisible(self.layer, not drawn)

    def _segmentation(self) -> Job:
        session, recipe = self._session, self.recipe
        chosen: dict[str, Any] = {
            "recipe": recipe.value(),
            "least_px": recipe.least.value(),
            "tolerance_px": recipe.tolerance.value(),
        }
        if self.origin.value() == "layer":
            if self.layer.layer is None:
                raise HDNError(
                    "Choose a layer of samples; Restore images makes one with the output samples."
                )
            axes = session.axes_of(self.layer.layer)
            piece, samples = samples_of(session.viewer, self.layer.layer, axes)
            return SegmentationJob(
                session.viewer, piece, SegmentationConfig(**chosen), samples=samples
            )
        config = SegmentationConfig(
            **chosen,
            samples=self.samples.value(),
            deactivated_levels=session.levels_off,
            device=self.device.value(),
            tile_px=api.settings_in_force().tile_px,
        )
        return SegmentationJob(
            session.viewer, self.piece.snapshot(), config, session.chosen_model()
        )

    def _on_object(self, number: Any) -> None:
        """Select the object in the layer, and bring it into the middle of the view."""
        viewer = self._session.viewer
        if self._told is not None and viewer is not None:
            look_at(viewer, self._told, int(number))

    # what the session tells

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.segment.setEnabled(not running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
        done = self._session.results.get(SegmentationJob.kind)
        found = done.result if isinstance(done, SegmentationJob) else None
        self.objects_section.setVisible(found is not None)
        self.agreement_section.setVisible(found is not None)
        if found is not None and found is not self._told:
            self._told = found
            self._show_found(found)

    def _show_found(self, found: Segmented) -> None:
        header, rows = api.objects_table(found.result, found.pixel_um, found.offset_px)
        self.objects.show_rows(header, rows, [_HEADS[h] for h in header])
        by = f"; by {found.identity['model']}" if "model" in found.identity else ""
        self.shown.say(
            f"{found.words}{by}; recipe {found.result.recipe}. Confidence: how well the objects of the "
            "samples overlap with it (mean IoU)."
        )
        self.agreement.show_result(found)
