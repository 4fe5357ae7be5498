"""The dock *Train HDN*: choose images and settings, watch the training, stop and continue it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit, QPushButton

from napari_hdn import api
from napari_hdn.api import HDNError, TrainingConfig
from napari_hdn.ui.failures import explain
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.estimate import EstimateLine, Question
from napari_hdn.ui.parts.expert import ExpertSettings, with_changes
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.methods import CopyMethods
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.noise import NoiseChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.plots.losses import LossPlot
from napari_hdn.ui.parts.plots.residuals import ResidualView
from napari_hdn.ui.parts.source import ImageSource
from napari_hdn.ui.preferences import preferences
from napari_hdn.ui.session import session_of
from napari_hdn.ui.sources import folder_name
from napari_hdn.ui.training import TrainingJob

if TYPE_CHECKING:
    import napari

_STEPS_A_MINUTE = 250  # of a usual preset on a usual computer


class TrainDock(JobDock):
    """A view of the session's training.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = (TrainingJob.kind,)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.source = ImageSource(self._session)
        self.noise = NoiseChoice(self._session)
        self.preset = Choice([(name.capitalize(), name) for name in api.PRESETS])
        self.duration = QDoubleSpinBox()
        self.unit = Choice([("minutes", "minutes"), ("steps", "steps")])
        self.device = DeviceChoice()
        self.expert = ExpertSettings()
        self._unit_shown = self.unit.value()
        self.check = Hint()
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the model")
        self.models = ModelChoice(self._session, "Continue")
        self.plot = LossPlot()
        self.residuals = ResidualView()
        self.methods = CopyMethods(self._session, restoring=False)
        self.notices = Notices()
        self.estimate = EstimateLine(self._session, self._question)
        self.train = QPushButton("Train")
        self.stop = QPushButton("Stop")
        self.resume = QPushButton("Continue")
        self.train.setToolTip("Train a new model")
        self.stop.setToolTip("Stop at once and keep the model as it is now")
        self.resume.setToolTip(
            "Go on with the model chosen beside 'Continue': one that was stopped to the end of its "
            "time, one that was complete for the time set here"
        )
        self._lay_out()
        self._connect()
        self._say_where()
        self._on_unit()
        self._on_preset()
        self._on_source()
        self._show_job()

    def _lay_out(self) -> None:
        form = Form()
        form.add("Preset", self.preset)
        form.add("Train for", row(self.duration, self.unit, stretch=0))
        form.add("Device", self.device)
        saving = Form()
        saving.add("Save as", self.name)
        self.body.addWidget(self.source)
        self.body.addWidget(self.noise)
        self.body.addLayout(form)
        self.body.addWidget(self.expert)
        self.body.addWidget(self.check)
        self.body.addLayout(saving)
        self.body.addWidget(self.models)
        self.body.addWidget(self.plot)
        self.body.addWidget(self.residuals)
        self.body.addWidget(row(self.methods, stretch=0))
        self.body.addWidget(self.notices)
        self.body.addStretch(1)
        self.footer.addWidget(self.estimate)
        self.footer.addWidget(row(self.train, self.stop, self.resume))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.source.changed.connect(self._on_source)
        self.preset.currentIndexChanged.connect(self._on_preset)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.expert.changed.connect(self._check_settings)
        self.name.textEdited.connect(lambda text: self.name.setModified(bool(text)))
        self.train.clicked.connect(self._on_train)
        self.stop.clicked.connect(self._session.stop)
        self.resume.clicked.connect(self._on_continue)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, preferences.changed, self._say_where)
        watch(self, self._session.job_updated, self._on_job_updated)

    def config(self) -> TrainingConfig:
        """All choices as one config.

        Raises
        ------
        pydantic.ValidationError
            If they do not go together.
        """
        amount = self.duration.value()
        minutes = self.unit.value() == "minutes"
        return with_changes(
            api.PRESETS[self.preset.value()],
            {
                **self.expert.changes(),
                "noise": self.noise.config().model_dump(),
                "minutes": amount if minutes else None,
                "steps": None if minutes else int(amount),
                "device": self.device.value(),
                "channel": self.source.channel.value(),
            },
        )

    def _say_where(self) -> None:
        self.name.setToolTip(f"The model is saved by itself in {api.models_folder()}")

    # what the user does

    def _on_preset(self) -> None:
        base = api.PRESETS[self.preset.value()]
        self.unit.choose("minutes" if base.minutes is not None else "steps")
        self.duration.setValue(base.minutes if base.minutes is not None else base.steps)
        self.expert.show_config(base)
        self._name_model()

    def _on_unit(self) -> None:
        unit, amount = self.unit.value(), self.duration.value()
        if unit != self._unit_shown:  # about as long in the other unit
            amount = amount * _STEPS_A_MINUTE if unit == "steps" else amount / _STEPS_A_MINUTE
        self._unit_shown = unit
        minutes = unit == "minutes"
        self.duration.setDecimals(1 if minutes else 0)
        self.duration.setRange(0.1 if minutes else 1, 1e4 if minutes else 1e8)
        self.duration.setSingleStep(1 if minutes else 500)
        self.duration.setValue(amount)

    def _on_source(self) -> None:
        self._name_model()

    def _name_model(self) -> None:
        if self.name.isModified():
            return
        layer, folder = self.source.layer, self.source.folder.path
        of = layer.name if layer is not None else folder_name(folder) if folder is not None else ""
        self.name.setText(f"{of} {self.preset.value()}".strip())

    def _check_settings(self) -> None:
        try:
            with_changes(api.PRESETS[self.preset.value()], self.expert.changes())
            self.check.say("")
        except ValidationError as error:
            self.check.say(explain(error), warning=True)

    def _on_train(self) -> None:
        self._begin_training(resume=False)

    def _on_continue(self) -> None:
        self._begin_training(resume=True)

    def _begin_training(self, *, resume: bool) -> None:
        session = self._session
        try:
            session.check_free()
            source = self.source.snapshot()
            config = self.config()
            if not resume and not self.noise.agreed():
                self.progress.line.say("Not begun: the noise model is yet to be made right.")
                return
            folder = self._folder_to_continue() if resume else None
            with ExitStack() as if_refused:
                if folder is None:
                    folder = api.reserve_model_folder(self.name.text())
                    if_refused.callback(folder.rmdir)
                session.start(TrainingJob(session.viewer, source, config, folder, resume=resume))
                if_refused.pop_all()
        except ValidationError as error:
            self._refuse(explain(error))
        except HDNError as error:
            self._refuse(str(error))

    def _question(self) -> Question:
        self.source.snapshot()  # refuses where there is nothing to train on yet
        config = self.config()
        return Question(
            (config, api.settings_in_force()),
            lambda stop: api.estimate_training(config, folder=api.models_folder(), stop=stop),
        )

    def _folder_to_continue(self) -> Path:
        session = self._session
        if session.model_folder is not None:
            return session.model_folder
        if session.model is not None:
            raise HDNError("This model is not saved; choose 'Save as ...' beside 'Continue' first.")
        raise HDNError("Choose the model to go on with, beside 'Continue'.")

    # what the session tells

    def _on_job_changed(self) -> None:
        super()._on_job_changed()
        if self._session.job is not None and self._session.job.kind == TrainingJob.kind:
            self.scroll.ensureWidgetVisible(self.notices)

    def _show_job(self) -> None:
        job = self._shown
        training = job is not None and job.running
        self.train.setEnabled(not training)
        self.resume.setEnabled(not training)
        self.stop.setEnabled(training and not job.stop.requested)
        self.progress.show_job(job)
        self.plot.setVisible(isinstance(job, TrainingJob))
        self.notices.show_job(job)
        self.residuals.show_check(job.residuals if isinstance(job, TrainingJob) else None)
        if isinstance(job, TrainingJob):
            self.plot.show_history(job.training_loss, job.validation_loss, now=not job.running)
