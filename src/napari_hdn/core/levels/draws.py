"""What each level may hold: images drawn at one level after another (the paper's Fig. 3, A.4).

For level i one sample of the levels above it is held, several are drawn at level i, and the levels
below are at the mean of their prior, given what is above: what they would add of the image's own
detail is left out, so that a row shows what is settled from level i upwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from napari_hdn.core.events import Stop
from napari_hdn.core.model.ladder import Choice, Noise
from napari_hdn.core.restoring.latent_noise import LatentNoise
from napari_hdn.core.restoring.planes import Prepared

Origin = Literal["image", "prior"]

SAMPLES = 6


def draw_levels(
    prepared: Prepared,
    counts: np.ndarray,
    stop: Stop,
    *,
    origin: Origin = "image",
    samples: int = SAMPLES,
    seed: int = 0,
) -> Iterator[float | np.ndarray]:
    """Draw images level by level: yields fractions done, then the images unless stopped.

    Parameters
    ----------
    prepared : Prepared
    counts : ndarray
        (Y, X) float32 camera counts, small enough to be decoded in one piece. For ``prior`` only its
        size and its noise curve count.
    stop : Stop
        Looked at after every image.
    origin : {'image', 'prior'}
        Draw from the posterior of this image, or unconditionally from the prior.
    samples : int
        Images a level.
    seed : int
        The same seed draws the same images.

    Yields
    ------
    float or ndarray
        Last (n, samples, Y, X) counts, float32, level 1 first.
    """
    network = prepared.network
    levels = network.config.levels
    plane = prepared.plane(counts, max(counts.shape), 1)
    (tile,) = plane.tiles
    features = prepared.encode(plane.image, tile) if origin == "image" else None
    m = network.config.multiple
    top = (1, plane.shape[0] // m, plane.shape[1] // m)
    latent_noise = LatentNoise(seed, 0, network.config.latent_channels, prepared.device.torch)
    height, width = plane.size
    images = np.empty((levels, samples, height, width), np.float32)
    for level in reversed(network.levels):
        for sample in range(samples):
            with torch.inference_mode(), prepared.autocast():
                signal = network.decode(
                    features,
                    _choices(prepared, level, origin),
                    _noise(latent_noise, level, sample),
                    top_size=top,
                ).signal[0, 0]
            counts_drawn = prepared.to_counts(signal.float(), plane)
            images[level - 1, sample] = counts_drawn[:height, :width].cpu().numpy()
            if stop.requested:
                return
            yield ((levels - level) * samples + sample + 1) / (levels * samples)
    yield images


def _choices(prepared: Prepared, level: int, origin: Origin) -> list[Choice]:
    """Drawn at ``level`` and above, the prior's mean below."""
    network = prepared.network
    prior: Choice = "prior_sample"
    drawn = (prior,) * network.config.levels
    if origin == "image":
        drawn = network.choices("sample", sampled_off=True)
    return ["prior_mean" if k < level else drawn[k - 1] for k in network.levels]


def _noise(latent_noise: LatentNoise, varied: int, sample: int) -> Noise:
    """The held noise above the level that varies."""

    def draw(level: int, shape: torch.Size) -> torch.Tensor:
        key = sample + 1 if level == varied else 0
        return latent_noise.crop(key, level, 0, 0, int(shape[-2]), int(shape[-1]))[None]

    return draw
