"""The job that segments samples of a piece, and what it came to."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_hdn import api
from napari_hdn.api import (
    HDNError,
    ImageStack,
    JobInput,
    JobRecipe,
    Notice,
    SegmentationConfig,
    Stop,
)
from napari_hdn.core.errors import ImageError
from napari_hdn.ui.inspection import LevelsJob
from napari_hdn.ui.layers import Placement, guess_layer_axes, is_open, product_of, stack_of
from napari_hdn.ui.piece import Piece, whole_plane
from napari_hdn.ui.region import region_in_view
from napari_hdn.ui.segmentation_layers import add_segmentation
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN, Segmentation


@dataclass(frozen=True)
class DrawnSamples:
    """A layer whose axis S holds samples, and the place of the plane that is shown.

    Attributes
    ----------
    stack : ImageStack
        With its axis S.
    index : tuple of int
        Of the plane, along the leading axes without S.
    """

    stack: ImageStack
    index: tuple[int, ...]

    def read(self, stop: Stop) -> Iterator[float | np.ndarray]:
        """Fractions read, then (N, Y, X) counts unless stopped; for a worker.

        A layer may draw its samples when they are read, which takes a while.
        """
        axes = self.stack.leading_axes
        n = self.stack.leading_shape[axes.index("S")]
        rest = dict(zip(axes.replace("S", ""), self.index, strict=True))
        planes = []
        for k in range(n):
            if stop.requested:
                return
            planes.append(self.stack.plane(tuple(k if a == "S" else rest[a] for a in axes)))
            yield (k + 1) / n
        yield np.stack(planes)


@dataclass(frozen=True)
class Segmented:
    """What the segmentation of a piece came to, without the layer's pixels.

    Attributes
    ----------
    result : Segmentation
    config : SegmentationConfig
    name : str
        Of the layer.
    words : str
        Which piece of it.
    placement : Placement
        Where a picture of the piece lies.
    shape : tuple of int
        Of such a picture, in the axes of its layer.
    axes : str
    offset_px : (int, int)
        The first pixel of the piece, y and x.
    pixel_um : (float, float) or None
    identity : dict
        Which model made it.
    full_shape : tuple of int
        Of the whole image.
    index : tuple of int
        Of the plane, along all axes but Y and X.
    run : str
        Tells it from other segmentations, in the metadata of its layers.
    """

    result: Segmentation
    config: SegmentationConfig
    name: str
    words: str
    placement: Placement
    shape: tuple[int, ...]
    axes: str
    offset_px: tuple[int, int]
    pixel_um: tuple[float, float] | None
    identity: dict[str, Any]
    full_shape: tuple[int, ...]
    index: tuple[int, ...]
    run: str

    def shaped(self, planes: np.ndarray) -> np.ndarray:
        """(..., Y, X) pictures in the axes of the layer."""
        if self.axes.index("X") < self.axes.index("Y"):
            planes = np.swapaxes(planes, -1, -2)
        return planes.reshape(*planes.shape[:-2], *self.shape)

    def crop_of(self, array: Any, name: str) -> np.ndarray:
        """(Y, X) labels out of those of a truth layer, where the piece lies; for a worker.

        Raises
        ------
        ImageError
            If it is as large as neither the image nor its planes nor the piece.
        """
        height, width = self.result.samples.shape[1:]
        (y, x), shape = self.offset_px, tuple(array.shape)
        plane = tuple(self.full_shape[self.axes.index(a)] for a in "YX")
        ys, xs = slice(y, y + height), slice(x, x + width)
        if shape == self.full_shape:
            lead = iter(self.index)
            at = tuple(ys if a == "Y" else xs if a == "X" else next(lead) for a in self.axes)
            piece = np.asarray(array[at])
            return piece.T if self.axes.index("X") < self.axes.index("Y") else piece
        squeezed = tuple(n for n in shape if n != 1)
        flat = (0,) * (len(shape) - 2)
        if squeezed == plane and shape[-2:] == plane:
            return np.asarray(array[flat])[ys, xs]
        if squeezed == (height, width) and shape[-2:] == (height, width):
            return np.asarray(array[flat])
        raise ImageError(
            f"The truth {name} has {_sizes(shape)} pixels; it must be as large as {self.name} "
            f"({_sizes(self.full_shape)}), one plane of it ({_sizes(plane)}) or the piece that was "
            f"segmented ({height} x {width})."
        )


class SegmentationJob(LevelsJob):
    """Draw samples of a piece, or take those of a layer, and segment them.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly; gets the layers.
    piece : Piece
        Where the results lie; of a layer of samples, as if it had no axis S.
    config : SegmentationConfig
    model : HDN, optional
        To draw with.
    samples : DrawnSamples, optional
        Instead.
    """

    kind = "segmentation"

    def __init__(
        self,
        viewer: Any,
        piece: Piece,
        config: SegmentationConfig,
        model: HDN | None = None,
        samples: DrawnSamples | None = None,
    ) -> None:
        super().__init__(f"segmenting {piece.source.name}", model, piece, config.device)
        self.config = config
        self._viewer = weakref.ref(viewer)
        self.result: Segmented | None = None
        self._samples = samples
        self._drawn: np.ndarray | None = None
        self._identity = {} if model is None else _identity(model, config)

    @property
    def has_result(self) -> bool:
        """Once it is known."""
        return self.result is not None

    def work(self) -> Iterator[Any]:
        """Draw and segment, in the worker's thread."""
        model, piece = self.model, self.piece
        assert piece is not None
        name = piece.source.name
        if model is None:
            assert self._samples is not None
            events = api.segment_samples(
                self._read(self._samples), self.config, stop=self.stop, name=name
            )
        else:
            counts = piece.read()
            if remark := api.range_remark(model, counts, name):
                yield Notice(remark, "warning")
            shape, index = piece.source.stack.leading_shape, piece.region.index
            number = int(np.ravel_multi_index(index, shape)) if shape else 0
            events = api.segment(
                model, counts, self.config, number=number, stop=self.stop, name=name
            )
        for event in events:
            if isinstance(event, api.Segmentation):
                recipe = self._recipe(model, piece, complete=not event.stopped)
                self._identity["recipe"] = recipe.model_dump(mode="json")
                yield self._placed(event, piece)
            else:
                yield event

    def _read(self, samples: DrawnSamples) -> Iterator[float | np.ndarray]:
        """The samples, which the recipe identifies, too."""
        for part in samples.read(self.stop):
            if isinstance(part, np.ndarray):
                self._drawn = part
            yield part

    def _recipe(self, model: HDN | None, piece: Piece, *, complete: bool) -> JobRecipe:
        """What was done; of samples those of this plane are meant, not all that a layer can draw."""
        if model is not None:
            image = piece.recorded
        else:
            assert self._drawn is not None
            image = JobInput("samples", ImageStack(self._drawn, "SYX", piece.source.name))
        return api.job_recipe(self.kind, self.config, [image], model=model, complete=complete)

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, api.SegmentationProgress):
            self.fraction, self.remaining_s = event.fraction, event.remaining_s
        elif isinstance(event, Segmented):
            self.result = event
            viewer = self._viewer()
            if viewer is not None and is_open(viewer):
                add_segmentation(viewer, event)
            n, of = len(event.result.areas_px), len(event.result.samples)
            objects = f"{n} object{'s' if n != 1 else ''} in {of} sample{'s' if of != 1 else ''}"
            agreed = event.result.consensus.agreed
            objects += f" ({agreed} of them as such in at least half)" if of > 1 else ""
            if event.result.stopped:
                self.end(f"Stopped: {objects} of {event.words}.")
            else:
                self.fraction = 1.0
                self.end(f"Segmented: {objects} of {event.words}.")

    def close(self) -> None:
        """Let go of the samples, too; what was found stays."""
        super().close()
        self._samples = self._drawn = None

    def _placed(self, result: Segmentation, piece: Piece) -> Segmented:
        stack, region = piece.source.stack, piece.region
        picture = piece.shaped(result.consensus.labels)
        at = dict(zip(stack.leading_axes, region.index, strict=True))
        if stack.channel is not None:
            at["C"] = stack.channel
        return Segmented(
            result,
            self.config,
            stack.name,
            piece.in_words(),
            piece.placement,
            tuple(picture.shape),
            stack.axes,
            (region.ys.start, region.xs.start),
            piece.pixel_um,
            self._identity,
            tuple(stack.array.shape),
            tuple(at[a] for a in stack.axes if a not in "YX"),
            uuid.uuid4().hex,
        )


