"""restore_direct(): one pass of a direct network a plane, with the events of `restore`."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.calibration.frames import central
from napari_hdn.core.config import SPOKEN, RestorationConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.student import Direct, check_fits, in_words
from napari_hdn.core.errors import ConfigurationError, is_memory_short
from napari_hdn.core.events import Notice, RestorationEvent, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.padding import reflect_pad
from napari_hdn.core.restoration import walk
from napari_hdn.core.restorer import Read, Rows, check_levels
from napari_hdn.core.tiling import (
    MEMORY_SHARE,
    MOST_BYTES,
    Tile,
    by_rows,
    halved,
    padded_size,
    plan_tiles,
    side_for_samples,
)

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
        Camera counts of any size; read one plane at a time, huge planes some rows at a time.
    config : RestorationConfig
        ``outputs`` are what the direct network learned, its mean or its median alone. Of the rest,
        the levels that are off, channel, tiles, device and precision; there are no samples.
    stop : Stop, optional
        Looked at after every tile; planes that are done have been yielded.

    Yields
    ------
    RestorationEvent
        As of `napari_hdn.core.restoration.restore`.

    Raises
    ------
    ConfigurationError
        If the direct network does not fit the model or the levels that are off, or something is asked
        for that it does not give.
    ImageError, DeviceError, MemoryShortError
        As of `napari_hdn.core.restoration.restore`.
    """
    learned = student.config.learns
    if wrong := [output for output in config.outputs if output != learned]:
        raise ConfigurationError(
            f"The direct network {student.name} gives the {learned} alone, in one pass, and knows no "
            f"uncertainty. {SPOKEN[wrong[0]]} needs samples of the model: restore without the "
            "direct network."
        )
    if config.flips:
        raise ConfigurationError(
            f"The direct network {student.name} restores in one pass and does not average over flipped "
            "images. Restore without flips, or without the direct network."
        )
    check_levels(model.config.network, config.deactivated_levels or ())
    check_fits(student, model, model.levels_off(config))
    told, bad = in_words(student)
    yield Notice(told, "warning" if bad else "info")
    with kept_memory():
        restorer = DirectRestorer(model, student, config, choose(config.device))
        yield from walk(model, stack.of_channel(config.channel), restorer, stop or Stop())


class DirectRestorer:
    """Restores planes with a copy of a direct network on a device.

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
        self.product = student.config.learns
        self.network = copy.deepcopy(student.network).eval()
        self.network.to(device.torch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.device = device
        self._largest: int | None = None  # side of tiles, once memory has run short

    def plan(self, size: tuple[int, int]) -> list[Tile]:
        """Tiles of a (Y, X) plane, by the free memory."""
        net = self.network.config
        shape = padded_size(size, net.multiple)
        side = self.config.tile_px or tile_side(shape, net, self.device.free_bytes())
        most = side_for_samples(shape[1], 0, 1, net.multiple)
        sides = [s for s in (side, self._largest) if s is not None]
        if most < max(shape):
            sides.append(most)
        return plan_tiles(shape, min(sides, default=None), net.reach_px, net.multiple)

    def plane(
        self, read: Read, size: tuple[int, ...], number: int, stop: Stop
    ) -> Iterator[float | Rows]:
        """Restore one plane; see `napari_hdn.core.restorer.Restorer.plane`."""
        height, width = size[0], size[1]
        multiple, normalisation = self.network.config.multiple, self.model.normalisation
        shape = padded_size((height, width), multiple)
        curve = None
        if normalisation.stabilised:
            curve = curve_of_plane(self.model.noise_model, read(*central(height, width)))
        done = 0
        for band in by_rows(self.plan((height, width))):
            top = min(tile.y.start for tile in band)
            counts = read(slice(top, min(band[0].y.stop, height)), slice(0, width))
            padded = reflect_pad(torch.from_numpy(np.ascontiguousarray(counts)), multiple)
            image = normalisation.apply(padded, curve)
            rows = slice(band[0].inner_y.start, min(band[0].inner_y.stop, height))
            made = np.empty((rows.stop - rows.start, width), np.float32)
            waiting = list(band)
            while waiting:
                tile = waiting.pop(0)
                try:
                    signal = self._pass(image[tile.y.start - top : tile.y.stop - top, tile.x])
                except Exception as error:
                    if not is_memory_short(error):
                        raise
                    waiting = [*self._smaller(tile, shape, error), *waiting]
                    continue
                ys, xs = _without_padding(tile, rows.stop, width)
                kept = normalisation.invert(signal[tile.crop], curve).numpy()
                moved = slice(ys.start - rows.start, ys.stop - rows.start)
                made[moved, xs] = kept[: ys.stop - ys.start, : xs.stop - xs.start]
                done += kept.size
                if stop.requested:
                    return
                yield done / (shape[0] * shape[1])
            yield Rows(rows, {self.product: made}, rows.stop == height, None)

    def _pass(self, image: Tensor) -> Tensor:
        dtype = self.device.dtype(self.config.precision)
        lower = dtype is not torch.float32
        return self.network.once(image, torch.autocast(self.device.name, dtype, enabled=lower))

    def _smaller(self, tile: Tile, shape: tuple[int, int], error: Exception) -> list[Tile]:
        """Half the side, where memory ran short; nothing of the result changes."""
        self.device.release()
        net = self.network.config
        parts = halved(tile, shape, net.reach_px, net.multiple)
        if len(parts) == 1 or all(_seen(part) >= _seen(tile) for part in parts):
            raise error
        self._largest = max(part.inner_y.stop - part.inner_y.start for part in parts)
        return parts


def tile_side(shape: tuple[int, int], config: DirectNetworkConfig, free_bytes: float) -> int | None:
    """Side of tiles that fit in a share of the free memory; None where the whole plane does."""
    pixel_bytes = 4 * MAPS * config.widths[0] / config.unshuffle**2
    pixels = min(MEMORY_SHARE * free_bytes, MOST_BYTES) / pixel_bytes
    if shape[0] * shape[1] <= pixels:
        return None
    side = int(pixels**0.5) - 2 * config.reach_px
    return max(4 * config.multiple, side // config.multiple * config.multiple)


def _without_padding(tile: Tile, height: int, width: int) -> tuple[slice, slice]:
    ys, xs = tile.inner_y, tile.inner_x
    return slice(ys.start, min(ys.stop, height)), slice(xs.start, min(xs.stop, width))


def _seen(tile: Tile) -> int:
    return (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)
