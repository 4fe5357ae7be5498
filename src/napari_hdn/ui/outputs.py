"""Layers that jobs fill while they run: previews, and restored images plane by plane."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.layers import Image

from napari_hdn.api import ImageStack
from napari_hdn.core.events import RateLimit
from napari_hdn.ui.layers import METADATA_KEY, Placement, add_image, product_name, product_of
from napari_hdn.ui.looks import look_of, look_of_product
from napari_hdn.ui.region import Region


class PreviewLayer:
    """The one preview layer of an image, made when first needed and moved with the view.

    A later job takes over the layer of an earlier one. Once the user has removed it, the job that
    showed it last makes no other.

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
        self._name = name
        self._placement = placement
        self._identity = {**identity, "product": "preview", "source": name}
        self._layer: weakref.ref[Image] | None = None  # None until this job has shown something

    def show(self, stack: ImageStack, region: Region, image: np.ndarray) -> None:
        """Put a restored (Y, X) piece where it belongs."""
        viewer = self._viewer()
        if viewer is None:
            return
        data = region.shaped(stack, image)
        placement = region.placed(stack, self._placement)
        if self._layer is None:
            layer = self._of_an_earlier_job(viewer, data.ndim)
        elif (layer := self._layer()) is None or layer not in viewer.layers:
            return
        if layer is None:
            name = product_name(self._name, "preview")
            layer = add_image(
                viewer, data, name, placement, self._identity, **look_of(placement, image)
            )
        else:
            layer.metadata[METADATA_KEY] = self._identity
            placement.apply(layer)
            layer.data = data
        self._layer = weakref.ref(layer)

    def _of_an_earlier_job(self, viewer: Any, ndim: int) -> Image | None:
        # by what it is: napari calls it "... [1]" where the name was taken, and users rename
        for layer in viewer.layers:
            if product_of(layer) != "preview" or layer.ndim != ndim:
                continue
            if layer.metadata[METADATA_KEY].get("source") == self._name:
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
        Goes to the layer's metadata, where ``planes`` becomes [restored, all].
    product : str
        What it holds: spreads and differences get a contrast and colours of their own.
    first : numpy.ndarray
        A plane, or some rows of one, for the contrast.
    """

    def __init__(
        self,
        viewer: Any,
        array: np.ndarray,
        name: str,
        placement: Placement,
        identity: dict[str, Any],
        *,
        product: str = "mean",
        first: np.ndarray,
    ) -> None:
        look = look_of_product(product, placement, first)
        self._layer = weakref.ref(add_image(viewer, array, name, placement, identity, **look))
        self._layers = weakref.ref(viewer.layers)
        self._limit = RateLimit(per_second=4)

    @property
    def removed(self) -> bool:
        """Whether it is no longer in its viewer."""
        layer, layers = self._layer(), self._layers()
        return layer is None or layers is None or layer not in layers

    def refresh(self, planes: int, total: int) -> None:
        """Show what has been written since, and note how much that is."""
        layer = self._layer()
        if layer is not None:
            layer.metadata[METADATA_KEY]["planes"] = [planes, total]
            if self._limit.ready():
                layer.refresh()

    def note(self, name: str, value: Any) -> None:
        """Keep something in the layer's metadata."""
        layer = self._layer()
        if layer is not None:
            layer.metadata[METADATA_KEY][name] = value

    def finish(self, planes: int, total: int) -> None:
        """Show all that was written, and say in the layer's name if planes are missing."""
        layer = self._layer()
        if layer is None:
            return
        layer.refresh()
        if planes < total:
            layer.name = f"{layer.name} ({planes} of {total} planes)"
