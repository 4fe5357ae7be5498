"""Scores of a segmentation against a labels layer that somebody drew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Labels, Layer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hdn.ui import jobs
from napari_hdn.ui.layers import ASIDE, product_of
from napari_hdn.ui.parts.forms import Form, Hint
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.result_table import ResultTable

if TYPE_CHECKING:
    from napari_hdn.core.segmentation.segment import SegmentationScores
    from napari_hdn.ui.segmentation import Segmented
    from napari_hdn.ui.session import Session

_HEADS = ("segmentation", "AP 0.5", "AP 0.5:0.95", "SEG", "objects")
_MEANING = (
    "AP = hits / (hits + false + missed), a hit overlapping a true object with at least that IoU; SEG: "
    "mean IoU over the true objects (Cell Tracking Challenge)."
)


def _labels(layer: Layer) -> bool:
    return isinstance(layer, Labels) and product_of(layer) not in ASIDE


class Agreement(QWidget):
    """A truth layer, and AP and SEG against it.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._found: Segmented | None = None
        self.truth = LayerPick(session, "none", _labels)
        self.hint = Hint()
        self.scores = ResultTable("Copy scores")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        form = Form()
        form.add("Truth", self.truth)
        layout.addLayout(form)
        layout.addWidget(self.scores)
        layout.addWidget(self.hint)
        self.truth.edited.connect(self._score)
        self._score()

    def show_result(self, found: Segmented | None) -> None:
        """Score another segmentation."""
        if found is not self._found:
            self._found = found
            self._score()

    def _score(self) -> None:
        layer, found = self.truth.layer, self._found
        self.scores.setVisible(False)
        if layer is None:
            self.hint.say("Choose a labels layer with the true objects to get AP and SEG.")
            return
        if found is None:
            self.hint.say("Segment first.")
            return
        array, name = layer.data[0] if layer.multiscale else layer.data, layer.name
        self.hint.say(f"Comparing with {name} ...")

        def wanted() -> bool:
            return self._found is found and self.truth.layer is layer

        def on_result(scores: SegmentationScores) -> None:
            if wanted():
                header, rows = scores.table()
                self.scores.show_rows(header, rows, _HEADS)
                self.scores.setVisible(True)
                self.hint.say(_MEANING)

        def on_error(text: str) -> None:
            if wanted():
                self.hint.say(text, warning=True)

        def compare() -> SegmentationScores:
            return found.result.scores(found.crop_of(array, name), name)

        jobs.look_up(compare, on_result, on_error, owner=self)
