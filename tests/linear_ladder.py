"""A ladder whose posterior is known in closed form.

Linear and Gaussian, two levels, one channel, in normalised units: the top latent of each block of
4 x 4 pixels is z2 ~ N(0, t^2), the latent of each 2 x 2 pixels z1 ~ N(z2, a^2), the signal of these
four pixels is z1, and what the camera sees x ~ N(z1, sigma^2). With y1 the mean of four pixels and
y2 that of sixteen, the posterior is

    z2 | x      ~ N(v2 * 4 y2 / (a^2 + sigma^2 / 4), v2),   1 / v2 = 1 / t^2 + 4 / (a^2 + sigma^2 / 4)
    z1 | z2, x  ~ N(v1 * (z2 / a^2 + 4 y1 / sigma^2), v1),  1 / v1 = 1 / a^2 + 4 / sigma^2

Only the distributions are new: `Ladder`'s own code chooses latents, and walks down the levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.model.stochastic import MAX_LOG_VARIANCE, Normal
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.normalisation import Normalisation

CONFIG = NetworkConfig(levels=2, blocks=1, channels=4, latent_channels=1)
TOP, ABOVE, NOISE = 1.5, 0.8, 1.2  # t, a, sigma
NORMALISATION = Normalisation(100.0, 20.0)  # counts = 100 + 20 * signal


def _precision(prior: float, data: float) -> float:
    return 1 / (1 / prior**2 + 1 / data**2)


SEEN = math.sqrt(ABOVE**2 + NOISE**2 / 4)  # of y1 about z2
V2 = _precision(TOP, SEEN / 2)  # four y1 in a block
V1 = _precision(ABOVE, NOISE / 2)
PULL = V1 / ABOVE**2  # how far z1 follows z2


def _parameters(mean: Tensor, variance: float) -> Tensor:
    """Mean and log-variance as a convolution would give them, before it is bounded."""
    bound = MAX_LOG_VARIANCE
    raw = bound * math.atanh(math.log(variance) / bound)
    return torch.cat([mean, torch.full_like(mean, raw)], dim=1)


class _Stochastic(nn.Module):
    """The distributions of one level; latents are features already."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def prior_given(self, above: Tensor | None) -> Normal:
        if self.level == 2:
            zero = torch.zeros(1, 1, 1, 1)
            return Normal.from_parameters(_parameters(zero, TOP**2))
        return Normal.from_parameters(_parameters(above, ABOVE**2))

    def posterior(self, merged: Tensor) -> Tensor:
        if self.level == 2:
            return _parameters(V2 * 4 * merged / SEEN**2, V2)
        y1, z2 = merged.chunk(2, dim=1)
        return _parameters(V1 * (z2 / ABOVE**2 + 4 * y1 / NOISE**2), V1)

    def out(self, z: Tensor) -> Tensor:
        return z


class _Merge(nn.Module):
    def forward(self, up: Tensor, above: Tensor, rng: object = None) -> Tensor:
        return torch.cat([up, above], dim=1)


class _Larger(nn.Module):
    """Each value for four pixels."""

    def forward(self, h: Tensor, rng: object = None) -> Tensor:
        return functional.interpolate(h, scale_factor=2.0, mode="nearest")


class _Level(nn.Module):
    def __init__(self, level: int) -> None:
        super().__init__()
        self.merge = None if level == 2 else _Merge()
        self.stochastic = _Stochastic(level)
        self.skip = None
        self.blocks = _Larger()


class LinearLadder(Ladder):
    """Its encoder takes means of pixels, its decoder copies latents to pixels."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.config = CONFIG
        self.unshuffle = 1
        self.top_down = nn.ModuleList(_Level(level) for level in self.levels)
        self.last = nn.Conv2d(1, 1, 1)  # tells the device; the signal is level 1's latents

    def encode(self, image: Tensor, rng: object = None) -> tuple[Tensor, ...]:
        y1 = functional.avg_pool2d(image, 2)
        return y1, functional.avg_pool2d(y1, 2)

    def finish(self, below: Tensor | None, rng: object = None) -> Tensor:
        assert below is not None
        return below.float()


@dataclass(frozen=True)
class Posterior:
    """Of the signal of each pixel, in counts."""

    mean: np.ndarray  # (Y, X)
    std: float

    def quantile(self, z: float) -> np.ndarray:
        """The quantile at which a standard normal distribution is ``z``."""
        return self.mean + z * self.std


def _blocks(image: np.ndarray, side: int) -> np.ndarray:
    """Means of blocks, as large as the image."""
    height, width = image.shape
    means = image.reshape(height // side, side, width // side, side).mean(axis=(1, 3))
    return means.repeat(side, 0).repeat(side, 1)


def posterior(counts: np.ndarray) -> Posterior:
    """What the restoration of (Y, X) counts has to come to; sides are multiples of four."""
    scale = NORMALISATION.std
    x = (counts.astype(np.float64) - NORMALISATION.mean) / scale
    z2 = V2 * 4 * _blocks(x, 4) / SEEN**2
    z1 = V1 * (z2 / ABOVE**2 + 4 * _blocks(x, 2) / NOISE**2)
    return Posterior(NORMALISATION.mean + scale * z1, scale * math.sqrt(V1 + PULL**2 * V2))


def posterior_without_level_1(counts: np.ndarray) -> Posterior:
    """The same with level 1 at the mean of its prior: the signal is z2."""
    scale = NORMALISATION.std
    x = (counts.astype(np.float64) - NORMALISATION.mean) / scale
    z2 = V2 * 4 * _blocks(x, 4) / SEEN**2
    return Posterior(NORMALISATION.mean + scale * z2, scale * math.sqrt(V2))


def simulate(shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A signal of this prior and noisy counts of it; (Y, X), sides are multiples of four."""
    rng = np.random.default_rng(seed)
    z2 = TOP * rng.standard_normal((shape[0] // 4, shape[1] // 4)).repeat(2, 0).repeat(2, 1)
    z1 = (z2 + ABOVE * rng.standard_normal(z2.shape)).repeat(2, 0).repeat(2, 1)
    x = z1 + NOISE * rng.standard_normal(shape)
    to_counts = [NORMALISATION.mean + NORMALISATION.std * v for v in (z1, x)]
    return to_counts[0], to_counts[1].astype(np.float32)


def linear_model(config) -> HDN:  # type: ignore[no-untyped-def]
    """The ladder as a trained model; ``config`` is any `TrainingConfig`."""
    summary = TrainingSummary(
        version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=0, data_high=200,
    )  # fmt: skip
    training = config.model_copy(update={"network": CONFIG})
    noise = Gaussian(NOISE * NORMALISATION.std)
    return HDN(training, LinearLadder().eval(), noise, NORMALISATION, summary)
