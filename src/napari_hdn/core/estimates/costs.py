"""What restoring costs on this device: seconds a pixel, by a short probe."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.direct.student import Direct
from napari_hdn.core.estimates.sizes import seen_px
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoring.reduction import Reduction, keeps_samples
from napari_hdn.core.restoring.restorer import Draw, Restorer, mean_pairs
from napari_hdn.core.restoring.tiled import TiledRestorer
from napari_hdn.core.restoring.tiling import Tile

_SMALLEST_PX = 128  # side of what is probed first
_ENOUGH_S = 0.15  # of one pass: longer ones are no better known
_AT_MOST_S = 1.2  # of a whole probe
_SMALL_S = 4.0  # a job of which nobody asks how long it takes to a second
_REDUCED_PX = 64  # side of what the making of outputs from all samples is probed on


@dataclass(frozen=True)
class Cost:
    """Seconds a pixel.

    Attributes
    ----------
    once : float
        Of what is done once for each pixel that a tile sees and each orientation.
    draw : float
        Of each sample for each pixel that a tile sees.
    rough : bool
        Whether it was not worth while to measure more than once.
    """

    once: float
    draw: float
    rough: bool = False


_costs: OrderedDict[Any, Cost] = OrderedDict()
_MOST_COSTS = 32


def cost_of(
    model: HDN,
    student: Direct | None,
    restorer: TiledRestorer,
    side: int,
    in_passes: float,
    stop: Stop,
) -> Cost | None:
    """Cost of a model on a device, probed unless it is known; None if stopped meanwhile.

    Parameters
    ----------
    model : HDN
    student : Direct or None
        The direct network that restores instead.
    restorer : TiledRestorer
        Planned for the plane in question.
    side : int
        Of the largest piece to probe, in pixels.
    in_passes : float
        Pixels of the whole job: one that takes no time is probed roughly.
    stop : Stop
    """
    batch = restorer.batch if isinstance(restorer, Restorer) else 1
    config = restorer.config  # type: ignore[attr-defined]
    net = model.config.network if student is None else student.network.config
    off = model.levels_off(config)
    identity = (model.summary.created, model.summary.steps, net, off, student is None)
    key = (*identity, restorer.device.name, config.precision, torch.get_num_threads(), batch, side)
    if key not in _costs:
        found = (
            _probe(restorer, model, batch, side, in_passes, stop)
            if isinstance(restorer, Restorer)
            else _probe_direct(restorer, model, side, in_passes, stop)
        )
        if found is None or found.rough:
            return found
        _costs[key] = found
        while len(_costs) > _MOST_COSTS:
            _costs.popitem(last=False)
    return _costs[key]


def _probe(
    restorer: Restorer, model: HDN, batch: int, side: int, in_passes: float, stop: Stop
) -> Cost | None:
    """Time passes of one and of two batches of samples, whose difference is that of a batch."""
    config, draws = restorer.config, restorer.draws
    restorer.config = RestorationConfig(
        outputs=("std",), samples=3, device=config.device, precision=config.precision
    )
    try:
        timed = _grown(restorer, model, side, in_passes, stop, lambda n: _set(restorer, n * batch))
    finally:
        restorer.config, restorer.draws = config, draws
    if timed is None:
        return None
    px, one, two = timed
    if two is None:
        return Cost(one / px, one / batch / px, rough=True)
    a_batch = min(max(two - one, 0.2 * one), one)
    return Cost((one - a_batch) / px, a_batch / batch / px)


def _set(restorer: Restorer, number: int) -> None:
    restorer.draws = [Draw(j, 1.0) for j in range(number)]


def _probe_direct(
    restorer: TiledRestorer, model: HDN, side: int, in_passes: float, stop: Stop
) -> Cost | None:
    timed = _grown(restorer, model, side, in_passes, stop, lambda n: None)
    return None if timed is None else Cost(timed[1] / timed[0], 0.0, rough=timed[2] is None)


def _grown(
    restorer: TiledRestorer,
    model: HDN,
    side: int,
    in_passes: float,
    stop: Stop,
    ready: Callable[[int], None],
) -> tuple[int, float, float | None] | None:
    """Pixels, and seconds of a pass with one and with two batches; larger until it tells enough.

    None for two batches where the whole job, ``in_passes`` pixels in such passes, takes no time.
    """
    began, px = time.monotonic(), min(_SMALLEST_PX, side)
    rng = np.random.default_rng(0)
    low, high = model.summary.data_low, model.summary.data_high
    while True:
        counts = rng.uniform(low, max(high, low + 1), (px, px)).astype(np.float32)

        def timed(batches: int, counts: np.ndarray = counts) -> float:
            ready(batches)
            start = time.perf_counter()
            for _ in restorer.plane(lambda ys, xs: counts[ys, xs], counts.shape, 0, Stop()):
                pass
            return time.perf_counter() - start

        if stop.requested:
            return None
        timed(1)  # warm
        one = timed(1)
        if one / px**2 * in_passes < _SMALL_S:
            return px * px, one, None
        spent = time.monotonic() - began
        if one >= _ENOUGH_S or px >= side or spent + 14 * one > _AT_MOST_S:
            break
        px = min(2 * px, side)
    ones, twos = [one], list[float]()
    while len(twos) < 2 and not stop.requested:
        twos.append(timed(2))
        if time.monotonic() - began > _AT_MOST_S:
            break
        ones.append(timed(1))
    if stop.requested:
        return None
    # other programs only ever make a pass slower
    return px * px, min(ones), min(twos)


def passes_px(restorer: TiledRestorer, tiles: Sequence[Tile]) -> float:
    """Pixels of passes with one batch each that restore a plane, rather more than less."""
    seen = sum(seen_px(tile) for tile in tiles)
    if not isinstance(restorer, Restorer):
        return seen
    turns = len({draw.orientation for draw in restorer.draws})
    return seen * (turns + len(restorer.draws) / restorer.batch)


def plane_seconds(cost: Cost, restorer: TiledRestorer, tiles: Sequence[Tile]) -> float:
    """Seconds of a plane in these tiles."""
    seen = sum(seen_px(tile) for tile in tiles)
    if not isinstance(restorer, Restorer):
        return seen * cost.once
    turns = len({draw.orientation for draw in restorer.draws})
    return seen * (turns * cost.once + len(restorer.draws) * cost.draw)


def reduction_seconds(
    config: RestorationConfig, student: Direct | None, device: Device, shape: tuple[int, int]
) -> float:
    """What is made of all samples of a plane together, such as the MAP."""
    if student is not None or not keeps_samples(config):
        return 0.0
    key = ("reduction", config.outputs, config.samples, len(config.quantiles), device.name)
    if key not in _costs:
        images = torch.rand(config.samples, _REDUCED_PX, _REDUCED_PX, device=device.torch)
        start = time.perf_counter()
        reduction = Reduction(config, mean_pairs(config))
        reduction.add(images, list(range(config.samples)), ["first"] * config.samples)
        reduction.add(-images, list(range(config.samples)), ["partner"] * config.samples)
        reduction.finish()
        _costs[key] = Cost((time.perf_counter() - start) / _REDUCED_PX**2, 0.0)
    return _costs[key].once * prod(shape)
