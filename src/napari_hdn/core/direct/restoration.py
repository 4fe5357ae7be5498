"""restore_direct(): one pass of a direct network a plane, with the events of `restore`."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.config import SPOKEN, RestorationConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.student import Direct, check_fits, in_words
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.events import Notice, RestorationEvent, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.normalisation import NoiseCurve
from napari_hdn.core.restoring.padding import reflect_pad
from napari_hdn.core.restoring.restoration import walk
from napari_hdn.core.restoring.restorer import check_levels
from napari_hdn.core.restoring.tiled import Made, TiledRestorer
from napari_hdn.core.restoring.tiling import (
    MEMORY_SHARE,
    MOST_BYTES,
    Tile,
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
    done: Collection[tuple[int, ...]] = (),
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
    done : collection of tuple of int
        Indices of planes that are skipped.

    Yields
    ------
    RestorationEvent
        As of `napari_hdn.core.restoring.restoration.restore`.

    Raises
    ------
    ConfigurationError
        If the direct network does not fit the model or the levels that are off, or something is asked
        for that it does not give.
    ImageError, DeviceError, MemoryShortError
        As of `napari_hdn.core.restoring.restoration.restore`.
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
        yield from walk(model, stack.of_channel(config.channel), restorer, stop or Stop(), done)


class DirectRestorer(TiledRestorer):
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
        net = student.network.config
        super().__init__(device, net.multiple, net.reach_px)
        self.model = model
        self.product = student.config.learns
        self.network = copy.deepcopy(student.network).eval()
        self.network.to(device.torch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config

    def _sides(self, shape: tuple[int, int]) -> tuple[int | None, int]:
        net = self.network.config
        side = self.config.tile_px or tile_side(shape, net, self.device.free_bytes())
        return side, side_for_samples(shape[1], 0, 1, net.multiple)

    def _curve(self, counts: np.ndarray) -> NoiseCurve | None:
        if not self.model.normalisation.stabilised:
            return None
        return curve_of_plane(self.model.noise_model, counts)

    def _seen(
        self, counts: np.ndarray, curve: NoiseCurve | None, band: list[Tile]
    ) -> tuple[Tensor, NoiseCurve | None]:
        padded = reflect_pad(torch.from_numpy(counts), self._multiple)
        return self.model.normalisation.apply(padded, curve), curve

    def _tile(
        self,
        seen: tuple[Tensor, NoiseCurve | None],
        top: int,
        shape: tuple[int, int],
        tile: Tile,
        number: int,
        stop: Stop,
    ) -> Iterator[float | Made]:
        image, curve = seen
        signal = self._pass(image[tile.y.start - top : tile.y.stop - top, tile.x])
        kept = self.model.normalisation.invert(signal[tile.crop], curve).numpy()
        if not stop.requested:
            yield 1.0
        yield {self.product: kept}, None

    def _pass(self, image: Tensor) -> Tensor:
        dtype = self.device.dtype(self.config.precision)
        lower = dtype is not torch.float32
        return self.network.once(image, torch.autocast(self.device.name, dtype, enabled=lower))


def tile_side(shape: tuple[int, int], config: DirectNetworkConfig, free_bytes: float) -> int | None:
    """Side of tiles that fit in a share of the free memory; None where the whole plane does."""
    pixel_bytes = 4 * MAPS * config.widths[0] / config.unshuffle**2
    pixels = min(MEMORY_SHARE * free_bytes, MOST_BYTES) / pixel_bytes
    if shape[0] * shape[1] <= pixels:
        return None
    side = int(pixels**0.5) - 2 * config.reach_px
    return max(4 * config.multiple, side // config.multiple * config.multiple)
