"""napari layers as image stacks, and stacks back as new layers in the same place.

A user's layer is never changed; what is made from it gets a layer of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.transforms import Affine

from napari_hdn.api import ImageStack, guess_axes
from napari_hdn.core.errors import HDNError, ImageError

METADATA_KEY = "napari-hdn"
# what the plugin shows on the side, and nobody wants to restore or to learn from
ASIDE = {
    "preview", "std", "cv", "quantiles", "samples", "difference", "mean-map",
    "before", "without", "removed", "contributions", "drawn", "generated",
    "consensus", "segmented", "confidence", "trust", "trust-map",
}  # fmt: skip
_SPOKEN = {"map": "MAP", "mean-map": "mean − MAP"}


def product_name(name: str, product: str, how: str = "") -> str:
    """What to call the layer made from the layer ``name``, and in which way where that matters."""
    return f"{name} [HDN {_SPOKEN.get(product, product)}{how and f', {how}'}]"


def product_of(layer: Layer) -> str | None:
    """What a layer is, if this plugin made it: mean, std, sample, truth, or one of `ASIDE`."""
    identity = layer.metadata.get(METADATA_KEY)
    return identity.get("product") if isinstance(identity, dict) else None


def selectable(layer: Layer) -> bool:
    """Whether a user may look for this layer among images.

    Labels and RGB layers are offered, since a clear word why they cannot be used helps more than
    their absence; what the plugin shows on the side is not.
    """
    return isinstance(layer, Image | Labels) and product_of(layer) not in ASIDE


def array_of(layer: Layer) -> Any:
    """The layer's pixels at full resolution, as they are: numpy, dask, zarr.

    Raises
    ------
    ImageError
        For anything but a single-channel image layer.
    """
    if isinstance(layer, Labels):
        raise ImageError(
            f"{layer.name} is a labels layer, whose numbers are names of objects; HDN restores "
            "grey values. Choose the image layer that it was made from."
        )
    if not isinstance(layer, Image):
        raise ImageError(f"{layer.name} is no image layer; choose an image layer.")
    if layer.rgb:
        raise ImageError(
            f"{layer.name} is an RGB colour picture, in which counts are lost; HDN needs grey "
            "values. Open the raw file, or split the layer into channels: right-click > Split RGB."
        )
    return layer.data[0] if layer.multiscale else layer.data


def usable_axes(axes: Any, shape: Sequence[int]) -> str | None:
    """``axes`` in capitals if they fit an image of that shape, else None."""
    if not isinstance(axes, str) or not axes.strip():
        return None
    try:
        return ImageStack(np.broadcast_to(np.uint8(0), tuple(shape)), axes).axes
    except HDNError:
        return None


def layer_axes(
    shape: Sequence[int],
    labels: Sequence[str],
    metadata: Mapping[str, Any],
    chosen: str | None = None,
) -> str:
    """One letter per axis: what the user chose, else what this plugin noted, else a guess.

    A projection or a split of a restored layer keeps the metadata but not the axes, and a user may
    give a layer other data: only what fits the shape counts.
    """
    identity = metadata.get(METADATA_KEY)
    noted = identity.get("axes") if isinstance(identity, Mapping) else None
    return (
        usable_axes(chosen, shape)
        or usable_axes(noted, shape)
        or guess_axes(tuple(shape), tuple(labels))
    )


def guess_layer_axes(layer: Layer, chosen: str | None = None) -> str:
    """One letter per axis of a layer; see `layer_axes`."""
    return layer_axes(array_of(layer).shape, layer.axis_labels, layer.metadata, chosen)


def stack_of(layer: Layer, axes: str | None = None, channel: int | None = None) -> ImageStack:
    """A layer as the core knows images; nothing is read or copied.

    Raises
    ------
    ImageError, AxesError
        If the layer cannot be used, or the axes do not fit it.
    """
    array = array_of(layer)
    return ImageStack(array, axes or guess_layer_axes(layer), name=layer.name, channel=channel)


@dataclass(frozen=True)
class Placement:
    """Where a layer lies in the world and how it looks: what new layers take over."""

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    rotate: np.ndarray
    shear: np.ndarray
    affine: np.ndarray  # (n + 1, n + 1)
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]
    contrast_limits: tuple[float, float] | None = None
    colormap: str = "gray"

    @classmethod
    def of(cls, layer: Image) -> Placement:
        """Read it off a layer, on the main thread."""
        return cls(
            scale=tuple(float(v) for v in layer.scale),
            translate=tuple(float(v) for v in layer.translate),
            rotate=np.array(layer.rotate),
            shear=np.array(layer.shear),
            affine=np.array(layer.affine.affine_matrix),
            units=tuple(layer.units),
            axis_labels=tuple(layer.axis_labels),
            contrast_limits=tuple(float(v) for v in layer.contrast_limits),
            colormap=layer.colormap.name,
        )

    @classmethod
    def plain(cls, axes: str, pixel_size_um: dict[str, float] | None) -> Placement:
        """For images from files: pixel sizes where they are known, in micrometres."""
        known = pixel_size_um or {}
        n = len(axes)
        return cls(
            scale=tuple(known.get(a, 1.0) for a in axes),
            translate=(0.0,) * n,
            rotate=np.eye(n),
            shear=np.zeros(n * (n - 1) // 2),
            affine=np.eye(n + 1),
            units=tuple("micrometer" if a in known else "pixel" for a in axes),
            axis_labels=tuple(axes.lower()),
        )

    def moved(self, offset: Sequence[float]) -> Placement:
        """For a piece of the image that begins at pixel ``offset``."""
        to_world = Affine(
            scale=self.scale, translate=self.translate, rotate=self.rotate, shear=self.shear
        )
        return self._replace(translate=tuple(float(v) for v in to_world(np.asarray(offset))))

    def without(self, axis: int) -> Placement:
        """For an image that lacks one of the axes, such as a chosen channel's."""

        def cut(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(v for i, v in enumerate(values) if i != axis)

        n = len(self.scale)
        shear = _shear_matrix(self.shear, n)
        shear = np.delete(np.delete(shear, axis, 0), axis, 1)
        return self._replace(
            scale=cut(self.scale),
            translate=cut(self.translate),
            rotate=np.delete(np.delete(self.rotate, axis, 0), axis, 1),
            shear=shear[np.triu_indices(n - 1, 1)],
            affine=np.delete(np.delete(self.affine, axis, 0), axis, 1),
            units=cut(self.units),
            axis_labels=cut(self.axis_labels),
        )

    def led_by(self, labels: Sequence[str], first: Sequence[float]) -> Placement:
        """For pictures stacked along new leading axes.

        Parameters
        ----------
        labels : sequence of str
            One per new axis.
        first : sequence of float
            Where each begins, such as 1 for levels.
        """
        k, n = len(labels), len(self.scale)

        def padded(matrix: np.ndarray) -> np.ndarray:
            larger = np.eye(k + len(matrix))
            larger[k:, k:] = matrix
            return larger

        shear = padded(_shear_matrix(self.shear, n))
        return self._replace(
            scale=(1.0,) * k + self.scale,
            translate=tuple(float(v) for v in first) + self.translate,
            rotate=padded(self.rotate),
            shear=shear[np.triu_indices(k + n, 1)],
            affine=padded(self.affine),
            units=("pixel",) * k + self.units,
            axis_labels=tuple(labels) + self.axis_labels,
        )

    def differs(self, layer: Image) -> list[str]:
        """Which of `keywords` the layer has otherwise."""
        there = Placement.of(layer).keywords()

        def same(a: Any, b: Any, name: str) -> bool:
            if name in ("units", "axis_labels"):
                return [str(v) for v in a] == [str(v) for v in b]
            return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=0, atol=1e-12)

        return [k for k, v in self.keywords().items() if not same(v, there[k], k)]

    def apply(self, layer: Image) -> None:
        """Put a layer of this plugin's there."""
        for name in self.differs(layer):
            setattr(layer, name, self.keywords()[name])

    def keywords(self) -> dict[str, Any]:
        """What `viewer.add_image` takes to put a layer there."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
            "axis_labels": self.axis_labels,
        }

    def _replace(self, **changes: Any) -> Placement:
        return Placement(**{**self.__dict__, **changes})


def _shear_matrix(shear: np.ndarray, n: int) -> np.ndarray:
    if shear.ndim == 2:
        return np.array(shear)
    matrix = np.eye(n)
    matrix[np.triu_indices(n, 1)] = shear
    return matrix


# A chosen channel's restoration keeps its place: napari aligns the last axes of layers, so without
# its C axis a TCYX layer's T would meet C. Only a leading C axis can be left out.


def output_placement(placement: Placement, stack: ImageStack) -> Placement:
    """Where what is restored from ``stack`` lies: as its source, at the chosen channel's place."""
    if stack.channel is None or "C" not in stack.axes:
        return placement
    if stack.axes[0] == "C":
        return placement.without(0)
    return placement.moved([stack.channel if a == "C" else 0 for a in stack.axes])


