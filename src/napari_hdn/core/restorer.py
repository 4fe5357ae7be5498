"""Restoring one plane: tiles, passes of the decoder, and what is made of them.

The bottom-up pass runs once per tile; all samples are decoded from it in batches, and what is made of
them is kept running where it can be. Huge planes are read, restored and given away some rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.calibration.frames import central
from napari_hdn.core.config import NetworkConfig, RestorationConfig
from napari_hdn.core.convergence import MeanSpread, pooled
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, is_memory_short
from napari_hdn.core.events import Stop
from napari_hdn.core.latent_noise import LatentNoise
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.normalisation import NoiseCurve, Normalisation
from napari_hdn.core.planes import Plane, Prepared
from napari_hdn.core.reduction import Reduction, keeps_samples, margin_px
from napari_hdn.core.tiling import (
    Tile,
    by_rows,
    fitting_batch,
    halo_px,
    halved,
    mirrored,
    padded_size,
    plan_tiles,
    side_for_samples,
    tile_side,
    widened,
)

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
PAIRS = 2  # that the mean is taken over where other outputs need independent samples

Read = Callable[[slice, slice], np.ndarray]
"""(Y, X) float32 counts of a part of a plane."""


@dataclass(frozen=True)
class Draw:
    """One pass of the decoder: noise number ``key`` with a sign, or the means of all levels."""

    key: int
    sign: float
    orientation: int = 0
    role: str = "single"  # see `Reduction.add`


@dataclass(frozen=True)
class Rows:
    """What was made of some rows of a plane: (rows, X) by product, samples (N, rows, X)."""

    rows: slice
    planes: dict[str, np.ndarray]
    complete: bool
    spread: MeanSpread | None


def plan_draws(config: RestorationConfig) -> list[Draw]:
    """What to decode: the mean latents, antithetic pairs, or independent samples.

    With ``flips`` the mean alone is taken over four orientations, each with its own draws, while
    independent samples go round the orientations. For a mean beside them, the first few get their
    antithetic partners, since two pairs are worth more than all independent samples together.
    """
    n = config.samples
    turns = len(FLIPS) if config.flips else 1
    if not config.independent:
        if n == 1:
            return [Draw(0, 0.0, o, "centre") for o in range(turns)]
        return [
            Draw(1000 * o + j // 2, 1.0 - 2.0 * (j % 2), o, "partner" if j % 2 else "first")
            for o in range(turns)
            for j in range(n)
        ]
    paired = min(mean_pairs(config), n)
    draws = [Draw(j, 1.0, j % turns, "first" if j < paired else "single") for j in range(n)]
    draws += [Draw(j, -1.0, j % turns, "partner") for j in range(paired)]
    return sorted(draws, key=lambda d: (d.orientation, d.key))


def mean_pairs(config: RestorationConfig) -> int:
    """How many pairs the mean beside independent samples is taken over."""
    if not config.independent or not {"mean", "cv"} & set(config.outputs):
        return 0
    return max(PAIRS, len(FLIPS)) if config.flips else PAIRS


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
        self.batch = config.batch_size
        self._largest: int | None = None  # side of tiles, once memory has run short

    def plan(self, size: tuple[int, int]) -> list[Tile]:
        """Tiles of a (Y, X) plane, and how many samples at a time, by the free memory."""
        net = self.prepared.network.config
        shape, tile_px = padded_size(size, net.multiple), self.config.tile_px
        if tile_px is None:
            free = self.device.free_bytes()
            self.batch = fitting_batch(shape, net, self.batch, free)
            tile_px = tile_side(shape, net, self.batch, free)
        held = len(self.draws) if keeps_samples(self.config) else 0
        given = len(self.config.products) + ("samples" in self.config.outputs) * self.config.samples
        most = side_for_samples(shape[1], held, given, net.multiple)
        sides = [s for s in (tile_px, self._largest) if s is not None]
        if most < max(shape):
            sides.append(most)
        return plan_tiles(shape, min(sides, default=None), halo_px(net), net.multiple)

    def whole(self, counts: np.ndarray, number: int = 0) -> dict[str, np.ndarray]:
        """Restore (Y, X) counts in one go, without progress or Stop."""
        parts = [
            part
            for part in self.plane(lambda ys, xs: counts[ys, xs], counts.shape, number, Stop())
            if isinstance(part, Rows)
        ]
        return {
            product: np.concatenate([p.planes[product] for p in parts], axis=-2)
            for product in self.config.products
        }

    def plane(
        self,
        read: Read,
        size: tuple[int, ...],
        number: int,
        stop: Stop,
        *,
        curve: NoiseCurve | None = None,
    ) -> Iterator[float | Rows]:
        """Restore one plane: yields fractions done, and rows as they are finished, until stopped.

        Parameters
        ----------
        read : callable
            Gives (Y, X) counts of a part of the plane.
        size : (int, int)
            Of the plane, (Y, X).
        number : int
            Of the plane, so that planes have noise of their own.
        curve : NoiseCurve, optional
            Of the plane, where it is not to be found from its counts.
        """
        size = (size[0], size[1])
        shape = padded_size(size, self.prepared.network.config.multiple)
        bands = by_rows(self.plan(size))
        if curve is None:
            curve = self.prepared.curve(read(*central(*size)))
        channels = self.prepared.network.config.latent_channels
        noise = LatentNoise(self.config.seed, number, channels, self.device.torch)
        area, done = shape[0] * shape[1], 0
        for band in bands:
            top = min(t.y.start for t in band)
            counts = read(slice(top, min(band[0].y.stop, size[0])), slice(0, size[1]))
            plane = self.prepared.piece(np.ascontiguousarray(counts), curve, band)
            rows = slice(band[0].inner_y.start, min(band[0].inner_y.stop, size[0]))
            made: dict[str, np.ndarray] = {}
            spreads: list[tuple[MeanSpread, int]] = []
            waiting = list(band)
            while waiting:
                tile = waiting.pop(0)
                pixels = _pixels(tile)
                try:
                    for part in self._tile(plane, top, shape, tile, noise, stop):
                        if isinstance(part, float):
                            yield (done + part * pixels) / area
                        else:
                            images, spread = part
                            _place(made, images, tile, rows, size[1])
                            if spread is not None:
                                spreads.append((spread, pixels))
                except Exception as error:
                    if not is_memory_short(error):
                        raise
                    waiting = [*self._smaller(tile, shape, error), *waiting]
                    continue
                if stop.requested:
                    return
                done += pixels
            yield Rows(rows, made, rows.stop == size[0], pooled(spreads))

    def _smaller(self, tile: Tile, shape: tuple[int, int], error: Exception) -> list[Tile]:
        """What to try instead where memory ran short: fewer samples at a time, then smaller tiles.

        Samples are the same whatever the batches and tiles, so nothing of the result changes.
        """
        self.device.release()
        if self.batch > 1:
            self.batch //= 2
            return [tile]
        net = self.prepared.network.config
        parts = halved(tile, shape, halo_px(net), net.multiple)
        if len(parts) == 1 or all(_seen(p) >= _seen(tile) for p in parts):
            raise error
        self._largest = max(t.inner_y.stop - t.inner_y.start for t in parts)
        return parts

    def _tile(
        self,
        plane: Plane,
        top: int,
        shape: tuple[int, int],
        tile: Tile,
        noise: LatentNoise,
        stop: Stop,
    ) -> Iterator[float | tuple[dict[str, np.ndarray], MeanSpread | None]]:
        """Restore a tile of a plane whose rows from ``top`` on are given; ``shape`` is with padding."""
        margin = margin_px(self.config)
        kept = widened(tile, margin)
        reduction = Reduction(
            self.config, mean_pairs(self.config), (kept.inner_y.start, kept.inner_x.start)
        )
        seen = plane.image[tile.y.start - top : tile.y.stop - top, tile.x].to(self.device.torch)
        done = 0
        for orientation in sorted({d.orientation for d in self.draws}):
            dims = FLIPS[orientation]
            corner = mirrored(tile, shape, dims)
            features = self.prepared.encode_image(seen.flip(dims) if dims else seen)
            draws = [d for d in self.draws if d.orientation == orientation]
            for start in range(0, len(draws), self.batch):
                batch = draws[start : start + self.batch]
                signal = self._decode(features, batch, noise, corner).flip(dims)
                part = signal[:, kept.crop[0], kept.crop[1]]
                images = self.prepared.to_counts(part, plane)
                reduction.add(images, [d.key for d in batch], [d.role for d in batch])
                done += len(batch)
                if stop.requested:
                    return
                yield done / len(self.draws)
        inner = (
            slice(tile.inner_y.start - kept.inner_y.start, tile.inner_y.stop - kept.inner_y.start),
            slice(tile.inner_x.start - kept.inner_x.start, tile.inner_x.stop - kept.inner_x.start),
        )
        made = {k: v[..., *inner].cpu().numpy() for k, v in reduction.finish().items()}
        yield made, reduction.spread()

    def _decode(
        self,
        features: Sequence[Tensor],
        batch: Sequence[Draw],
        noise: LatentNoise,
        corner: tuple[int, int],
    ) -> Tensor:
        """(B, h, w) signals of a tile whose seen part begins at ``corner`` of the (flipped) plane."""
        network = self.prepared.network
        choices = network.choices("mean" if batch[0].sign == 0 else "sample", self.off)

        def drawn(level: int, shape: torch.Size) -> Tensor:
            y0, x0 = corner[0] >> level, corner[1] >> level
            height, width = int(shape[-2]), int(shape[-1])
            crops = [noise.crop(d.key, level, y0, x0, height, width) for d in batch]
            return torch.stack([d.sign * c for d, c in zip(batch, crops, strict=True)])

        with torch.inference_mode(), self.prepared.autocast():
            expanded = [f.expand(len(batch), -1, -1, -1) for f in features]
            signal = network.decode(expanded, choices, drawn).signal[:, 0]
        # leaves inference mode, so that running moments may be updated in place
        return signal.clone()


def _pixels(tile: Tile) -> int:
    ys, xs = tile.inner_y, tile.inner_x
    return (ys.stop - ys.start) * (xs.stop - xs.start)


def _seen(tile: Tile) -> int:
    return (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)


def _place(
    made: dict[str, np.ndarray],
    images: dict[str, np.ndarray],
    tile: Tile,
    rows: slice,
    width: int,
) -> None:
    """Put a tile's images among those of its rows, without the padding."""
    ys = slice(tile.inner_y.start - rows.start, min(tile.inner_y.stop, rows.stop) - rows.start)
    xs = slice(tile.inner_x.start, min(tile.inner_x.stop, width))
    for product, image in images.items():
        cut = image[..., : ys.stop - ys.start, : xs.stop - xs.start]
        if product not in made:
            made[product] = np.empty((*image.shape[:-2], rows.stop - rows.start, width), np.float32)
        made[product][..., ys, xs] = cut


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
