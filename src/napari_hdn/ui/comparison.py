"""Before, without and removed: three layers over the piece that was inspected, side by side."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap

from napari_hdn import api
from napari_hdn.ui.layers import METADATA_KEY, add_image, product_of
from napari_hdn.ui.outputs import look_of
from napari_hdn.ui.side_by_side import SideBySide

if TYPE_CHECKING:
    from napari_hdn.ui.inspection import Inspected
    from napari_hdn.ui.live import Switched

Part = Literal["before", "without", "removed"]
PARTS: tuple[Part, ...] = ("before", "without", "removed")  # the last one on top
_BESIDE = 2  # other layers in sight, of which the raw image is one
_BLUE, _WHITE, _RED = (0.13, 0.33, 0.75, 1.0), (0.97, 0.97, 0.97, 1.0), (0.75, 0.11, 0.15, 1.0)


def difference_colours() -> Colormap:
    """Blue below 0, white at it, red above."""
    return Colormap([_BLUE, _WHITE, _RED], name="blue-white-red")


class ComparisonLayers:
    """The three layers of the image that is inspected; made once, then kept up to date in place.

    One that the user removes does not come back before the next inspection.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self.side_by_side = SideBySide(viewer)
        self._look: Inspected | None = None
        self._layers: dict[Part, weakref.ref[Image]] = {}
        self._names: dict[Part, str] = {}  # as this class gave them
        self._limit: float | None = None  # of the contrast of what was removed, as set here

    def begin(self, look: Inspected) -> None:
        """Take over what an earlier inspection of the same image left in the viewer."""
        viewer = self._viewer()
        self._look, self._layers, self._names, self._limit = look, {}, {}, None
        if viewer is None:
            return
        ndim = len(look.piece.source.stack.axes)
        for layer in viewer.layers:
            part = product_of(layer)
            if part in PARTS and layer.ndim == ndim and self._source_of(layer) == look_name(look):
                self._layers[part] = weakref.ref(layer)
                self._names[part] = layer.name

    def any_there(self) -> bool:
        """Whether one of the layers is in the viewer."""
        return any(self.layer(part) is not None for part in PARTS)

    def layer(self, part: Part) -> Image | None:
        """One of the layers, if it is in the viewer."""
        viewer, known = self._viewer(), self._layers.get(part)
        layer = None if known is None else known()
        return layer if viewer is not None and layer in viewer.layers else None

    def show(self, switched: Switched) -> None:
        """Make the layers, or change what they show."""
        viewer = self._viewer()
        if viewer is None or switched.look is not self._look:
            return
        first = not self._layers
        if first:
            self.side_by_side.propose(self._others_in_sight(viewer) <= _BESIDE)
        for part in PARTS:
            if part not in self._layers:
                self._add(viewer, part, switched)
            elif (layer := self.layer(part)) is not None:
                self._update(layer, part, switched)
        if first:
            self.side_by_side.begin(self._place, self.any_there)
        else:
            self.side_by_side.refit()

    def _add(self, viewer: Any, part: Part, switched: Switched) -> None:
        piece = switched.look.piece
        picture = getattr(switched, part)
        appearance: dict[str, Any] = look_of(piece.placement, picture)
        if part == "removed":
            self._limit = _limit_of(picture)
            limits = (-self._limit, self._limit)
            appearance = {"contrast_limits": limits, "colormap": difference_colours()}
            appearance["visible"] = self.side_by_side.wanted
        layer = add_image(
            viewer,
            piece.shaped(picture),
            _name(part, switched),
            piece.placement,
            _identity(part, switched),
            **appearance,
        )
        self._layers[part] = weakref.ref(layer)
        self._names[part] = layer.name

    def _update(self, layer: Image, part: Part, switched: Switched) -> None:
        piece = switched.look.piece
        picture = getattr(switched, part)
        piece.placement.apply(layer)
        layer.data = piece.shaped(picture)
        layer.metadata[METADATA_KEY] = _identity(part, switched)
        if layer.name == self._names.get(part):  # unless the user gave it another
            layer.name = _name(part, switched)
            self._names[part] = layer.name
        if part == "removed":
            self._adapt_contrast(layer, picture)

    def _adapt_contrast(self, layer: Image, picture: np.ndarray) -> None:
        low, high = layer.contrast_limits
        if self._limit is not None and (low, high) != (-self._limit, self._limit):
            return  # the user's
        self._limit = _limit_of(picture)
        layer.contrast_limits = (-self._limit, self._limit)

    def _others_in_sight(self, viewer: Any) -> int:
        """Each of them would take a place, and make all smaller."""
        return sum(layer.visible for layer in viewer.layers)

    def _place(self, side_by_side: bool) -> None:
        """What was removed would cover the image, were it not beside it."""
        if (layer := self.layer("removed")) is not None:
            layer.visible = side_by_side

    def _source_of(self, layer: Image) -> Any:
        return layer.metadata[METADATA_KEY].get("source")


def look_name(look: Inspected) -> str:
    """What an inspected image is called."""
    return look.piece.source.name


def _limit_of(picture: np.ndarray) -> float:
    return max(float(np.percentile(np.abs(picture), 99.5)), 1e-3)


def _name(part: Part, switched: Switched) -> str:
    name, levels = look_name(switched.look), api.spoken_levels(switched.switched)
    match part:
        case "before":
            return f"{name} [HDN before]"
        case "without":
            told = f"without {levels}" if switched.switched else "nothing switched off"
            return f"{name} [HDN preview, {told}]"
    return f"{name} [HDN removed by {levels} off]" if switched.switched else f"{name} [HDN removed]"


def _identity(part: Part, switched: Switched) -> dict[str, Any]:
    look = switched.look
    return {
        "model": look.model.name,
        "folder": None if look.model.folder is None else str(look.model.folder),
        "model_created": look.model.summary.created,
        "product": part,
        "source": look_name(look),
        "axes": look.piece.source.stack.axes,
        "levels_off": list(look.untrained if part == "before" else switched.off),
        "preview": True,
    }
