"""Restoring layers into new layers."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.api import ImageStack, PlaneRestored, RestorationConfig, RestorationFinished
from napari_hdn.ui.layers import (
    output_axes,
    output_placement,
    output_shape,
    product_name,
    put_plane,
)
from napari_hdn.ui.outputs import GrowingLayer
from napari_hdn.ui.restoration.base import Outputs, Restoring
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN


@dataclass(frozen=True)
class LayerFilled:
    """A plane was written to the outputs of image ``number``."""

    number: int
    first: dict[str, np.ndarray]  # product -> the plane, for its contrast


class LayersJob(Restoring):
    """Restore layers into new layers that appear with their first plane.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    sources : list of LayerSource
    outputs : Outputs
    model : HDN
    config : RestorationConfig
    """

    def __init__(
        self,
        viewer: Any,
        sources: list[LayerSource],
        outputs: Outputs,
        model: HDN,
        config: RestorationConfig,
    ) -> None:
        names = sources[0].name if len(sources) == 1 else f"{len(sources)} layers"
        super().__init__(f"restoring {names}", model, config)
        self.sources = sources
        self.outputs = outputs
        self.arrays: dict[tuple[int, str], np.ndarray] = {}
        self._viewer = weakref.ref(viewer)
        self._layers: dict[tuple[int, str], GrowingLayer] = {}
        self._totals = [len(s.stack) for s in sources]
        self._done = [0] * len(sources)  # planes, by image

    def work(self) -> Iterator[Any]:
        """Restore, in the worker's thread."""
        began = time.monotonic()
        stacks = [s.stack for s in self.sources]
        planes = 0
        for number, stack in enumerate(stacks):
            for event in self.restored(stacks, number, began):
                if isinstance(event, PlaneRestored):
                    planes += 1
                    yield LayerFilled(number, self._fill(number, stack, event))
                elif not isinstance(event, RestorationFinished):
                    yield event
            if self.stop.requested:
                break
        yield RestorationFinished(planes, sum(self._totals), self.stop.requested)

    def _fill(self, number: int, stack: ImageStack, event: PlaneRestored) -> dict[str, np.ndarray]:
        planes = {p: getattr(event, p) for p in self.outputs.products}
        for product, plane in planes.items():
            key = number, product
            if key not in self.arrays:
                self.arrays[key] = np.zeros(output_shape(stack), np.float32)
            put_plane(self.arrays[key], stack, event.index, plane)
        return planes

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case LayerFilled(number=number, first=planes):
                self._done[number] += 1
                for product, plane in planes.items():
                    self._show_layer(number, product, plane)
            case RestorationFinished(planes=planes, total=total):
                if planes < total:
                    self.end(f"Stopped: {planes} of {total} planes are restored; the others are 0.")
                else:
                    self.fraction = 1.0
                    self.end(f"Restored {total} plane{'s' if total > 1 else ''}.")

    def close(self) -> None:
        """Mark layers that lack planes, however the job ended, and let go of all arrays."""
        super().close()
        if not self.abandoned:
            for (number, _), layer in self._layers.items():
                layer.finish(self._done[number], self._totals[number])
        self.sources, self.arrays, self._layers = [], {}, {}

    def _show_layer(self, number: int, product: str, plane: np.ndarray) -> None:
        if (layer := self._layers.get((number, product))) is not None:
            layer.refresh(self._done[number], self._totals[number])
            return
        viewer = self._viewer()
        if viewer is None:
            return
        source = self.sources[number]
        identity = {
            **self.identity,
            "product": product,
            "source": source.name,
            "axes": output_axes(source.stack),
            "source_dtype": np.dtype(source.stack.array.dtype).name,
            "planes": [self._done[number], self._totals[number]],
        }
        self._layers[number, product] = GrowingLayer(
            viewer,
            self.arrays[number, product],
            product_name(source.name, product),
            output_placement(source.placement, source.stack),
            identity,
            spread=product == "std",
            first=plane,
        )
