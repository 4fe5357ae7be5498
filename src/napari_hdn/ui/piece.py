"""The piece of an image whose levels are looked at, as a frozen snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.layers import Shapes

from napari_hdn.api import HDNError, JobInput
from napari_hdn.ui.background import Box, areas_of, background_of
from napari_hdn.ui.export import pixel_sizes
from napari_hdn.ui.layers import Placement
from napari_hdn.ui.region import PREVIEW_PX, Region, region_in_view
from napari_hdn.ui.sources import LayerSource

_DRAW = "draw a rectangle around what is to be looked at"


@dataclass(frozen=True)
class Piece:
    """A rectangle of one plane of a layer, with the background drawn in it.

    Attributes
    ----------
    source : LayerSource
    region : Region
    boxes : tuple of (y0, y1, x0, x1), or None
        Background in pixels of the piece; None to have it looked for.
    pixel_um : (float, float) or None
        Size of a pixel along y and x in micrometres, where the layer tells.
    """

    source: LayerSource
    region: Region
    boxes: tuple[Box, ...] | None
    pixel_um: tuple[float, float] | None

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels along y and x."""
        ys, xs = self.region.ys, self.region.xs
        return ys.stop - ys.start, xs.stop - xs.start

    @property
    def placement(self) -> Placement:
        """Where a picture of the piece lies."""
        return self.region.placed(self.source.stack, self.source.placement)

    def middle(self, side: int = PREVIEW_PX) -> Piece:
        """Its middle, at most ``side`` pixels each way."""
        ys, xs = (_middle(s, side) for s in (self.region.ys, self.region.xs))
        return replace(self, region=replace(self.region, ys=ys, xs=xs), boxes=None)

    def read(self) -> np.ndarray:
        """(Y, X) float32 counts; for a worker."""
        counts = self.region.read(self.source.stack).image
        return np.ascontiguousarray(counts, dtype=np.float32)

    def shaped(self, plane: np.ndarray) -> np.ndarray:
        """A picture of the piece, or a stack of such along leading axes, as its layer has axes."""
        leading = plane.shape[:-2]
        flat = plane.reshape(-1, *plane.shape[-2:])
        pictures = np.stack([self.region.shaped(self.source.stack, p) for p in flat])
        return pictures.reshape(*leading, *pictures.shape[1:])

    @property
    def recorded(self) -> JobInput:
        """What a recipe says of it."""
        ys, xs = self.region.ys, self.region.xs
        whole = self.shape == self.source.stack.plane_shape
        region = None if whole else (ys.start, ys.stop, xs.start, xs.stop)
        return JobInput("image", self.source.stack, self.region.index, region)

    @property
    def background(self) -> tuple[Box, ...] | None:
        """The background in pixels of the image; None to have it looked for."""
        if self.boxes is None:
            return None
        top, left = self.region.ys.start, self.region.xs.start
        return tuple((y0 + top, y1 + top, x0 + left, x1 + left) for y0, y1, x0, x1 in self.boxes)

    def in_words(self) -> str:
        """What is looked at."""
        (height, width), index = self.shape, self.region.index
        axes = self.source.stack.leading_axes
        where = "".join(f", {a} {i}" for a, i in zip(axes, index, strict=True))
        ys, xs = self.region.ys, self.region.xs
        whole = (height, width) == self.source.stack.plane_shape
        part = "" if whole else f" (y {ys.start}–{ys.stop - 1}, x {xs.start}–{xs.stop - 1})"
        return f"{self.source.name}{where}: {width} × {height} pixels{part}"


def piece_in_view(viewer: Any, source: LayerSource, background: Shapes | None = None) -> Piece:
    """What the canvas shows of a layer."""
    return _piece(source, region_in_view(viewer, source.layer, source.stack), background)


def whole_plane(viewer: Any, source: LayerSource, background: Shapes | None = None) -> Piece:
    """The plane that is shown, from edge to edge."""
    shown = region_in_view(viewer, source.layer, source.stack)
    height, width = source.stack.plane_shape
    return _piece(source, Region(shown.index, slice(0, height), slice(0, width)), background)


def drawn_piece(
    viewer: Any, source: LayerSource, shapes: Shapes, background: Shapes | None = None
) -> Piece:
    """The rectangle that was drawn last, in the plane that is shown.

    Raises
    ------
    HDNError
        If none is drawn, or it lies outside the image.
    """
    shown = region_in_view(viewer, source.layer, source.stack)
    areas = areas_of(shapes, source.layer, source.stack, _DRAW)
    y0, y1, x0, x1 = areas.boxes[-1]
    return _piece(source, Region(shown.index, slice(y0, y1), slice(x0, x1)), background)


def _piece(source: LayerSource, region: Region, background: Shapes | None) -> Piece:
    boxes = None if background is None else _boxes_in(region, source, background)
    return Piece(source, region, boxes, _pixel_um(source))


def _middle(part: slice, side: int) -> slice:
    length = min(part.stop - part.start, side)
    start = part.start + (part.stop - part.start - length) // 2
    return slice(start, start + length)


def _boxes_in(region: Region, source: LayerSource, shapes: Shapes) -> tuple[Box, ...]:
    """The drawn background as far as it lies in the region, counted from its corner."""
    inside = []
    ys, xs = region.ys, region.xs
    for y0, y1, x0, x1 in background_of(shapes, source.layer, source.stack).boxes:
        top, bottom = max(y0, ys.start), min(y1, ys.stop)
        left, right = max(x0, xs.start), min(x1, xs.stop)
        if top < bottom and left < right:
            inside.append((top - ys.start, bottom - ys.start, left - xs.start, right - xs.start))
    if not inside:
        raise HDNError(
            f"No rectangle of {shapes.name} lies in the piece that is looked at (y {ys.start} to "
            f"{ys.stop - 1}, x {xs.start} to {xs.stop - 1}): draw background there, look at the whole "
            "plane, or let the background be found."
        )
    return tuple(inside)


def _pixel_um(source: LayerSource) -> tuple[float, float] | None:
    """Along y and x, None where the layer's units are no lengths."""
    placement = source.placement
    sizes = pixel_sizes(source.stack.axes, placement.scale, placement.units)
    return (sizes["Y"], sizes["X"]) if "Y" in sizes and "X" in sizes else None
