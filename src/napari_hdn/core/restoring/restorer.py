"""Restoring one plane: tiles, passes of the decoder, and what is made of them.

The bottom-up pass runs once per tile; all samples are decoded from it in batches, and what is made of
them is kept running where it can be. Huge planes are read, restored and given away some rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.config import NetworkConfig, RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.events import Stop
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.normalisation import NoiseCurve, Normalisation
from napari_hdn.core.restoring.latent_noise import LatentNoise
from napari_hdn.core.restoring.planes import Plane, Prepared
from napari_hdn.core.restoring.reduction import Reduction, keeps_samples, margin_px
from napari_hdn.core.restoring.tiled import Made, Rows, TiledRestorer
from napari_hdn.core.restoring.tiling import (
    Tile,
    fitted,
    halo_px,
    mirrored,
    side_for_samples,
    widened,
)

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
PAIRS = 2  # that the mean is taken over where other outputs need independent samples


@dataclass(frozen=True)
class Draw:
    """One pass of the decoder: noise number ``key`` with a sign, or the means of all levels."""

    key: int
    sign: float
    orientation: int = 0
    role: str = "single"  # see `Reduction.add`


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


def most_side(config: RestorationConfig, network: NetworkConfig, width: int) -> int:
    """Largest side of tiles of a plane whose samples may all be held."""
    held = len(plan_draws(config)) if keeps_samples(config) else 0
    given = len(config.products) + ("samples" in config.outputs) * config.samples
    return side_for_samples(width, held, given, network.multiple)


class Restorer(TiledRestorer):
    """Restores planes with a copy of a network on a device."""

    def __init__(
        self,
        network: Ladder,
        normalisation: Normalisation,
        noise_model: NoiseModel,
        config: RestorationConfig,
        device: Device,
    ) -> None:
        super().__init__(device, network.config.multiple, halo_px(network.config))
        self.prepared = Prepared(network, normalisation, noise_model, device, config.precision)
        self.config = config
        self.draws = plan_draws(config)
        self.off = check_levels(network.config, config.deactivated_levels or ())
        self.batch = config.batch_size

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

    def _sides(self, shape: tuple[int, int]) -> tuple[int | None, int]:
        net, tile_px = self.prepared.network.config, self.config.tile_px
        if tile_px is None:
            tile_px, self.batch = fitted(shape, net, self.batch, self.device.free_bytes())
        return tile_px, most_side(self.config, net, shape[1])

    def _curve(self, counts: np.ndarray) -> NoiseCurve | None:
        return self.prepared.curve(counts)

    def _seen(self, counts: np.ndarray, curve: NoiseCurve | None, band: list[Tile]) -> Plane:
        return self.prepared.piece(counts, curve, band)

    def _smaller(self, tile: Tile, shape: tuple[int, int], error: Exception) -> list[Tile]:
        """Fewer samples at a time, then smaller tiles; samples are the same whatever these are."""
        if self.batch == 1:
            return super()._smaller(tile, shape, error)
        self.device.release()
        self._note_short()
        self.batch //= 2
        return [tile]

    def _tile(
        self, seen: Plane, top: int, shape: tuple[int, int], tile: Tile, number: int, stop: Stop
    ) -> Iterator[float | Made]:
        channels = self.prepared.network.config.latent_channels
        noise = LatentNoise(self.config.seed, number, channels, self.device.torch)
        margin = margin_px(self.config)
        kept = widened(tile, margin)
        reduction = Reduction(
            self.config, mean_pairs(self.config), (kept.inner_y.start, kept.inner_x.start)
        )
        rows = slice(tile.y.start - top, tile.y.stop - top)
        image = seen.image[rows, tile.x].to(self.device.torch)
        done = 0
        for orientation in sorted({d.orientation for d in self.draws}):
            dims = FLIPS[orientation]
            corner = mirrored(tile, shape, dims)
            features = self.prepared.encode_image(image.flip(dims) if dims else image)
            draws = [d for d in self.draws if d.orientation == orientation]
            for start in range(0, len(draws), self.batch):
                batch = draws[start : start + self.batch]
                signal = self._decode(features, batch, noise, corner).flip(dims)
                part = signal[:, kept.crop[0], kept.crop[1]]
                images = self.prepared.to_counts(part, seen)
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
