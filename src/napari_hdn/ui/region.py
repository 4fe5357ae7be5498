"""The piece of an image that the user looks at, for previews.

What is seen is noted on the main thread whenever the camera or a slider moves; a worker reads the
note, a plain attribute, and then the pixels, wherever they are.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image

from napari_hdn.api import ImageStack, PreviewRequest
from napari_hdn.ui.layers import Placement

PREVIEW_PX = 512  # at most, in Y and in X: what a preview every few seconds can afford
_LEAST_PX = 64
_ALIGNED_PX = 32  # a piece has the latents of the whole image if it begins at one of five levels


@dataclass(frozen=True)
class Region:
    """A rectangle of one plane; comes back with the preview as its tag."""

    index: tuple[int, ...]
    ys: slice
    xs: slice

    def read(self, stack: ImageStack) -> PreviewRequest:
        """The pixels of the region; for any thread."""
        return PreviewRequest(stack.crop(self.index, self.ys, self.xs), tag=self)

    def offset(self, stack: ImageStack) -> tuple[int, ...]:
        """The first pixel of the region, one number per axis of the stack."""
        starts = stack.selection(self.index, self.ys, self.xs)
        return tuple(s.start if isinstance(s, slice) else s for s in starts)

    def shaped(self, stack: ImageStack, plane: np.ndarray) -> np.ndarray:
        """A (Y, X) picture of the region with length 1 along all other axes of the stack."""
        sizes = dict(zip("YX", plane.shape, strict=True))
        ordered = plane.T if stack.x_before_y else plane
        return ordered.reshape([sizes.get(a, 1) for a in stack.axes])

    def placed(self, stack: ImageStack, placement: Placement) -> Placement:
        """Where the shaped picture lies, given where the whole image does."""
        return placement.moved(self.offset(stack))


def central_region(stack: ImageStack) -> Region:
    """The middle of the first plane, for images that nobody looks at."""
    height, width = stack.plane_shape
    ys, xs = _window(0, height, height), _window(0, width, width)
    return Region((0,) * len(stack.leading_axes), ys, xs)


def region_in_view(viewer: Any, layer: Image, stack: ImageStack) -> Region:
    """What the canvas shows of a layer, at most `PREVIEW_PX` each way around its middle.

    Parameters
    ----------
    viewer : napari.Viewer
        Read on the main thread only.
    layer : napari.layers.Image
        The layer that ``stack`` was made from.
    stack : ImageStack
        Says which axis is which.
    """
    point = np.asarray(layer.world_to_data(viewer.dims.point), dtype=float)
    corners = _corner_pixels(layer)
    shown = {d - (viewer.dims.ndim - layer.ndim) for d in viewer.dims.displayed}
    if viewer.dims.ndisplay != 2:
        shown = set()  # corners say nothing of a volume seen from the side

    middle, window = {}, {}
    for axis, letter in enumerate(stack.axes):
        size = stack.array.shape[axis]
        low, high = int(corners[0, axis]), int(corners[1, axis]) + 1  # the last pixel is seen, too
        if axis not in shown or high <= low + 1:
            at = round(point[axis])
            low, high = at - PREVIEW_PX // 2, at + PREVIEW_PX // 2
        middle[letter] = int(np.clip((low + high) // 2, 0, size - 1))
        window[letter] = _window(low, high, size)
    index = tuple(middle[a] for a in stack.leading_axes)
    return Region(index, window["Y"], window["X"])


def _corner_pixels(layer: Image) -> np.ndarray:
    """The visible corners in pixels of the finest level: (2, ndim)."""
    corners = np.array(layer.corner_pixels, dtype=float)
    if layer.multiscale:
        corners *= layer.downsample_factors[layer.data_level]
    return np.floor(corners)


def _window(low: int, high: int, size: int) -> slice:
    """What is seen from ``low`` to ``high``, neither too large for a quick look nor too small."""
    low, high = max(low, 0), min(high, size)
    length = min(max(high - low, _LEAST_PX), PREVIEW_PX, size)
    start = min(max((low + high - length) // 2, 0), size - length)
    aligned = start - start % _ALIGNED_PX
    return slice(aligned, min(start + length, aligned + PREVIEW_PX))


class RegionWatch:
    """Keeps `request` up to date with what the viewer shows of one layer.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Image
    stack : ImageStack
    """

    def __init__(self, viewer: Any, layer: Image, stack: ImageStack) -> None:
        self._viewer = weakref.ref(viewer)
        self._layer = weakref.ref(layer)
        self.stack = stack
        self.region = region_in_view(viewer, layer, stack)
        for events in _moves(viewer):
            events.connect(self.look)

    def request(self) -> PreviewRequest:
        """The pixels in view; for the worker."""
        return self.region.read(self.stack)

    def close(self) -> None:
        """Look no more."""
        if (viewer := self._viewer()) is not None:
            for events in _moves(viewer):
                events.disconnect(self.look)

    def look(self) -> None:
        """Note what is in view now; for the main thread.

        To be called now and then, too: napari tells of a moved camera before it has drawn the
        canvas, which is when a layer learns what of it is seen, and of a resized window not at all.
        """
        viewer, layer = self._viewer(), self._layer()
        if viewer is not None and layer is not None:
            self.region = region_in_view(viewer, layer, self.stack)


def _moves(viewer: Any) -> tuple[Any, ...]:
    """What tells that something else is in view."""
    holder = getattr(viewer, "scene", viewer)  # since napari 0.9 the camera belongs to the scene
    dims = viewer.dims.events
    return holder.camera.events, dims.current_step, dims.order, dims.ndisplay
