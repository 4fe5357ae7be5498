"""The dock *Evaluate*: layers against a truth, or against a second noisy frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Layer
from qtpy.QtWidgets import QDoubleSpinBox, QLabel, QPushButton

from napari_hdn.api import HDNError
from napari_hdn.ui.evaluation import EvaluationJob
from napari_hdn.ui.job_dock import JobDock
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.layers import selectable, stack_of
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.layer_ticks import LayerTicks
from napari_hdn.ui.parts.models.choice import ModelChoice
from napari_hdn.ui.parts.notices import Notices
from napari_hdn.ui.parts.result_table import ResultTable
from napari_hdn.ui.session import session_of

if TYPE_CHECKING:
    import napari

    from napari_hdn.api import Evaluation

_AGAINST = (
    ("a truth", "truth"),
    ("a second noisy frame", "second"),
)
_RANGES = (
    ("max − min of the truth", "auto"),
    ("255 (8-bit pictures)", "255"),
    ("a number of counts", "own"),
)
_MOST_COUNTS = 1e9
_HEADS: dict[int, tuple[str, ...]] = {
    4: ("layer", "planes", "PSNR", "SSIM", "SI-PSNR", "MSE"),
    6: ("layer", "planes", "est. MSE", "± s.e.", "est. PSNR", "at most", "at least", "noise var."),
}


def _offered(layer: Layer) -> bool:
    return isinstance(layer, Image) and selectable(layer)


class EvaluateDock(JobDock):
    """A view of the last evaluation of the session.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    kinds = kinds_over = (EvaluationJob.kind,)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(session_of(napari_viewer))
        self.ticks = LayerTicks(self._session, _offered)
        self.against = Choice(_AGAINST)
        self.reference = LayerPick(self._session, "choose a layer", _offered)
        self.span = Choice(_RANGES)
        self.counts = QDoubleSpinBox()
        self.counts.setRange(0.001, _MOST_COUNTS)
        self.counts.setDecimals(3)
        self.counts.setValue(65535)
        self.counts.setToolTip("The range of PSNR in counts")
        self.models = ModelChoice(self._session, "Noise model of")
        self.hint = Hint()
        self.notices = Notices()
        self.results = ResultTable()
        self.note = Hint()
        self.evaluate = QPushButton("Evaluate")
        self.evaluate.setToolTip("Compare the ticked layers, plane by plane")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop; the means of what is compared are shown")
        self._told: Evaluation | None = None  # what the table shows
        self._lay_out()
        self.against.currentIndexChanged.connect(self._on_against)
        self.span.currentIndexChanged.connect(self._on_against)
        self.evaluate.clicked.connect(lambda: self._begin(self._evaluation))
        self.stop.clicked.connect(self._session.stop)
        watch(self, self._session.job_changed, self._on_job_changed)
        watch(self, self._session.job_updated, self._on_job_updated)
        self._on_against()
        self._show_job()

    def _lay_out(self) -> None:
        self.body.addWidget(QLabel("Layers to evaluate (the raw one, too, to compare with)"))
        self.body.addWidget(self.ticks)
        self._form = Form()
        self._form.add("Against", self.against)
        self._form.add("Truth", self.reference)
        self._form.add("PSNR range", self.span)
        self._form.add("Counts", self.counts)
        self.body.addLayout(self._form)
        self.body.addWidget(self.models)
        self.body.addWidget(self.hint)
        self.body.addWidget(self.notices)
        self.body.addWidget(self.results)
        self.body.addWidget(self.note)
        self.body.addStretch(1)
        self.footer.addWidget(row(self.evaluate, self.stop))
        self.footer.addWidget(self.progress)

    def _evaluation(self) -> Job:
        session, reference = self._session, self.reference.layer
        second = self.against.value() == "second"
        layers = self.ticks.layers
        if not layers:
            raise HDNError("Tick at least one layer to evaluate.")
        if reference is None:
            which = "second noisy frame" if second else "truth"
            raise HDNError(f"Choose the layer that holds the {which}.")
        if not second and any(layer is reference for layer in layers):
            raise HDNError(
                f"{reference.name} is ticked and is the truth, too; take its tick away, or choose "
                "another truth."
            )
        stacks = [stack_of(layer, session.axes_of(layer)) for layer in (*layers, reference)]
        model = session.chosen_model() if second else None
        return EvaluationJob(stacks[:-1], stacks[-1], self._span(), model)

    def _span(self) -> float | None:
        chosen = self.span.value()
        return {"auto": None, "255": 255.0}.get(chosen, self.counts.value())

    def _on_against(self) -> None:
        second = self.against.value() == "second"
        self._form.labelForField(self.reference).setText("Second frame" if second else "Truth")
        self._form.setRowVisible(self.counts, self.span.value() == "own")
        self.span.setItemText(0, "max − min of each image" if second else _RANGES[0][0])
        self.models.setVisible(second)
        self.hint.say(
            "Another frame of the same scene at rest, with noise of its own, which was not restored. "
            "Its noise model tells how much of the difference is noise; the rest is the error."
            if second
            else ""
        )

    def _show_job(self) -> None:
        job = self._shown
        running = job is not None and job.running
        self.evaluate.setEnabled(not running)
        self.stop.setEnabled(running and not job.stop.requested)
        self.progress.show_job(job)
        self.notices.show_job(job)
        self.notices.setVisible(job is not None and bool(job.notices))
        found = self._session.results.get(EvaluationJob.kind)
        self._show_result(found.result if isinstance(found, EvaluationJob) else None)

    def _show_result(self, result: Evaluation | None) -> None:
        if result is self._told and result is not None:
            return  # the user may have sorted it
        self._told = result
        self.results.setVisible(result is not None)
        self.note.setVisible(result is not None)
        if result is not None:
            header, rows = result.table()
            heads = _HEADS[len(result.columns)]
            if len(header) > len(heads):
                heads = (*heads, "left out")
            self.results.show_rows(header, rows, heads)
            self.note.say(f"Against {result.against}. {result.note}")