def output_axes(stack: ImageStack) -> str:
    """The axes of what is restored from ``stack``."""
    return stack.axes if stack.channel is None else stack.axes.removeprefix("C")


def output_shape(stack: ImageStack) -> tuple[int, ...]:
    """The shape of what is restored from ``stack``; a chosen channel's axis has length 1."""
    sizes = dict(zip(stack.axes, stack.array.shape, strict=True))
    if stack.channel is not None:
        sizes["C"] = 1
    return tuple(int(sizes[a]) for a in output_axes(stack))


def output_selection(
    stack: ImageStack, index: tuple[int, ...], rows: slice = slice(None)
) -> tuple[Any, ...]:
    """Where plane ``index`` of ``stack``, or some rows, belong in what is restored from it."""
    everywhere = stack.selection(index, rows, slice(None))
    at = dict(zip(stack.axes, everywhere, strict=True))
    if stack.channel is not None:
        at["C"] = 0
    return tuple(at[a] for a in output_axes(stack))


def put_plane(
    output: np.ndarray,
    stack: ImageStack,
    index: tuple[int, ...],
    plane: np.ndarray,
    rows: slice = slice(None),
) -> None:
    """Write a restored (Y, X) plane, or some rows of it, where it belongs."""
    at = output_selection(stack, index, rows)
    output[at] = plane.T if stack.x_before_y else plane


