"""What a user drew in a Shapes layer, as boxes in the pixels of an image layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pint
from napari.layers import Layer, Shapes

from napari_hdn.api import HDNError, ImageStack

Box = tuple[int, int, int, int]  # y0, y1, x0, x1 in pixels, the last ones not in it

_AREAS = ("rectangle", "ellipse", "polygon")
_TOLERANCE_PX = 1e-6  # what transforms there and back may be off
_NAMED = 2  # boxes that are spelt out
_DRAW = "draw rectangles on background without structures"


@dataclass(frozen=True)
class Background:
    """Boxes, and in words what became of the drawing."""

    boxes: tuple[Box, ...]
    words: str


def background_of(shapes: Shapes, layer: Layer, stack: ImageStack) -> Background:
    """The background that a user drew; see `areas_of`."""
    return areas_of(shapes, layer, stack, _DRAW)


def areas_of(shapes: Shapes, layer: Layer, stack: ImageStack, request: str) -> Background:
    """The areas of a Shapes layer where they lie on an image, by the transforms of both layers.

    Parameters
    ----------
    shapes : napari.layers.Shapes
        Rectangles are taken as they are; ellipses, polygons and what is turned against the image by
        the box around them. Lines and paths enclose nothing and are passed over.
    layer : napari.layers.Image
    stack : ImageStack
        The image of ``layer``; says which axes are Y and X.
    request : str
        What to draw, for whoever has drawn nothing.

    Raises
    ------
    HDNError
        If no area is drawn, or one lies outside the image.
    """
    boxes, loose = [], False
    for vertices, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind not in _AREAS:
            continue
        corners = _on_image(vertices, shapes, layer, stack)
        box = _box(corners, stack.plane_shape)
        if box is None:
            height, width = stack.plane_shape
            (y0, x0), (y1, x1) = np.round(corners.min(axis=0)), np.round(corners.max(axis=0))
            raise HDNError(
                f"A {kind} of {shapes.name} encloses no pixel of {stack.name}: it spans y {y0:.0f} to "
                f"{y1:.0f} and x {x0:.0f} to {x1:.0f}, and the image {height} × {width} pixels. Draw "
                "it on the image, or remove it."
            )
        boxes.append(box)
        loose |= kind != "rectangle" or not _is_upright(corners)
    if not boxes:
        raise HDNError(f"{shapes.name} holds no area yet: {request}.")
    return Background(tuple(boxes), _words(boxes, len(stack), loose=loose))


def _on_image(vertices: Any, shapes: Shapes, layer: Layer, stack: ImageStack) -> np.ndarray:
    """(n, 2) vertices in the image's pixels, y and x."""
    units = _unit_factors(shapes.units, layer.units)
    points = [
        layer.world_to_data(np.asarray(shapes.data_to_world(vertex)) * units) for vertex in vertices
    ]
    return np.asarray(points)[:, [stack.axes.index("Y"), stack.axes.index("X")]]


def _unit_factors(given: Sequence[Any], wanted: Sequence[Any]) -> np.ndarray:
    """From the world of one layer to that of another, aligned at their last axes as napari does."""
    factors = np.ones(len(given))
    for i in range(1, min(len(given), len(wanted)) + 1):
        try:
            factors[-i] = (1 * given[-i]).to(wanted[-i]).magnitude
        except pint.DimensionalityError:  # pixels beside lengths: napari draws them alike, too
            continue
    return factors


def _box(corners: np.ndarray, plane_shape: tuple[int, int]) -> Box | None:
    """The pixels whose centres are enclosed, within the image; None where there are none."""
    low = np.ceil(corners.min(axis=0) - _TOLERANCE_PX).astype(int)
    high = np.floor(corners.max(axis=0) + _TOLERANCE_PX).astype(int) + 1
    y0, x0 = np.maximum(low, 0)
    y1, x1 = np.minimum(high, plane_shape)
    return (int(y0), int(y1), int(x0), int(x1)) if y0 < y1 and x0 < x1 else None


def _is_upright(corners: np.ndarray) -> bool:
    """Whether the sides of a rectangle go along y and x."""
    sides = np.abs(np.diff(corners, axis=0))
    return bool((sides.min(axis=1) <= 1e-3 * sides.max()).all())


def _words(boxes: list[Box], planes: int, *, loose: bool) -> str:
    named = "; ".join(f"y {y0}–{y1 - 1}, x {x0}–{x1 - 1}" for y0, y1, x0, x1 in boxes[:_NAMED])
    more = f"; and {len(boxes) - _NAMED} more" if len(boxes) > _NAMED else ""
    regions = "1 region" if len(boxes) == 1 else f"{len(boxes)} regions"
    around = " The boxes around what was drawn are taken." if loose else ""
    where = f" in each of the {planes} images" if planes > 1 else ""
    return f"{regions}{where}, in pixels: {named}{more}.{around}"
