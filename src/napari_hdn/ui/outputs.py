"""Layers that jobs fill while they run: previews, and restored images plane by plane."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.layers import Image

from napari_hdn.api import ImageStack
from napari_hdn.core.events import RateLimit
from napari_hdn.ui.layers import METADATA_KEY, Placement, add_image, product_name, product_of
from napari_hdn.ui.region import Region


class PreviewLayer:
    """The one preview layer of an image, made when first needed and moved with the view.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Of the image.
    placement : Placement
        Where the whole image lies.
    identity : dict
        What made the preview; goes to the layer's metadata.
    """

    def __init__(
        self, viewer: Any, name: str, placement: Placement, identity: dict[str, Any]
    ) -> None:
        self._viewer = weakref.ref(viewer)
        self._name = product_name(name, "preview")
        self._placement = placement
        self._identity = {**identity, "product": "preview"}

    def show(self, stack: ImageStack, region: Region, image: np.ndarray) -> None:
        """Put a restored (Y, X) piece where it belongs."""
        viewer = self._viewer()
        if viewer is None:
            return
        data = region.shaped(stack, image)
        placement = region.placed(stack, self._placement)
        layer = self._find(viewer, data.ndim)
        if layer is None:
            add_image(
                viewer, data, self._name, placement, self._identity, **_look(placement, image)
            )
            return
        layer.metadata[METADATA_KEY] = self._identity
        layer.translate = placement.translate
        layer.data = data

    def _find(self, viewer: Any, ndim: int) -> Image | None:
        for layer in viewer.layers:
            if product_of(layer) == "preview" and layer.name == self._name and layer.ndim == ndim:
                return layer
        return None


class GrowingLayer:
    """A layer over an array that a worker fills; redrawn at most a few times a second.

    Parameters
    ----------
    viewer : napari.Viewer
    array : numpy.ndarray
        What the worker writes to.
    name : str
    placement : Placement
    identity : dict
    spread : bool
        Whether it holds a spread, which gets its own contrast and colours.
    """

    def __init__(
        self,
        viewer: Any,
        array: np.ndarray,
        name: str,
        placement: Placement,
        identity: dict[str, Any],
        *,
        spread: bool = False,
        first: np.ndarray,
    ) -> None:
        look: dict[str, Any] = (
            {"colormap": "inferno", "contrast_limits": _percentiles(first)}
            if spread
            else _look(placement, first)
        )
        self._layer = weakref.ref(add_image(viewer, array, name, placement, identity, **look))
        self._limit = RateLimit(per_second=4)

    def refresh(self, *, now: bool = False) -> None:
        """Show what has been written since."""
        layer = self._layer()
        if layer is not None and (now or self._limit.ready()):
            layer.refresh()


def _look(placement: Placement, picture: np.ndarray) -> dict[str, Any]:
    """Contrast and colours of the source, so that before and after compare honestly."""
    limits = placement.contrast_limits
    if limits is None or limits[1] <= limits[0]:
        limits = _percentiles(picture)
    return {"contrast_limits": limits, "colormap": placement.colormap}


def _percentiles(picture: np.ndarray) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(picture, (0.1, 99.9)))
    return (low, high) if high > low else (low, low + 1.0)
