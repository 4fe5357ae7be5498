"""The dock *Judge a restoration*: how far an image may be believed, where, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QPushButton, QSpinBox

from napari_hdn import api
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.judging import MOST_PX, Judged, ReportJob, TrustJob, second_frame_of
from napari_hdn.ui.parts.device import DeviceChoice
from napari_hdn.ui.parts.forms import Form, Hint, row, watch
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.levels.piece_choice import PieceChoice
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.verdicts import Verdicts
from napari_hdn.ui.piece import Piece
from napari_hdn.ui.session import session_of
from napari_hdn.ui.trust_layers import add_maps

if TYPE_CHECKING:
    import napari


class TrustDock(JobDock):
    """A view of the last judgement of the session.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds_over = (TrustJob.kind,)
    kinds = (TrustJob.kind, ReportJob.kind)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        session = self._session
        self.models = ModelChoice(session)
        self.piece = PieceChoice(session)
        self.piece.form.setRowVisible(self.piece.background, False)  # nothing is looked for in it
        self.large = Hint()
        self.repeats = LayerPick(session, "none")
        self.repeats.setToolTip(
            "Three frames or more of any static scene, taken as the image was: their mean tells "
            "whether the "
            "standard deviation is as large as the errors"
        )
        self.second_frame = LayerPick(session, "none")
        self.second_frame.setToolTip(
            "One more frame of the same scene, for the same purpose; of the image's own layer the "
            "next frame"
        )
        self.samples = QSpinBox()
        self.samples.setRange(4, 200)
        self.samples.setValue(16)
        self.samples.setToolTip("Posterior samples: more take longer, and know the spread better")
        self.off = Hint()
        self.device = DeviceChoice()
        self.notices = Notices()
        self.verdicts = Verdicts()
        self.judge = QPushButton("Judge")
        self.judge.setToolTip("Restore this piece and ask all that can be asked of the result")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop; what is done is shown")
        self._lay_out()
        self._connect()
        self._on_levels()
        self._on_piece()
        self._show_job()

    def _lay_out(self) -> None:
        form = Form()
        form.add("Repeats", self.repeats)
        form.add("2nd frame", self.second_frame)
        form.add("Samples", self.samples)
        form.addRow(self.off)
        form.add("Device", self.device)
        self.body.addWidget(self.models)
        self.body.addWidget(self.piece)
        self.body.addWidget(self.large)
        self.body.addLayout(form)
        self.body.addWidget(self.notices)
        self.body.addWidget(self.verdicts)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.judge, self.stop))
        self.footer.addWidget(self.progress)

    def _connect(self) -> None:
        self.judge.clicked.connect(lambda: self._begin(self._judging))
        self.stop.clicked.connect(self._session.stop)
        self.piece.changed.connect(self._on_piece)
        self.verdicts.layers_wanted.connect(self._on_layers)
        self.verdicts.report_wanted.connect(self._on_report)
        watch(self, self._session.levels_changed, self._on_levels)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)

    @property
    def judged(self) -> Judged | None:
        """The last judgement of this viewer."""
        job = self._session.results.get(TrustJob.kind)
        return job.judged if isinstance(job, TrustJob) else None

    # what the user does

    def _judging(self) -> Job:
        session = self._session
        model, piece = session.chosen_model(), self._piece()
        channel = model.config.channel
        repeats = self.repeats.source(channel)
        second = self.second_frame.source(channel)
        if repeats is not None and second is not None:
            raise api.HDNError(
                "Choose repeats or a second frame, not both: each gives the same curve; repeats "
                "the surer one."
            )
        return TrustJob(
            session.viewer,
            model,
            piece,
            repeats=repeats,
            second_frame=None if second is None else second_frame_of(piece, second),
            samples=self.samples.value(),
            off=session.levels_off,
            device=self.device.value(),
        )

    def _piece(self) -> Piece:
        """What is chosen; of more than can be judged in minutes, the middle."""
        return self.piece.snapshot().middle(MOST_PX)

    def _on_layers(self) -> None:
        judged, viewer = self.judged, self._session.viewer
        if judged is not None and viewer is not None:
            add_maps(viewer, judged)

    def _on_report(self) -> None:
        judged = self.judged
        if judged is None:
            return
        folder = QFileDialog.getExistingDirectory(self, "Folder for the report and its maps")
        if folder:
            self._begin(lambda: ReportJob(judged, Path(folder)))

    # what the session tells

    def _on_piece(self) -> None:
        self._show_judged()
        self.large.say("")
        if self.piece.image.layer is None or self.piece.part.value() == "view":
            return
        try:
            shape = self.piece.snapshot().shape
        except api.HDNError:
            return  # which the choice itself tells
        if max(shape) > MOST_PX:
            self.large.say(
                f"Large: the middle {MOST_PX} × {MOST_PX} pixels are judged. Draw a rectangle to judge "
                "another part.",
                warning=True,
            )

    def _on_levels(self) -> None:
        self._show_judged()
        off = self._session.levels_off
        self.off.say(f"Off, as in restoring: {api.spoken_levels(off)}." if off else "")

    def _show_judged(self) -> None:
        judged = self.judged
        self.verdicts.setVisible(judged is not None)
        if judged is not None:
            self.verdicts.show_judged(judged, chosen_now=self._chosen_now(judged))

    def _chosen_now(self, judged: Judged) -> str:
        """What is chosen by now and is not what was judged, in words."""
        layer, session, facts = self.piece.image.layer, self._session, judged.judgement
        if layer is not None and layer is not judged.piece.source.layer:
            return layer.name
        if session.model is not None and session.model.name != facts.model.name:
            return f"the model {session.model.name}"
        if session.model is not None and session.levels_off != facts.settings.off:
            return f"{api.spoken_levels(session.levels_off)} off"
        return ""

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.judge.setEnabled(not running)
        self.verdicts.report.setEnabled(not running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
        if not running:
            self._show_judged()
