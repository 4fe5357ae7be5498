"""What a restoration will take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil, prod

import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.direct.restoration import DirectRestorer
from napari_hdn.core.direct.student import Direct
from napari_hdn.core.estimates.costs import cost_of, passes_px, plane_seconds, reduction_seconds
from napari_hdn.core.estimates.sizes import result_bytes, seen_px, side_px, work_bytes
from napari_hdn.core.estimates.words import Estimate
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory, within_limit
from napari_hdn.core.restoring.regions import LEAST_PX
from napari_hdn.core.restoring.restoration import HUGE_PX
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.restoring.tiled import TiledRestorer

AS_LAYERS = (
    "Choose fewer outputs or samples, or restore a folder of files into another folder instead of "
    "layers."
)
AS_FILES = "Choose fewer outputs or samples, or smaller tiles."
_LARGEST_PX = 512  # side of what is probed
_DISK_BYTES_A_SECOND = 4e8
_MOST_SAMPLES = 100  # that an estimate is made for; of more, in proportion
_WORKER_BYTES = 2.1e8  # that another process of the program takes (measured)


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
        in_passes = sum(n * passes_px(restorer, plans[shape]) for shape, n in planes.items())
        seconds = work = 0.0
        shared = _shared(chosen, workers)
        for shape, number in shared.items():
            tiles = restorer.plan(shape)  # once more, since it sets how many samples go at a time
            side = min(side_px(max(tiles, key=seen_px)), _LARGEST_PX)
            cost = cost_of(model, student, restorer, side, in_passes, stop)
            if cost is None:
                return None
            seconds += number * plane_seconds(cost, restorer, tiles)
            seconds += number * reduction_seconds(config, student, device, shape)
            work = max(work, work_bytes(restorer, tiles, shape))
    written, held = result_bytes(chosen, wanted, integers)
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
