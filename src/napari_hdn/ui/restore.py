"""The dock *Restore images*: a model, images, what to make of them, and saving the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QPushButton, QSpinBox

from napari_hdn.api import HDNError, RestorationConfig
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.exporting import Exporting
from napari_hdn.ui.parts.forms import Form, Hint, heading, row, watch
from napari_hdn.ui.parts.levels import LevelSwitches
from napari_hdn.ui.parts.models import ModelChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.targets import Targets
from napari_hdn.ui.region import PREVIEW_PX, region_in_view
from napari_hdn.ui.restoration import FolderJob, LayersJob, Outputs, PreviewJob
from napari_hdn.ui.session import session_of

if TYPE_CHECKING:
    import napari

_SAMPLES_MEAN, _SAMPLES_STD = 2, 16


class RestoreDock(JobDock):
    """A view of the session's model and restoration.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = ("restoration", "export")

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.models = ModelChoice(self._session)
        self.targets = Targets(self._session)
        self.mean = QCheckBox("restored image (mean)")
        self.mean.setChecked(True)
        self.std = QCheckBox("its uncertainty (standard deviation)")
        self.flips = QCheckBox("average over flipped images (4 × the time)")
        self.flips.setToolTip(
            "The mean over the image and its mirror images: a little better, and four times slower"
        )
        self.levels = LevelSwitches(self._session)
        self.samples = QSpinBox()
        self.samples.setRange(1, 10_000)
        self.samples.setValue(_SAMPLES_MEAN)
        self.samples_hint = Hint()
        self.device = DeviceChoice()
        self.notices = Notices()
        self.exporting = Exporting(self._session)
        self.restore = QPushButton("Restore")
        self.preview = QPushButton("Preview")
        self.preview.setToolTip(
            "Restore what is in view of the first ticked layer, at most "
            f"{PREVIEW_PX} × {PREVIEW_PX} pixels around its middle"
        )
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop and keep what is restored")
        self._lay_out()
        self._connect()
        self._explain_samples()
        self._show_job()

    def _lay_out(self) -> None:
        form = Form()
        form.add("Outputs", self.mean)
        form.add("", self.std)
        form.add("Samples", self.samples)
        form.addRow(self.samples_hint)
        form.add("", self.flips)
        form.add("Levels on", self.levels)
        form.add("Device", self.device)
        self.body.addWidget(self.models)
        self.body.addWidget(self.targets)
        self.body.addLayout(form)
        self.body.addWidget(self.notices)
        self.body.addWidget(heading("Export as OME-TIFF"))
        self.body.addWidget(self.exporting)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.restore, self.preview, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.std.toggled.connect(self._on_std)
        self.samples.valueChanged.connect(self._explain_samples)
        self.targets.kind.currentIndexChanged.connect(self._show_job)
        self.restore.clicked.connect(self._on_restore)
        self.preview.clicked.connect(self._on_preview)
        self.stop.clicked.connect(self._session.stop)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)

    # what the user does

    def _on_std(self, on: bool) -> None:
        usual = {_SAMPLES_MEAN: _SAMPLES_STD} if on else {_SAMPLES_STD: _SAMPLES_MEAN}
        self.samples.setValue(usual.get(self.samples.value(), self.samples.value()))
        self._explain_samples()

    def _explain_samples(self) -> None:
        n = self.samples.value()
        if self.std.isChecked():
            text = (
                f"The spread of {n} independent samples, known to about {0.7 / n**0.5:.0%}."
                if n >= 3
                else "The std needs at least 3 samples, better 16."
            )
            self.samples_hint.say(text, warning=n < 3)
        elif n == 1:
            self.samples_hint.say("The centre of what the network holds likely: fastest, smooth.")
        elif n == 2:
            self.samples_hint.say("One antithetic pair: as good a mean as tens of other samples.")
        else:
            self.samples_hint.say(f"The mean of {n} samples; time grows with their number.")

    def config(self, *, preview: bool = False) -> RestorationConfig:
        """All choices as one config; a preview needs no spread.

        Raises
        ------
        pydantic.ValidationError
            If they do not go together.
        """
        std = self.std.isChecked() and not preview
        samples = min(self.samples.value(), _SAMPLES_MEAN) if preview else self.samples.value()
        return RestorationConfig(
            samples=samples,
            std=std,
            flips=self.flips.isChecked() and not preview,
            deactivated_levels=self.levels.switched_off(),
            channel=None if preview else self.targets.chosen_channel(),
            device=self.device.value(),
        )

    def _on_restore(self) -> None:
        self._begin(self._restoration)

    def _on_preview(self) -> None:
        self._begin(self._preview_job)

    def _restoration(self) -> Job:
        outputs = Outputs(self.mean.isChecked(), self.std.isChecked())
        if not outputs.products:
            raise HDNError("Tick what to make: the restored image, the uncertainty, or both.")
        model, config = self._session.chosen_model(), self.config()
        if self.targets.is_folder:
            source, target = self.targets.folder_source(), self.targets.output.path
            return FolderJob(source, target, outputs, model, config)
        sources = self.targets.layer_sources()
        return LayersJob(self._session.viewer, sources, outputs, model, config)

    def _preview_job(self) -> Job:
        model, source = self._session.chosen_model(), self.targets.layer_sources()[0]
        viewer = self._session.viewer
        region = region_in_view(viewer, source.layer, source.stack)
        return PreviewJob(viewer, source, region, model, self.config(preview=True))

    # what the session tells

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.restore.setEnabled(not running)
        self.preview.setEnabled(not running and not self.targets.is_folder)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
