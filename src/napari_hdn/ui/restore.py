"""The dock *Restore images*: a model, images, what to make of them, and saving the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtWidgets import QCheckBox, QPushButton, QSpinBox

from napari_hdn import api
from napari_hdn.api import DirectConfig, HDNError, RestorationConfig
from napari_hdn.core.config import usual_samples
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.batch import BatchPart
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.direct import DirectChoice
from napari_hdn.ui.parts.estimate import EstimateLine, Question
from napari_hdn.ui.parts.exporting import Exporting
from napari_hdn.ui.parts.forms import Form, Hint, heading, row, watch
from napari_hdn.ui.parts.levels.switches import LevelSwitches
from napari_hdn.ui.parts.methods import CopyMethods
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.outputs import OutputChoice
from napari_hdn.ui.parts.plots.sufficiency import SufficiencyView
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.parts.targets import Targets
from napari_hdn.ui.region import PREVIEW_PX, Region, region_in_view
from napari_hdn.ui.restoration import FolderJob, LayersJob, PreviewJob, SufficiencyJob, TeachingJob
from napari_hdn.ui.session import session_of
from napari_hdn.ui.sources import LayerSource, Source

if TYPE_CHECKING:
    import napari

    from napari_hdn.api import HDN, Direct


class RestoreDock(JobDock):
    """A view of the session's model and restoration.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = ("restoration", "export", "sufficiency", "distillation")

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.models = ModelChoice(self._session)
        self.targets = Targets(self._session)
        self.batch = BatchPart()
        self.outputs = OutputChoice()
        self.flips = QCheckBox("average over flipped images (4 × the time)")
        self.flips.setToolTip(
            "The mean over the image and its mirror images: a little better, and four times slower"
        )
        self.levels = LevelSwitches(self._session)
        self.samples = QSpinBox()
        self.samples.setRange(1, 10_000)
        self.samples.setValue(usual_samples(("mean",)))
        self.samples_hint = Hint()
        self.sufficiency = SufficiencyView()
        self.direct = DirectChoice()
        self.device = DeviceChoice()
        self.notices = Notices()
        self.exporting = Exporting(self._session)
        self.estimate = EstimateLine(self._session, self._question)
        self.methods = CopyMethods(self._session, restoring=True)
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
        form.add("Outputs", self.outputs)
        form.add("Samples", self.samples)
        form.addRow(self.samples_hint)
        enough = Section("How many samples are enough")
        enough.inside.addWidget(self.sufficiency)
        form.addRow(enough)
        form.add("", self.flips)
        form.add("Levels on", self.levels)
        form.add("Device", self.device)
        cheap = Section("One cheap pass, for large stacks")
        cheap.inside.addWidget(self.direct)
        form.addRow(cheap)
        self.body.addWidget(self.models)
        self.body.addWidget(self.targets)
        self.body.addLayout(form)
        self.body.addWidget(self.batch)
        self.body.addWidget(self.notices)
        self.body.addWidget(heading("Save a layer"))
        self.body.addWidget(self.exporting)
        self.body.addWidget(row(self.methods, stretch=0))
        self.body.addStretch(1)
        self.footer.addWidget(self.estimate)
        self.footer.addWidget(row(self.restore, self.preview, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.outputs.changed.connect(self._on_outputs)
        self.samples.valueChanged.connect(self._explain_samples)
        self.targets.changed.connect(self._show_job)  # what was refused may be right now
        self.restore.clicked.connect(lambda: self._begin(self._restoration))
        self.preview.clicked.connect(lambda: self._begin(self._preview_job))
        self.sufficiency.measure.clicked.connect(lambda: self._begin(self._sufficiency_job))
        self.direct.use.toggled.connect(self._explain_samples)
        self.direct.teach.clicked.connect(lambda: self._begin(self._teaching_job))
        self.stop.clicked.connect(self._session.stop)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)

    # what the user does

    def _on_outputs(self) -> None:
        usual = [usual_samples(("mean",)), usual_samples(("std",))]
        if self.samples.value() in usual:
            self.samples.setValue(usual_samples(self.outputs.chosen()))
        self._explain_samples()

    def _explain_samples(self) -> None:
        n = self.samples.value()
        self.samples.setEnabled(not self.direct.use.isChecked())
        if self.direct.use.isChecked():
            self.samples_hint.say(
                "No samples: one pass of the direct network, without uncertainty."
            )
        elif set(self.outputs.chosen()) - {"mean"}:
            text = (
                f"{n} independent samples: a spread is known to about {0.7 / n**0.5:.0%}."
                if n >= 3
                else "A spread needs at least 3 samples, better 16."
            )
            self.samples_hint.say(text, warning=n < 3)
        elif n == 1:
            self.samples_hint.say("The centre of what the network holds likely: fastest, smooth.")
        elif n == 2:
            self.samples_hint.say("One antithetic pair: as good a mean as tens of other samples.")
        else:
            self.samples_hint.say(f"The mean of {n} samples; time grows with their number.")
        self._show_sufficiency()

    def config(self, *, preview: bool = False) -> RestorationConfig:
        """All choices as one config; a preview needs no spread.

        Raises
        ------
        pydantic.ValidationError
            If they do not go together.
        """
        common: dict[str, Any] = {
            "deactivated_levels": self.levels.switched_off(),
            "device": self.device.value(),
            "tile_px": api.settings_in_force().tile_px,
        }
        samples = self.samples.value()
        if preview:
            return RestorationConfig(samples=min(samples, usual_samples(("mean",))), **common)
        return RestorationConfig(
            outputs=self.outputs.chosen(),
            samples=samples,
            quantiles=self.outputs.chosen_quantiles(),
            difference=self.outputs.chosen_difference(),
            flips=self.flips.isChecked(),
            channel=self.targets.chosen_channel(),
            **common,
        )

    def _restoration(self) -> Job:
        if not self.outputs.chosen():
            raise HDNError("Tick what to make: the restored image, the uncertainty, or both.")
        model, config = self._session.chosen_model(), self.config()
        student = self._student(model, config)
        if self.targets.is_folder:
            source, target = self.targets.folder_source(), self.targets.output.path
            choices = self.batch.choices()
            return FolderJob(source, target, model, config, student, **choices)
        sources = self.targets.layer_sources()
        return LayersJob(self._session.viewer, sources, model, config, student)

    def _student(self, model: HDN, config: RestorationConfig) -> Direct | None:
        if not self.direct.use.isChecked():
            return None
        learns: Literal["mean", "median"] = "median" if config.outputs == ("median",) else "mean"
        return api.choose_direct(model, model.levels_off(config), learns)

    def _question(self) -> Question:
        model, config = self._session.chosen_model(), self.config()
        if self.targets.is_folder:
            folder = self.targets.output.path
            stacks = self.targets.folder_stacks()
            files = {k: v for k, v in self.batch.choices().items() if k != "again"}
        else:
            files = {}
            folder, stacks = None, [s.stack for s in self.targets.layer_sources()]
        images = tuple((s.axes, s.array.shape, str(s.array.dtype), s.channel) for s in stacks)
        key = (id(model), config, images, folder, self.direct.use.isChecked(), *files.values())
        return Question(
            (*key, api.settings_in_force()),
            lambda stop: api.estimate_restoration(
                model,
                stacks,
                config,
                student=self._student(model, config),
                folder=folder,
                stop=stop,
                **files,
            ),
        )

    def _teaching_job(self) -> Job:
        model = self._session.chosen_model()
        sources: list[Source] = (
            [*self.targets.layer_sources()]
            if not self.targets.is_folder
            else [self.targets.folder_source()]
        )
        only_median = self.outputs.chosen() == ("median",)
        config = DirectConfig(
            learns="median" if only_median else "mean",
            deactivated_levels=self.levels.switched_off(),
            minutes=self.direct.minutes.value(),
            channel=self.targets.chosen_channel(),
            device=self.device.value(),
        )
        return TeachingJob(model, sources, config)

    def _preview_job(self) -> Job:
        model, source, region = self._in_view()
        config = self.config(preview=True)
        return PreviewJob(self._session.viewer, source, region, model, config)

    def _sufficiency_job(self) -> Job:
        model, source, region = self._in_view()
        return SufficiencyJob(source, region, model, self.config(preview=True))

    def _in_view(self) -> tuple[HDN, LayerSource, Region]:
        model, source = self._session.chosen_model(), self.targets.layer_sources()[0]
        return model, source, region_in_view(self._session.viewer, source.layer, source.stack)

    # what the session tells

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.batch.setVisible(self.targets.is_folder)
        self.batch.show_job(job)
        self.restore.setEnabled(not running)
        self.direct.teach.setEnabled(not running)
        self.preview.setEnabled(not running and not self.targets.is_folder)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.sufficiency.measure.setEnabled(not running and not self.targets.is_folder)
        self.notices.show_job(job)
        self._show_sufficiency()

    def _show_sufficiency(self) -> None:
        job = self._session.results.get("sufficiency")
        law = job.law if isinstance(job, SufficiencyJob) else None
        self.sufficiency.show_law(law, self.samples.value())
