"""restore(): a generator of events that walks a stack plane by plane.

The bottom-up pass runs once per tile; all samples are decoded from it in batches; mean and variance
are kept running, so memory does not grow with the number of samples or planes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig, RestorationConfig
from napari_hdn.core.devices import Device, choose
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
from napari_hdn.core.latent_noise import LatentNoise
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.planes import Prepared
from napari_hdn.core.statistics import check_finite
from napari_hdn.core.tiling import Tile

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class Restored:
    """Result for a whole image; arrays of the input's shape, float32 counts."""

    mean: np.ndarray
    std: np.ndarray | None


@dataclass(frozen=True)
class Draw:
    """One pass of the decoder: noise number ``key`` with a sign, or the means of all levels."""

    key: int
    sign: float
    orientation: int = 0


def plan_draws(config: RestorationConfig) -> list[Draw]:
    """What to decode: the mean latents, antithetic pairs, or independent samples for the spread.

    With ``flips`` the mean is taken over four orientations, each with its own draws, while the
    samples of a spread go round the orientations.
    """
    n = config.samples
    turns = len(FLIPS) if config.flips else 1
    if config.std:
        return sorted(
            (Draw(j, 1.0, j % turns) for j in range(n)), key=lambda d: (d.orientation, d.key)
        )
    if n == 1:
        return [Draw(0, 0.0, o) for o in range(turns)]
    return [Draw(1000 * o + j // 2, 1.0 - 2.0 * (j % 2), o) for o in range(turns) for j in range(n)]


class RunningMoments:
    """Mean and variance of images as they come (Welford, in batches); float32."""

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        self.mean = torch.zeros(shape, device=device)
        self.squares = torch.zeros(shape, device=device)

    def add(self, images: Tensor, seen: int, ys: slice, xs: slice) -> None:
        """Take in (B, h, w) images of a part of the plane that has ``seen`` images already."""
        b = len(images)
        total = seen + b
        mean, squares = self.mean[ys, xs], self.squares[ys, xs]
        batch_mean = images.mean(dim=0)
        delta = batch_mean - mean
        squares += ((images - batch_mean) ** 2).sum(dim=0) + delta**2 * (seen * b / total)
        mean += delta * (b / total)


class Restorer:
    """Restores planes with a copy of a network on a device."""

    def __init__(
        self,
        network: Ladder,
        normalisation: Normalisation,
        noise_model: NoiseModel,
        config: RestorationConfig,
        device: Device,
    ) -> None:
        self.prepared = Prepared(network, normalisation, noise_model, device, config.precision)
        self.config = config
        self.device = device
        self.draws = plan_draws(config)
        self.off = check_levels(network.config, config.deactivated_levels or ())

    def plane(
        self, counts: np.ndarray, number: int, stop: Stop
    ) -> Iterator[float | tuple[np.ndarray, np.ndarray | None]]:
        """Restore one (Y, X) plane: yields fractions done, then (mean, std) unless stopped."""
        plane = self.prepared.plane(counts, self.config.tile_px, self.config.batch_size)
        height, width = plane.size
        moments = RunningMoments(plane.shape, plane.home)
        channels = self.prepared.network.config.latent_channels
        noise = LatentNoise(self.config.seed, number, channels, self.device.torch)
        done, seen = 0, 0
        for orientation in sorted({d.orientation for d in self.draws}):
            dims = FLIPS[orientation]
            image = plane.image.flip(dims) if dims else plane.image
            draws = [d for d in self.draws if d.orientation == orientation]
            for tile in plane.tiles:
                ys, xs = _flipped(tile, plane.shape, dims)
                for before, samples in self._tile(image, tile, draws, noise):
                    signal = self.prepared.to_counts(samples.flip(dims), plane)
                    moments.add(signal, seen + before, ys, xs)
                    done += len(signal)
                    if stop.requested:
                        return
                    yield done / (len(self.draws) * len(plane.tiles))
            seen += len(draws)
        mean = moments.mean[:height, :width].cpu().numpy()
        std = None
        if self.config.std:
            variance = moments.squares[:height, :width] / (len(self.draws) - 1)
            std = torch.sqrt(variance).cpu().numpy()
        yield mean, std

    def _tile(
        self, image: Tensor, tile: Tile, draws: Sequence[Draw], noise: LatentNoise
    ) -> Iterator[tuple[int, Tensor]]:
        """Batches of samples of a tile's kept part, each as (samples before it, (B, h, w))."""
        network = self.prepared.network
        choices = network.choices("mean" if self.draws[0].sign == 0 else "sample", self.off)
        features = self.prepared.encode(image, tile)
        for start in range(0, len(draws), self.config.batch_size):
            batch = draws[start : start + self.config.batch_size]

            def drawn(level: int, shape: torch.Size, batch: Sequence[Draw] = batch) -> Tensor:
                y0, x0 = tile.y.start >> level, tile.x.start >> level
                height, width = int(shape[-2]), int(shape[-1])
                return torch.stack(
                    [d.sign * noise.crop(d.key, level, y0, x0, height, width) for d in batch]
                )

            with torch.inference_mode(), self.prepared.autocast():
                expanded = [f.expand(len(batch), -1, -1, -1) for f in features]
                signal = network.decode(expanded, choices, drawn).signal[:, 0]
            # leaves inference mode, so that running moments may be updated in place
            yield start, signal[:, tile.crop[0], tile.crop[1]].clone()


def check_levels(network: NetworkConfig, off: Sequence[int]) -> tuple[int, ...]:
    """Levels that a user wants off, in order.

    Raises
    ------
    ConfigurationError
        If the network has no such level, or it is the top.
    """
    levels = network.levels
    if any(not 1 <= i < levels for i in off):
        raise ConfigurationError(
            f"Level{'s' * (len(off) > 1)} {', '.join(map(str, off))} cannot be switched off: this model "
            "has levels 1 "
            f"(finest) to {levels}, and level {levels} has to stay on."
        )
    return tuple(sorted(set(off)))


def _flipped(tile: Tile, shape: tuple[int, int], dims: tuple[int, ...]) -> tuple[slice, slice]:
    """Where the kept part of a tile of the flipped plane lies in the plane."""
    ys, xs = tile.inner_y, tile.inner_x
    if -2 in dims:
        ys = slice(shape[0] - ys.stop, shape[0] - ys.start)
    if -1 in dims:
        xs = slice(shape[1] - xs.stop, shape[1] - xs.start)
    return ys, xs


def restore(
    model: HDN, stack: ImageStack, config: RestorationConfig, *, stop: Stop | None = None
) -> Iterator[RestorationEvent]:
    """Restore a stack plane by plane, in the order of ``stack.indices()``.

    Parameters
    ----------
    model : HDN
    stack : ImageStack
        Camera counts of any size; read one plane at a time.
    config : RestorationConfig
    stop : Stop, optional
        Looked at after every batch of samples; planes that are done have been yielded.

    Yields
    ------
    RestorationEvent
        `PlaneRestored` for every plane, `RestorationFinished` last.

    Raises
    ------
    ImageError
        If a plane holds NaN or infinite pixels.
    ConfigurationError, DeviceError
        If levels or device do not exist.
    MemoryShortError
        If a plane does not fit in memory.
    """
    with kept_memory():
        yield from _walk(model, stack.of_channel(config.channel), config, stop or Stop())


def _walk(
    model: HDN, stack: ImageStack, config: RestorationConfig, stop: Stop
) -> Iterator[RestorationEvent]:
    restorer = Restorer(
        model.network, model.normalisation, model.noise_model, config, choose(config.device)
    )
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
            for part in restorer.plane(counts, number, stop):
                if isinstance(part, tuple):
                    finished = True
                    yield PlaneRestored(index, *part)
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


def restore_all(model: HDN, stack: ImageStack, config: RestorationConfig) -> Restored:
    """Restore a stack into arrays of its shape; see `restore`. Notices become warnings."""
    axes = [a for a in stack.axes if not (a == "C" and stack.channel is not None)]
    shape = [n for a, n in zip(stack.axes, np.shape(stack.array), strict=True) if a in axes]
    mean = np.empty(shape, np.float32)
    std = np.empty(shape, np.float32) if config.std else None
    out = ImageStack(mean, "".join(axes), stack.name)
    for event in restore(model, stack, config):
        if isinstance(event, Notice):
            warnings.warn(event.text, stacklevel=3)
        if isinstance(event, PlaneRestored):
            where = out.selection(event.index, slice(None), slice(None))
            mean[where] = event.mean.T if out.x_before_y else event.mean
            if std is not None and event.std is not None:
                std[where] = event.std.T if out.x_before_y else event.std
    return Restored(mean, std)


def preview_plane(
    network: Ladder,
    normalisation: Normalisation,
    noise_model: NoiseModel,
    image: np.ndarray,
    device: Device,
) -> np.ndarray:
    """A quick look at (Y, X) counts: one pass with the means of all levels."""
    config = RestorationConfig(samples=1, device=device.name)
    *_, result = Restorer(network, normalisation, noise_model, config, device).plane(
        np.ascontiguousarray(image, dtype=np.float32), 0, Stop()
    )
    assert isinstance(result, tuple)
    return result[0]


def range_remark(model: HDN, counts: np.ndarray, name: str) -> str:
    """A warning where an image's range is far outside that of the training images, with numbers."""
    low, high = (float(v) for v in np.percentile(counts, [0.1, 99.9]))
    trained_low, trained_high = model.summary.data_low, model.summary.data_high
    span = max(trained_high - trained_low, 1e-12)
    outside = high > trained_high + span or low < trained_low - span
    tiny = high < trained_low or low > trained_high or high - low < 0.02 * span
    if not (outside or tiny):
        return ""
    return (
        f"{name} runs from {low:.5g} to {high:.5g} counts, but the model was trained on images from "
        f"{trained_low:.5g} to {trained_high:.5g}. The result may be wrong: restore images from the "
        "same camera settings, not rescaled, or train on these images."
    )
