"""The dock *Calibrate noise model*: measure the noise, see whether the model of it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLineEdit, QPushButton

from napari_hdn import api
from napari_hdn.api import CalibrationConfig
from napari_hdn.ui.calibration import CalibrationJob
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.calibration_view import CalibrationView
from napari_hdn.ui.parts.forms import Form, row, watch
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.method import MethodChoice
from napari_hdn.ui.parts.noise_settings import NoiseSettings
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.source import ImageSource
from napari_hdn.ui.preferences import preferences
from napari_hdn.ui.session import session_of
from napari_hdn.ui.sources import folder_name

if TYPE_CHECKING:
    import napari


class CalibrateDock(JobDock):
    """A view of the session's calibration.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = (CalibrationJob.kind,)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.source = ImageSource(self._session, "to measure the noise on")
        self.method = MethodChoice(self._session)
        self.meant_for = LayerPick(self._session, "the same images")
        self.meant_for.setToolTip(
            "The images to denoise: the checks ask whether the noise model is right for them"
        )
        self.settings = NoiseSettings(self._session, self.source)
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the noise model")
        self.view = CalibrationView(self._session)
        self.notices = Notices()
        self.calibrate = QPushButton("Calibrate")
        self.calibrate.setToolTip("Measure the noise, fit a model to it and judge it")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop; the noise model in hand stays")
        self._laid_out = QTimer(self)  # what was filled in has its place only after Qt's next round
        self._laid_out.setSingleShot(True)
        self._lay_out()
        self._connect()
        self._say_where()
        self._name_model()
        self._show_job()

    def _lay_out(self) -> None:
        target, saving = Form(), Form()
        target.add("For use on", self.meant_for)
        saving.add("Save as", self.name)
        self.body.addWidget(self.source)
        self.body.addWidget(self.method)
        self.body.addLayout(target)
        self.body.addWidget(self.settings)
        self.body.addLayout(saving)
        self.body.addWidget(self.notices)
        self.body.addWidget(self.view)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.calibrate, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.source.changed.connect(self._name_model)
        self.method.changed.connect(self._on_method)
        self.name.textEdited.connect(lambda text: self.name.setModified(bool(text)))
        self.calibrate.clicked.connect(self._on_calibrate)
        self.stop.clicked.connect(self._session.stop)
        self._laid_out.timeout.connect(self._scroll_to_result)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, preferences.changed, self._say_where)
        watch(self, self._session.job_updated, self._on_job_updated)
        watch(self, self._session.calibration_changed, self._on_calibration)

    def config(self) -> CalibrationConfig:
        """All choices as one config.

        Raises
        ------
        pydantic.ValidationError
            If they do not go together.
        HDNError
            If the chosen background is none.
        """
        return CalibrationConfig(
            **self.method.settings(),
            **self.settings.settings(),
            channel=self.source.channel.value(),
        )

    def _say_where(self) -> None:
        self.name.setToolTip(f"The noise model is saved by itself in {api.noise_models_folder()}")

    # what the user does

    def _on_method(self) -> None:
        self.settings.offer(self.method.source.value())

    def _name_model(self) -> None:
        if self.name.isModified():
            return
        layer, folder = self.source.layer, self.source.folder.path
        of = layer.name if layer is not None else folder_name(folder) if folder is not None else ""
        self.name.setText(f"{of} noise".strip())

    def _on_calibrate(self) -> None:
        self._begin(self._calibration)

    def _calibration(self) -> Job:
        channel = self.source.channel.value()
        return CalibrationJob(
            self.source.snapshot(),
            self.config(),
            self.name.text(),
            meant_for=self.meant_for.source(channel),
            **self.method.others(channel),
        )

    # what the session tells

    def _on_calibration(self) -> None:
        self._laid_out.start()

    def _scroll_to_result(self) -> None:
        self.scroll.verticalScrollBar().setValue(self.view.y())

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.calibrate.setEnabled(not running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
