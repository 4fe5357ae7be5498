"""restore_direct(): one pass of a direct network a plane, with the events of `restore`."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import numpy as np
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.student import Direct, check_fits
from napari_hdn.core.errors import ConfigurationError, MemoryShortError, is_memory_short
from napari_hdn.core.events import (
    Notice,
    PlaneRestored,
    RateLimit,
    RestorationEvent,
    RestorationFinished,
    RestorationProgress,
    Stop,
)
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.padding import reflect_pad
from napari_hdn.core.restoration import check_levels, range_remark
from napari_hdn.core.statistics import check_finite
from napari_hdn.core.tiling import MEMORY_SHARE, plan_tiles

MAPS = 8  # feature maps at full size that a pass holds at once, in float32


def restore_direct(
    model: HDN,
    student: Direct,
    stack: ImageStack,
    config: RestorationConfig,
    *,
    stop: Stop | None = None,
) -> Iterator[RestorationEvent]:
    """Restore a stack plane by plane with a direct network in place of its model.

    Parameters
    ----------
    model : HDN
        The teacher: its normalisation and noise curve are used, its network is not.
    student : Direct
    stack : ImageStack
        Camera counts of any size; read one plane at a time.
    config : RestorationConfig
        Of it, the levels that are off, channel, tiles, device and precision; there are no samples.
    stop : Stop, optional
        Looked at after every tile; planes that are done have been yielded.

    Yields
    ------
    RestorationEvent
        `PlaneRestored` for every plane, without a spread; `RestorationFinished` last.

    Raises
    ------
    ConfigurationError
        If the direct network does not fit the model or the levels that are off, or something is asked
        for that needs samples.
    ImageError
        If a plane holds NaN or infinite pixels.
    DeviceError
        If the device does not exist.
    MemoryShortError
        If a plane does not fit in memory.
    """
    if config.std:
        raise ConfigurationError(
            f"A direct network gives the {student.config.learns} alone and knows no uncertainty. For a "
            "standard deviation restore by samples of the model."
        )
    check_levels(model.config.network, config.deactivated_levels or ())
    check_fits(student, model, model.levels_off(config))
    with kept_memory():
        yield from _walk(model, student, stack.of_channel(config.channel), config, stop or Stop())


class DirectRestorer:
    """Restores planes with a direct network on a device.

    Parameters
    ----------
    model : HDN
    student : Direct
    config : RestorationConfig
    device : Device
    """

    def __init__(
        self, model: HDN, student: Direct, config: RestorationConfig, device: Device
    ) -> None:
        self.model = model
        self.network = copy.deepcopy(student.network).eval()
        self.network.to(device.torch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.device = device
        self._dtype = device.dtype(config.precision)

    def plane(self, counts: np.ndarray, stop: Stop) -> Iterator[float | np.ndarray]:
        """Restore one (Y, X) plane of counts: fractions done, then the result unless stopped."""
        net = self.network.config
        normalisation = self.model.normalisation
        curve = curve_of_plane(self.model.noise_model, counts) if normalisation.stabilised else None
        image = normalisation.apply(torch.from_numpy(counts), curve)
        padded = reflect_pad(image, net.multiple)
        shape = int(padded.shape[0]), int(padded.shape[1])
        side = self.config.tile_px or tile_side(shape, net, self.device.free_bytes())
        tiles = plan_tiles(shape, side, net.reach_px, net.multiple)
        made = torch.empty(shape)
        lower = self._dtype is not torch.float32
        autocast = torch.autocast(self.device.name, self._dtype, enabled=lower)
        for done, tile in enumerate(tiles, 1):
            signal = self.network.once(padded[tile.y, tile.x], autocast)[tile.crop]
            made[tile.inner_y, tile.inner_x] = normalisation.invert(signal, curve)
            if stop.requested:
                return
            yield done / len(tiles)
        yield made[: counts.shape[0], : counts.shape[1]].numpy()


def tile_side(shape: tuple[int, int], config: DirectNetworkConfig, free_bytes: float) -> int | None:
    """Side of tiles that fit in a share of the free memory; None where the whole plane does."""
    pixel_bytes = 4 * MAPS * config.widths[0] / config.unshuffle**2
    pixels = MEMORY_SHARE * free_bytes / pixel_bytes
    if shape[0] * shape[1] <= pixels:
        return None
    side = int(pixels**0.5) - 2 * config.reach_px
    return max(4 * config.multiple, side // config.multiple * config.multiple)


def _walk(
    model: HDN, student: Direct, stack: ImageStack, config: RestorationConfig, stop: Stop
) -> Iterator[RestorationEvent]:
    restorer = DirectRestorer(model, student, config, choose(config.device))
    started, may_speak = time.monotonic(), RateLimit()
    total, warned = len(stack), False
    for number, index in enumerate(stack.indices()):
        if stop.requested:
            yield RestorationFinished(number, total, stopped=True)
            return
        counts = stack.plane(index)
        check_finite(counts, stack.name, index)
        remark = "" if warned else range_remark(model, counts, stack.name)
        if remark:
            warned = True
            yield Notice(remark, "warning")
        finished = False
        try:
            for part in restorer.plane(counts, stop):
                if isinstance(part, np.ndarray):
                    finished = True
                    yield PlaneRestored(index, part, None)
                elif may_speak.ready():
                    yield _progress((number + part) / total, started)
        except Exception as error:
            if is_memory_short(error):
                raise MemoryShortError(
                    f"There is not enough memory on {restorer.device.label} to restore {stack.name} "
                    f"({counts.shape[1]} x {counts.shape[0]} pixels). Close other programs, choose "
                    "the CPU, or smaller tiles."
                ) from error
            raise
        if not finished:
            yield RestorationFinished(number, total, stopped=True)
            return
    yield _progress(1.0, started)
    yield RestorationFinished(total, total, stopped=False)


def _progress(fraction: float, started: float) -> RestorationProgress:
    elapsed = time.monotonic() - started
    return RestorationProgress(fraction, elapsed, elapsed * (1 - fraction) / max(fraction, 1e-9))