def has_samples(layer: Layer, axes: str | None = None) -> bool:
    """Whether a layer holds samples along an axis S."""
    if product_of(layer) == "samples":
        return True
    try:
        return product_of(layer) is None and "S" in guess_layer_axes(layer, axes)
    except HDNError:
        return False


def samples_of(viewer: Any, layer: Layer, axes: str | None) -> tuple[Piece, DrawnSamples]:
    """The samples of the plane that is shown, and where results lie.

    Raises
    ------
    HDNError
        If the layer has no axis of samples.
    """
    stack = stack_of(layer, axes)
    if "C" in stack.axes and stack.array.shape[stack.axes.index("C")] == 1:
        stack = stack.of_channel(0)
    if "S" not in stack.leading_axes:
        raise HDNError(
            f"{layer.name} has no axis of samples: its axes are {stack.axes}. Choose a layer that "
            "Restore images made with the output samples."
        )
    at = stack.axes.index("S")
    shown = region_in_view(viewer, layer, stack)
    index = tuple(i for a, i in zip(stack.leading_axes, shown.index, strict=True) if a != "S")
    # the same image without its samples; nobody reads its pixels
    shape = tuple(n for i, n in enumerate(stack.array.shape) if i != at)
    bare = ImageStack(
        np.broadcast_to(np.float32(0), shape),
        stack.axes.replace("S", ""),
        name=stack.name,
        channel=stack.channel,
    )
    source = LayerSource(layer, bare, Placement.of(layer).without(at))
    whole = whole_plane(viewer, LayerSource(layer, stack, Placement.of(layer)))
    region = replace(whole.region, index=index)
    return Piece(source, region, None, whole.pixel_um), DrawnSamples(stack, index)


def _identity(model: HDN, config: SegmentationConfig) -> dict[str, Any]:
    off = sorted({*model.config.network.deactivated_levels, *(config.deactivated_levels or ())})
    return {
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "levels_off": off,
    }


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
