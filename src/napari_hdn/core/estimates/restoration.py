"""What a restoration will take."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.direct.restoration import DirectRestorer
from napari_hdn.core.direct.student import Direct
from napari_hdn.core.estimates.words import Estimate
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory, within_limit
from napari_hdn.core.restoring.reduction import Reduction, keeps_samples
from napari_hdn.core.restoring.regions import LEAST_PX
from napari_hdn.core.restoring.restoration import HUGE_PX
from napari_hdn.core.restoring.restorer import Draw, Restorer, mean_pairs
from napari_hdn.core.restoring.tiled import TiledRestorer
from napari_hdn.core.restoring.tiling import Tile

AS_LAYERS = (
    "Choose fewer outputs or samples, or restore a folder of files into another folder instead of "
    "layers."
)
AS_FILES = "Choose fewer outputs or samples, or smaller tiles."
_SMALLEST_PX, _LARGEST_PX = 128, 512  # sides of what is probed
_ENOUGH_S = 0.15  # of one pass: longer ones are no better known
_AT_MOST_S = 1.2  # of a whole probe
_SMALL_S = 4.0  # a job of which nobody asks how long it takes to a second
_DISK_BYTES_A_SECOND = 4e8
_MOST_SAMPLES = 100  # that an estimate is made for; of more, in proportion
_REDUCED_PX = 64  # side of what the making of outputs from all samples is probed on
_WORKER_BYTES = 2.1e8  # that another process of the program takes (measured)
_PROGRAM_BYTES = 1.0e8  # that torch takes when it computes for the first time


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


def estimate_restoration(
    model: HDN,
    stacks: Sequence[ImageStack],
    config: RestorationConfig,
    *,
    student: Direct | None = None,
    in_memory: bool = False,
    integers: bool = False,
    free_disk: float | None = None,
    workers: int = 1,
    threads: int | None = None,
    stop: Stop | None = None,
) -> Estimate | None:
    """Estimate a restoration; takes a second or two at most, and less for the same model again.

    Parameters
    ----------
    model : HDN
    stacks : sequence of ImageStack
        Their pixels are not read.
    config : RestorationConfig
    student : Direct, optional
        The direct network that restores instead.
    in_memory : bool
        Whether the results are held as layers; else they are written.
    integers : bool
        Whether images in counts are written in the input's integer type.
    free_disk : float, optional
        Bytes, where the results are written.
    workers : int
        Processes on this machine that share the work, an image after the other.
    threads : int, optional
        Of each of them.
    stop : Stop, optional
        Looked at between passes of the probe; then there is no estimate.

    Raises
    ------
    ConfigurationError, DeviceError
        If levels or device do not exist.
    """
    device, stop = choose(config.device), stop or Stop()
    wanted = config
    config = config.model_copy(update={"samples": min(config.samples, _MOST_SAMPLES)})
    times = wanted.samples / config.samples
    with kept_memory(), _computing(threads):
        if student is None:
            restorer: TiledRestorer = Restorer(
                model.network, model.normalisation, model.noise_model, config, device
            )
        else:
            restorer = DirectRestorer(model, student, config, device)
        chosen = [s.of_channel(config.channel) for s in stacks]
        planes = _shared(chosen, 1)
        plans = {shape: restorer.plan(shape) for shape in planes}
        passes_px = sum(n * _passes_px(restorer, plans[shape]) for shape, n in planes.items())
        seconds = work = 0.0
        shared = _shared(chosen, workers)
        for shape, number in shared.items():
            tiles = restorer.plan(shape)  # once more, since it sets how many samples go at a time
            side = min(_side(max(tiles, key=_seen)), _LARGEST_PX)
            cost = _cost(model, student, restorer, side, passes_px, stop)
            if cost is None:
                return None
            seconds += number * _plane_seconds(cost, restorer, tiles)
            seconds += number * _reduction_seconds(config, student, device, shape)
            work = max(work, _work_bytes(restorer, tiles, shape))
    written, held = _result_bytes(chosen, wanted, integers)
    seconds, work = times * seconds, times * work
    if workers > 1:
        work = workers * (work + _WORKER_BYTES)
    return Estimate(
        seconds + (0 if in_memory else written / _DISK_BYTES_A_SECOND),
        work + (held if in_memory else 0),
        0 if in_memory else written,
        device.free_bytes(),
        None if in_memory else free_disk,
        advice=AS_LAYERS if in_memory else AS_FILES,
        limit=within_limit(),
    )


@contextmanager
def _computing(threads: int | None) -> Iterator[None]:
    """Compute with so many threads, as a worker does."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shared(stacks: Sequence[ImageStack], workers: int) -> dict[tuple[int, int], float]:
    """By their size, how many planes are restored one after the other while others are beside them."""
    planes = {s.plane_shape: 0.0 for s in stacks}
    for stack in stacks:
        shape = stack.plane_shape
        regions = max(1, prod(shape) // LEAST_PX) if prod(shape) > HUGE_PX else 1
        planes[shape] += ceil(len(stack) * regions / workers) / regions
    return planes


def _cost(
    model: HDN,
    student: Direct | None,
    restorer: TiledRestorer,
    side: int,
    passes_px: float,
    stop: Stop,
) -> Cost | None:
    batch = restorer.batch if isinstance(restorer, Restorer) else 1
    config = restorer.config  # type: ignore[attr-defined]
    net = model.config.network if student is None else student.network.config
    off = model.levels_off(config)
    identity = (model.summary.created, model.summary.steps, net, off, student is None)
    key = (*identity, restorer.device.name, config.precision, torch.get_num_threads(), batch, side)
    if key not in _costs:
        found = (
            _probe(restorer, model, batch, side, passes_px, stop)
            if isinstance(restorer, Restorer)
            else _probe_direct(restorer, model, side, passes_px, stop)
        )
        if found is None or found.rough:
            return found
        _costs[key] = found
        while len(_costs) > _MOST_COSTS:
            _costs.popitem(last=False)
    return _costs[key]


def _probe(
    restorer: Restorer, model: HDN, batch: int, side: int, passes_px: float, stop: Stop
) -> Cost | None:
    """Time passes of one and of two batches of samples, whose difference is that of a batch."""
    config, draws = restorer.config, restorer.draws
    restorer.config = RestorationConfig(
        outputs=("std",), samples=3, device=config.device, precision=config.precision
    )
    try:
        timed = _grown(restorer, model, side, passes_px, stop, lambda n: _set(restorer, n * batch))
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
    restorer: TiledRestorer, model: HDN, side: int, passes_px: float, stop: Stop
) -> Cost | None:
    timed = _grown(restorer, model, side, passes_px, stop, lambda n: None)
    return None if timed is None else Cost(timed[1] / timed[0], 0.0, rough=timed[2] is None)


