"""Restoring layers into new layers."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    ImageStack,
    PlaneFailed,
    PlaneRestored,
    RestorationConfig,
    RestorationFinished,
)
from napari_hdn.ui.layers import (
    output_axes,
    output_placement,
    output_shape,
    product_name,
    put_plane,
)
from napari_hdn.ui.outputs import GrowingLayer
from napari_hdn.ui.restoration.base import RecipeMade, Restoring
from napari_hdn.ui.samples import add_samples
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.recipes.schema import Recipe

# the mean on top, but for the faint colours over it
_FROM_BELOW = ("cv", "std", "difference", "median", "quantiles", "map", "mean", "mean-map")


@dataclass(frozen=True)
class LayerFilled:
    """Rows of a plane were written to the outputs of image ``number``."""

    number: int
    parts: dict[str, np.ndarray]  # product -> what was written, for its contrast
    complete: bool


class LayersJob(Restoring):
    """Restore layers into new layers that appear with their first plane.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    sources : list of LayerSource
    model : HDN
    config : RestorationConfig
    student : Direct, optional
        Restores in the model's place.

    Raises
    ------
    MemoryShortError
        If the new layers would not fit in memory.
    """

    def __init__(
        self,
        viewer: Any,
        sources: list[LayerSource],
        model: HDN,
        config: RestorationConfig,
        student: Direct | None = None,
    ) -> None:
        names = sources[0].name if len(sources) == 1 else f"{len(sources)} layers"
        super().__init__(f"restoring {names}", model, config, student)
        self.sources = sources
        self.arrays: dict[tuple[int, str], np.ndarray] = {}
        self._viewer = weakref.ref(viewer)
        self._layers: dict[tuple[int, str], GrowingLayer] = {}
        self._totals = [len(s.stack) for s in sources]
        self._done = [0] * len(sources)  # planes, by image
        self._recipes: dict[int, dict[str, Any]] = {}  # by image, as layers keep them
        self._made: dict[int, Recipe] = {}
        self._drawn: RestorationConfig | None = None  # of samples that are drawn when looked at
        if "samples" in config.outputs:
            self._drawn = config
            rest = tuple(o for o in config.outputs if o != "samples")
            self.config = config.model_copy(update={"outputs": rest})
        self.products = self.config.products
        if {"mean", "map"} <= set(self.products):
            self.products += ("mean-map",)
        pixels = sum(prod(output_shape(s.stack)) for s in sources)
        api.check_fits(
            4 * pixels * len(self.products), f"{len(self.products)} new layers of {names}"
        )

    def work(self) -> Iterator[Any]:
        """Restore, in the worker's thread."""
        began = time.monotonic()
        stacks = [s.stack for s in self.sources]
        planes = failed = 0
        if not self.config.outputs:
            yield from self._samples_noted(stacks)
            yield RestorationFinished(sum(self._totals), sum(self._totals), False)
            return
        for number, stack in enumerate(stacks):
            for event in self.restored(stacks, number, began):
                if isinstance(event, PlaneRestored):
                    planes += event.complete
                    yield LayerFilled(number, self._fill(number, stack, event), event.complete)
                elif isinstance(event, RestorationFinished):
                    failed += event.failed
                elif isinstance(event, PlaneFailed):
                    self._give_up(number, stack, event.index)
                else:
                    yield event
            if self.stop.requested:
                break
        total = sum(self._totals)
        yield RestorationFinished(planes, total, self.stop.requested, failed=failed)

    def _samples_noted(self, stacks: list[ImageStack]) -> Iterator[RecipeMade]:
        """What there is to tell where samples alone are asked for, which are drawn later."""
        assert self.model is not None
        assert self._drawn is not None
        recipes = api.restoration_recipes(self.model, self._drawn)
        for number, stack in enumerate(stacks):
            yield RecipeMade(number, recipes.of(stack, stop=self.stop))

    def _fill(self, number: int, stack: ImageStack, event: PlaneRestored) -> dict[str, np.ndarray]:
        made = dict(event.planes)
        if "mean-map" in self.products:
            made["mean-map"] = made["mean"] - made["map"]
        ordered = sorted(made, key=lambda product: _FROM_BELOW.index(_kind(product)))
        for product in ordered:
            array = self._array(number, product, stack)
            put_plane(array, stack, event.index, made[product], event.rows)
        return {product: made[product] for product in ordered}

    def _give_up(self, number: int, stack: ImageStack, index: tuple[int, ...]) -> None:
        """A damaged plane is NaN in what is made of it, in layers that are yet to come, too."""
        for product in self.products:
            array = self._array(number, product, stack)
            put_plane(array, stack, index, np.full(stack.plane_shape, np.nan, np.float32))

    def _array(self, number: int, product: str, stack: ImageStack) -> np.ndarray:
        key = number, product
        if key not in self.arrays:
            self.arrays[key] = np.zeros(output_shape(stack), np.float32)
        return self.arrays[key]

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case RecipeMade(number=number, recipe=recipe):
                self._recipes[number] = recipe.model_dump(mode="json")
                self._made[number] = recipe
                for (image, _), layer in self._layers.items():
                    if image == number:
                        layer.note("recipe", self._recipes[number])
            case LayerFilled(number=number, parts=parts, complete=complete):
                self._done[number] += complete
                for product, part in parts.items():
                    self._show_layer(number, product, part)
            case RestorationFinished(planes=planes, total=total, stopped=stopped, failed=failed):
                if self._drawn is not None and not stopped:
                    self._add_samples(self._drawn)
                if stopped and not self._layers:
                    self.end(f"Stopped before the first of {total} planes was restored.")
                elif stopped:
                    self.end(
                        f"Stopped: {planes} of {total} planes are restored; the others are 0."
                        f"{self._removed()}"
                    )
                elif failed:
                    self.end(
                        f"Restored {planes} of {total} planes; {failed} are damaged, and empty (NaN) "
                        "in the new layers."
                    )
                elif not self.products:
                    self.fraction = 1.0
                    self.end("The samples are drawn when you look at them.")
                else:
                    self.fraction = 1.0
                    self.end(f"Restored {total} plane{'s' if total > 1 else ''}.{self._removed()}")

    def _removed(self) -> str:
        """What to add where the user took new layers out of the viewer while they were filled."""
        gone = sum(layer.removed for layer in self._layers.values())
        if not gone:
            return ""
        which = "The new layer was" if len(self._layers) == 1 else f"{gone} new layers were"
        return f" {which} removed from napari meanwhile."

    def close(self) -> None:
        """Mark layers that lack planes, however the job ended, and let go of all arrays."""
        super().close()
        if not self.abandoned:
            for (number, _), layer in self._layers.items():
                layer.finish(self._done[number], self._totals[number])
        self.sources, self.arrays, self._layers = [], {}, {}

    def _add_samples(self, config: RestorationConfig) -> None:
        viewer = self._viewer()
        if viewer is None or self.model is None:
            return
        for number, source in enumerate(self.sources):
            identity = self._identity(source, "samples")
            if number in self._made:
                recipe = api.recipe_of_samples(self._made[number], config)
                identity["recipe"] = recipe.model_dump(mode="json")
            add_samples(
                viewer, source, self.model, config, identity, visible=not self.config.outputs
            )

    def _identity(self, source: LayerSource, product: str) -> dict[str, Any]:
        said = api.ImageMetadata(channel_names=source.channel_names)
        return {
            **self.identity,
            "product": _kind(product),
            "source": source.name,
            "axes": output_axes(source.stack),
            "source_dtype": np.dtype(source.stack.array.dtype).name,
            "channel_names": [*said.of_channel(source.stack.channel).channel_names],
        }

    def _show_layer(self, number: int, product: str, part: np.ndarray) -> None:
        if (layer := self._layers.get((number, product))) is not None:
            layer.refresh(self._done[number], self._totals[number])
            return
        viewer = self._viewer()
        if viewer is None:
            return
        source = self.sources[number]
        self._layers[number, product] = GrowingLayer(
            viewer,
            self.arrays[number, product],
            product_name(source.name, product, "" if self.student is None else "one pass"),
            output_placement(source.placement, source.stack),
            self._identity(source, product)
            | ({"recipe": self._recipes[number]} if number in self._recipes else {})
            | {"planes": [self._done[number], self._totals[number]]},
            product=product,
            first=part,
        )


def _kind(product: str) -> str:
    """``quantiles`` for ``q05``, else the product itself."""
    return product if product in _FROM_BELOW or product == "samples" else "quantiles"
