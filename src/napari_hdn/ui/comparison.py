"""Before, without and removed: three layers over the piece that was inspected, side by side."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal

from napari.layers import Image

from napari_hdn import api
from napari_hdn.ui.layers import METADATA_KEY, add_image
from napari_hdn.ui.looks import difference_colours, look_of, sparse
from napari_hdn.ui.side_by_side import SideBySide

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_hdn.ui.inspection import Inspected
    from napari_hdn.ui.live import Switched

Part = Literal["before", "without", "removed"]
PARTS: tuple[Part, ...] = ("before", "without", "removed")  # the last one on top
_BESIDE = 2  # other layers in sight, of which the raw image is one


class _Trio:
    """The three layers of one image, as far as they were made and not removed."""

    def __init__(self) -> None:
        self.layers: dict[Part, weakref.ref[Image]] = {}
        self.names: dict[Part, str] = {}  # as `ComparisonLayers` gave them
        self.limit: float | None = None  # of the contrast of what was removed, as set there
        self.hidden: set[Part] = set()  # by `ComparisonLayers`, for another image's

    def there(self, viewer: Any, part: Part) -> Image | None:
        """One of the layers, if it is in the viewer."""
        known = self.layers.get(part)
        layer = None if known is None else known()
        return layer if viewer is not None and layer in viewer.layers else None

    def forget(self, viewer: Any, ndim: int) -> None:
        """Those that the user removed, or that have other axes than the image has now."""
        for part in PARTS:
            layer = self.there(viewer, part)
            if layer is None or layer.ndim != ndim:
                self.layers.pop(part, None)
                self.names.pop(part, None)


class ComparisonLayers:
    """The three layers of each image that is inspected; made once, then kept up to date in place.

    One that the user removes does not come back before the next inspection. Layers are known by
    themselves, not by what their metadata tell: a user's duplicate of one has the same, and images
    change their names. Those of one image only are in sight.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self.side_by_side = SideBySide(viewer)
        self._look: Inspected | None = None
        self._made: weakref.WeakKeyDictionary[Layer, _Trio] = weakref.WeakKeyDictionary()
        self._all: weakref.WeakSet[Image] = weakref.WeakSet()  # that were ever made here
        self._shown: _Trio | None = None  # the trio in sight

    def begin(self, look: Inspected) -> None:
        """Take over what an earlier inspection of the same image left in the viewer."""
        self._look = look
        self._trio(look).forget(self._viewer(), len(look.piece.source.stack.axes))

    def end(self) -> None:
        """Let go of what was inspected; the layers stay."""
        self._look = None

    def any_there(self) -> bool:
        """Whether one of the layers of what is inspected is in the viewer."""
        return self._look is not None and self._any_of(self._trio(self._look))

    def show(self, switched: Switched) -> None:
        """Make the layers, or change what they show."""
        viewer = self._viewer()
        if viewer is None or switched.look is not self._look:
            return
        trio = self._trio(switched.look)
        begins = trio is not self._shown or not trio.layers
        adds = any(part not in trio.layers for part in PARTS)
        if begins or adds:
            self.side_by_side.end()  # no layers come and go while napari draws the grid
        if begins:
            self._bring_forward(viewer, trio)
        for part in PARTS:
            if part not in trio.layers:
                self._add(viewer, trio, part, switched)
            elif (layer := trio.there(viewer, part)) is not None:
                self._update(trio, layer, part, switched)
        if begins or adds:
            self.side_by_side.begin(self._place, self._any_in_sight)
        else:
            self.side_by_side.refit()

    def _bring_forward(self, viewer: Any, trio: _Trio) -> None:
        """Hide an earlier image's layers, and show again those that were hidden so."""
        earlier, self._shown = self._shown, trio
        if earlier is not None and earlier is not trio:
            for part in PARTS:
                if (layer := earlier.there(viewer, part)) is not None and layer.visible:
                    layer.visible = False
                    earlier.hidden.add(part)
        self.side_by_side.propose(self._others_in_sight(viewer) <= _BESIDE)
        for part in trio.hidden - {"removed"}:
            if (layer := trio.there(viewer, part)) is not None:
                layer.visible = True
        trio.hidden.clear()
        self._place(self.side_by_side.wanted)

    def _trio(self, look: Inspected) -> _Trio:
        return self._made.setdefault(look.piece.source.layer, _Trio())

    def _any_of(self, trio: _Trio | None) -> bool:
        viewer = self._viewer()
        return trio is not None and any(trio.there(viewer, part) is not None for part in PARTS)

    def _any_in_sight(self) -> bool:
        return self._any_of(self._shown)

    def _add(self, viewer: Any, trio: _Trio, part: Part, switched: Switched) -> None:
        piece = switched.look.piece
        picture = getattr(switched, part)
        appearance: dict[str, Any] = look_of(piece.placement, sparse(picture))
        if part == "removed":
            trio.limit = switched.limit
            limits = (-trio.limit, trio.limit)
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
        trio.layers[part] = weakref.ref(layer)
        trio.names[part] = layer.name
        self._all.add(layer)

    def _update(self, trio: _Trio, layer: Image, part: Part, switched: Switched) -> None:
        piece = switched.look.piece
        picture = getattr(switched, part)
        piece.placement.apply(layer)
        layer.data = piece.shaped(picture)
        layer.metadata[METADATA_KEY] = _identity(part, switched)
        if layer.name == trio.names.get(part):  # unless the user gave it another
            layer.name = _name(part, switched)
            trio.names[part] = layer.name
        if part == "removed":
            self._adapt_contrast(trio, layer, switched.limit)

    def _adapt_contrast(self, trio: _Trio, layer: Image, limit: float) -> None:
        low, high = layer.contrast_limits
        if trio.limit is not None and (low, high) != (-trio.limit, trio.limit):
            return  # the user's
        trio.limit = limit
        layer.contrast_limits = (-limit, limit)

    def _others_in_sight(self, viewer: Any) -> int:
        """Each of them would take a place, and make all smaller."""
        return sum(layer.visible for layer in viewer.layers if layer not in self._all)

    def _place(self, side_by_side: bool) -> None:
        """What was removed would cover the image, were it not beside it."""
        if self._shown is not None:
            layer = self._shown.there(self._viewer(), "removed")
            if layer is not None:
                layer.visible = side_by_side


def look_name(look: Inspected) -> str:
    """What an inspected image is called."""
    return look.piece.source.name


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
