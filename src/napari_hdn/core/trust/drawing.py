"""Posterior samples of a plane that is ready for the network, all of them kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from napari_hdn.core.events import Stop
from napari_hdn.core.latent_noise import LatentNoise
from napari_hdn.core.planes import Plane, Prepared


def draw(
    prepared: Prepared,
    plane: Plane,
    samples: int,
    stop: Stop,
    *,
    seed: int = 0,
    off: Sequence[int] = (),
) -> Iterator[float | np.ndarray]:
    """Draw independent samples: yields fractions done, then (N, Y, X) counts unless stopped.

    The same seed draws the same samples, whatever the tiles.
    """
    network = prepared.network
    noise = LatentNoise(seed, 0, network.config.latent_channels, prepared.device.torch)
    drawn = np.empty((samples, *plane.shape), np.float32)
    choices = network.choices("sample", off)
    for number, tile in enumerate(plane.tiles):
        features = prepared.encode(plane.image, tile)
        for sample in range(samples):

            def at(level: int, shape: torch.Size, key: int = sample) -> torch.Tensor:
                y0, x0 = tile.y.start >> level, tile.x.start >> level  # noqa: B023 - drawn at once
                return noise.crop(key, level, y0, x0, int(shape[-2]), int(shape[-1]))[None]

            with torch.inference_mode(), prepared.autocast():
                signal = network.decode(features, choices, at).signal[0, 0]
            kept = prepared.to_counts(signal[tile.crop[0], tile.crop[1]].clone(), plane)
            drawn[sample, tile.inner_y, tile.inner_x] = kept.cpu().numpy()
            if stop.requested:
                return
            yield (number * samples + sample + 1) / (len(plane.tiles) * samples)
    yield np.ascontiguousarray(drawn[:, : plane.size[0], : plane.size[1]])
