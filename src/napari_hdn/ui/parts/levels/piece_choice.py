"""Which piece of which image the inspector looks at."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_hdn.api import HDNError
from napari_hdn.ui.layers import product_of, selectable
from napari_hdn.ui.parts.forms import Choice, Form, Hint, watch
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.piece import Piece, drawn_piece, piece_in_view, whole_plane
from napari_hdn.ui.region import PREVIEW_PX
from napari_hdn.ui.session import Session
from napari_hdn.ui.sources import LayerSource

_LARGE = 4 * 1024 * 1024  # pixels; takes minutes on a processor
_WAYS = (
    (f"what is in view (≤ {PREVIEW_PX} × {PREVIEW_PX} px)", "view"),
    ("a rectangle that I draw", "rectangle"),
    ("the whole plane", "plane"),
)


def _raw(layer: Layer) -> bool:
    return selectable(layer) and product_of(layer) not in {"mean", "truth"}


def _is_shapes(layer: Layer) -> bool:
    return isinstance(layer, Shapes)


class PieceChoice(QWidget):
    """An image layer and a part of it, with an immediate word on whether they can be used.

    Parameters
    ----------
    session : Session
    background : bool
        Whether background may be drawn.
    """

    changed = Signal()

    def __init__(self, session: Session, *, background: bool = True) -> None:
        super().__init__()
        self._session = session
        self.image = LayerPick(session, "choose an image", _raw)
        self.part = Choice(_WAYS)
        self.rectangle = LayerPick(session, "choose a Shapes layer", _is_shapes)
        self.background = LayerPick(session, "found by itself", _is_shapes)
        self.background.setToolTip(
            "Where there is nothing but noise, drawn as rectangles in a Shapes layer: what a level "
            "holds there is noise or an artefact"
        )
        self.hint = Hint()
        self.form = form = Form(self)
        form.add("Image", self.image)
        form.add("Look at", self.part)
        form.add("Rectangle", self.rectangle)
        form.add("Background", self.background)
        form.addRow(self.hint)
        form.setRowVisible(self.background, background)
        self.part.currentIndexChanged.connect(self._on_part)
        for pick in (self.image, self.rectangle, self.background):
            pick.edited.connect(self._check)
        events = session.viewer.layers.events
        watch(self, events.inserted, self._choose_first)
        watch(self, session.model_changed, self._check)
        watch(self, session.viewer.dims.events.current_step, self._on_slider)
        self._choose_first()
        self._on_part()

    def snapshot(self) -> Piece:
        """What is chosen, for a job.

        Raises
        ------
        HDNError
            If it cannot be used.
        """
        source, viewer = self._source(), self._session.viewer
        background = self.background.layer
        match self.part.value():
            case "rectangle":
                if self.rectangle.layer is None:
                    raise HDNError(
                        "Choose the Shapes layer with the rectangle to look at; to make one, press "
                        "'New shapes layer' above the list of layers and draw."
                    )
                return drawn_piece(viewer, source, self.rectangle.layer, background)
            case "plane":
                return whole_plane(viewer, source, background)
        return piece_in_view(viewer, source, background)

    def _source(self) -> LayerSource:
        model = self._session.model
        source = self.image.source()
        if source is None:
            raise HDNError("Choose the image to look at; open one first if there is none.")
        if model is None or model.config.channel is None:
            return source
        return self.image.source(model.config.channel) or source

    def _choose_first(self, event: Any = None) -> None:
        self.image.refresh()  # napari may tell this widget first
        if self.image.layer is None and self.image.count() > 1:
            active = self._session.viewer.layers.selection.active
            self.image.setCurrentIndex(1)
            if active is not None:
                self.image.choose(active)

    def _on_part(self) -> None:
        self.form.setRowVisible(self.rectangle, self.part.value() == "rectangle")
        self._check()

    def _on_slider(self, event: Any = None) -> None:
        if self.part.value() != "view":  # which says nothing of the piece
            self._check()

    def _check(self) -> None:
        try:
            if self.image.layer is None:
                self.hint.say("")
            else:
                self._tell(self.snapshot())
        except HDNError as error:
            self.hint.say(str(error), warning=True)
        self.changed.emit()

    def _tell(self, piece: Piece) -> None:
        height, width = piece.shape
        if self.part.value() == "view":
            self.hint.say("")  # it changes with every move of the camera
        elif height * width > _LARGE:
            self.hint.say(f"{piece.in_words()}: large, this takes minutes.", warning=True)
        else:
            self.hint.say(f"{piece.in_words()}.")
