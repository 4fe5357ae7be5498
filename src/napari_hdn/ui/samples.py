"""Posterior samples as a layer that draws them when they are looked at.

On the main thread nothing is ever waited for: what is not drawn yet reads as NaN, is asked for, and is
shown as soon as it is there. In any other thread, as where a layer is exported or segmented, the
samples are drawn on the spot. The same sample is the same whenever it is asked for again.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error
from psygnal import Signal

from napari_hdn import api
from napari_hdn.api import ImageStack, RestorationConfig
from napari_hdn.ui import jobs
from napari_hdn.ui.camera import camera_kept
from napari_hdn.ui.layers import (
    add_image,
    output_axes,
    output_placement,
    output_shape,
    product_name,
)
from napari_hdn.ui.looks import look_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_hdn.api import HDN
    from napari_hdn.core.restoring.sampling import Sampler
    from napari_hdn.ui.sources import LayerSource

_NOT_DRAWN = (0.25, 0.25, 0.35, 1.0)
KEPT_BYTES = 1e9  # of samples that were looked at
Place = tuple[int, tuple[int, ...]]  # a sample, and the index of a plane of its stack


class LazySamples:
    """An array of samples, (N, ...) with the axes of what is restored from a stack; float32 counts.

    Parameters
    ----------
    model : HDN
    stack : ImageStack
    config : RestorationConfig
    """

    drawing = Signal(int)  # which sample
    drawn = Signal()  # something that was asked for is there

    def __init__(self, model: HDN, stack: ImageStack, config: RestorationConfig) -> None:
        self.shape = (config.samples, *output_shape(stack))
        self.ndim = len(self.shape)
        self.size = prod(self.shape)
        self.dtype = np.dtype(np.float32)
        self._stack = stack.of_channel(config.channel)
        self._axes = output_axes(stack)
        self._make: Callable[[], Sampler] = lambda: api.sampler(model, stack, config)
        self._sampler: Sampler | None = None
        self._one_at_a_time = threading.Lock()
        self._cache: OrderedDict[Place, np.ndarray] = OrderedDict()
        self._wanted: list[Place] = []
        self._drawing = False

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """A part of the array; NaN where it is not drawn yet, on the main thread."""
        waits = not jobs.on_main_thread()
        axes = f"S{self._axes}"
        ranges = dict(zip(axes, self._ranges(key), strict=True))
        leading = [a for a in axes if a not in "YX"]
        ys, xs = ranges["Y"], ranges["X"]
        out = np.empty((*(len(ranges[a]) for a in leading), len(ys), len(xs)), np.float32)
        missing: list[Place] = []
        for at in np.ndindex(out.shape[:-2]):
            place = self._place({a: ranges[a][i] for a, i in zip(leading, at, strict=True)})
            plane = self._draw(place) if waits else self._cache.get(place)
            if plane is None:
                missing.append(place)
                out[at] = np.nan
            else:
                out[at] = plane[np.ix_(ys, xs)]
        if missing:
            self._ask(missing)
        own = out.transpose([[*leading, "Y", "X"].index(a) for a in axes])
        dropped = tuple(0 if isinstance(k, int | np.integer) else slice(None)
                        for k in self._keys(key))  # fmt: skip
        return own[dropped]

    def _keys(self, key: Any) -> tuple[Any, ...]:
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            fill = (slice(None),) * (self.ndim - len(keys) + 1)
            keys = (*keys[:at], *fill, *keys[at + 1 :])
        return (*keys, *(slice(None),) * (self.ndim - len(keys)))

    def _ranges(self, key: Any) -> list[range]:
        ranges = []
        for k, n in zip(self._keys(key), self.shape, strict=True):
            if isinstance(k, slice):
                ranges.append(range(n)[k])
            else:
                ranges.append(range(n)[int(k) : int(k) + 1 or None])
        return ranges

    def _place(self, at: dict[str, int]) -> Place:
        return at["S"], tuple(at[a] for a in self._stack.leading_axes)

    def _draw(self, place: Place) -> np.ndarray:
        with self._one_at_a_time:
            if (plane := self._cache.get(place)) is not None:
                return plane
            if self._sampler is None:
                self._sampler = self._make()
            plane = self._sampler.draw(*place)
            self._cache[place] = plane
            while len(self._cache) * plane.nbytes > KEPT_BYTES and len(self._cache) > 1:
                self._cache.popitem(last=False)
            return plane

    def _ask(self, places: list[Place]) -> None:
        """Have samples drawn in the background; what was asked for last comes first."""
        self._wanted = places
        if not self._drawing:
            self._drawing = True
            self._next()

    def _next(self) -> None:
        self._wanted = [place for place in self._wanted if place not in self._cache]
        if not self._wanted:
            self._drawing = False
            return
        place = self._wanted[0]
        self.drawing.emit(place[0])
        jobs.look_up(lambda: self._draw(place), self._on_drawn, self._on_error)

    def _on_drawn(self, _: np.ndarray) -> None:
        self.drawn.emit()  # a layer that is looked at asks again for what it still lacks
        self._next()

    def _on_error(self, text: str) -> None:
        self._wanted, self._drawing = [], False
        show_error(text)


def add_samples(
    viewer: Any,
    source: LayerSource,
    model: HDN,
    config: RestorationConfig,
    identity: dict[str, Any],
    *,
    visible: bool = True,
) -> Image:
    """Add a layer with a leading axis of samples over its source."""
    samples = LazySamples(model, source.stack, config)
    with camera_kept(viewer):
        layer = add_image(
            viewer,
            samples,
            product_name(source.name, "samples"),
            output_placement(source.placement, source.stack).led_by(("sample",), (0.0,)),
            identity | {"axes": f"S{output_axes(source.stack)}"},
            visible=visible,
            **look_of(source.placement, np.zeros((1, 1))),
        )
    # nothing else may shine through where a sample is yet to be drawn
    colours = layer.colormap.model_copy()
    colours.nan_color = _NOT_DRAWN
    layer.colormap = colours
    samples.drawn.connect(partial(_refresh, weakref.ref(layer)))
    samples.drawing.connect(partial(_tell, weakref.ref(viewer), config.samples))
    return layer


def _tell(reference: weakref.ref[Any], samples: int, number: int) -> None:
    viewer = reference()
    if viewer is not None:
        viewer.status = f"Drawing sample {number + 1} of {samples} ..."


def _refresh(reference: weakref.ref[Image]) -> None:
    layer = reference()
    if layer is not None:
        layer.refresh(extent=False)