def add_image(
    viewer: Any, data: Any, name: str, placement: Placement, identity: dict[str, Any], **look: Any
) -> Image:
    """Add a layer of this plugin's, leaving the user's selection as it was."""
    return _add(viewer, viewer.add_image, data, name, placement, identity, look)


def add_labels(
    viewer: Any, data: Any, name: str, placement: Placement, identity: dict[str, Any], **look: Any
) -> Labels:
    """Add a labels layer of this plugin's, leaving the user's selection as it was."""
    return _add(viewer, viewer.add_labels, data, name, placement, identity, look)


def _add(
    viewer: Any,
    add: Callable[..., Any],
    data: Any,
    name: str,
    placement: Placement,
    identity: dict[str, Any],
    look: dict[str, Any],
) -> Any:
    selected = set(viewer.layers.selection)
    active = viewer.layers.selection.active
    metadata = {METADATA_KEY: identity}
    layer = add(data, name=name, metadata=metadata, **placement.keywords(), **look)
    if selected:
        viewer.layers.selection = selected
        viewer.layers.selection.active = active
    return layer


def is_open(viewer: Any) -> bool:
    """Whether layers may still be added: a closed viewer may live on for a while."""
    window = getattr(viewer, "window", None)
    return viewer is not None and (window is None or hasattr(window, "_qt_window"))