def _grown(
    restorer: TiledRestorer,
    model: HDN,
    side: int,
    passes_px: float,
    stop: Stop,
    ready: Callable[[int], None],
) -> tuple[int, float, float | None] | None:
    """Pixels, and seconds of a pass with one and with two batches; larger until it tells enough.

    None for two batches where the whole job, ``passes_px`` of pixels in such passes, takes no time.
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
        if one / px**2 * passes_px < _SMALL_S:
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


def _passes_px(restorer: TiledRestorer, tiles: Sequence[Tile]) -> float:
    """Pixels of passes with one batch each that restore a plane, rather more than less."""
    seen = sum(_seen(tile) for tile in tiles)
    if not isinstance(restorer, Restorer):
        return seen
    turns = len({draw.orientation for draw in restorer.draws})
    return seen * (turns + len(restorer.draws) / restorer.batch)


def _plane_seconds(cost: Cost, restorer: TiledRestorer, tiles: Sequence[Tile]) -> float:
    seen = sum(_seen(tile) for tile in tiles)
    if not isinstance(restorer, Restorer):
        return seen * cost.once
    turns = len({draw.orientation for draw in restorer.draws})
    return seen * (turns * cost.once + len(restorer.draws) * cost.draw)


def _reduction_seconds(
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


def _work_bytes(restorer: TiledRestorer, tiles: Sequence[Tile], shape: tuple[int, int]) -> float:
    """Memory of the work on a plane: feature maps, what is held of samples, the plane itself."""
    largest = max(tiles, key=_seen)
    kept = _side(largest) * (largest.inner_x.stop - largest.inner_x.start)
    rows = largest.inner_y.stop - largest.inner_y.start
    plane = 4 * 4 * prod(shape) if len(tiles) == 1 else 4 * 4 * _side(largest) * shape[1]
    if not isinstance(restorer, Restorer):
        net = restorer.network.config  # type: ignore[attr-defined]
        maps = 4 * 6 * net.widths[0] / net.unshuffle**2
        return _PROGRAM_BYTES + maps * _seen(largest) + plane
    net = restorer.prepared.network.config
    maps = 12 * 4 * net.channels / (4 if net.trunk == "half" else 1)
    # what is freed after one tile does not always serve another of another shape (measured)
    maps *= 2 if len({(_side(t), _seen(t)) for t in tiles}) > 2 else 1
    batch = min(restorer.batch, len(restorer.draws))
    config = restorer.config
    samples = len(restorer.draws) * (3 if keeps_samples(config) else 0)
    made = len(config.products) + ("samples" in config.outputs) * config.samples
    outputs = 4 * (samples * kept + (made + 4) * rows * shape[1])
    parameters = sum(p.numel() * p.element_size() for p in restorer.prepared.network.parameters())
    return _PROGRAM_BYTES + parameters + maps * batch * _seen(largest) + plane + outputs


def _result_bytes(
    stacks: Sequence[ImageStack], config: RestorationConfig, integers: bool
) -> tuple[float, float]:
    """Of what is written, and of the same as layers, whose samples are drawn when looked at."""
    written = held = 0.0
    for stack in stacks:
        pixels = len(stack) * prod(stack.plane_shape)
        own = np.dtype(stack.array.dtype)
        for product in config.products:
            whole = integers and own.kind in "ui" and product not in ("std", "cv", "difference")
            many = config.samples if product == "samples" else 1
            written += many * pixels * (own.itemsize if whole else 4)
            held += 0 if product == "samples" else 4 * pixels
    return written, held


def _seen(tile: Tile) -> int:
    return (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)


def _side(tile: Tile) -> int:
    return tile.y.stop - tile.y.start
