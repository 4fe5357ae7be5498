"""Between camera counts and what the network sees.

Plain: (counts - mean) / std. Stabilised: counts are first measured in units of their own noise,
y(s) = integral of ds / sqrt(variance(s)) (the generalised Anscombe transform without its bias
correction, Starck et al. 1998), so that noise has the same size at every signal and, where images
were scaled apart, in every image. The likelihood stays in counts: only the parametrisation of the
signal changes, and with it how well the loss is conditioned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_GAIN = 1e-6  # below it the variance is taken as constant


@dataclass(frozen=True)
class NoiseCurve:
    """variance(s) = max(gain * s + offset, floor); tensors that broadcast with images."""

    gain: Tensor
    offset: Tensor
    floor: Tensor

    def variance(self, signal: Tensor) -> Tensor:
        """Variance in counts² at a signal."""
        return torch.maximum(self.gain * signal + self.offset, self.floor)

    @property
    def flat(self) -> Tensor:
        """Whether the gain is too small to matter."""
        return self.gain < LEAST_GAIN * torch.sqrt(self._flat_variance)

    @property
    def _flat_variance(self) -> Tensor:
        return torch.maximum(self.offset, self.floor)

    @property
    def _knee(self) -> Tensor:
        """The signal below which the variance is the floor."""
        return (self.floor - self.offset) / self.safe_gain

    @property
    def safe_gain(self) -> Tensor:
        """The gain, or 1 where it is too small to matter."""
        return torch.where(self.flat, torch.ones_like(self.gain), self.gain)

    def stabilise(self, counts: Tensor) -> Tensor:
        """Counts in units of their noise; 0 at the knee, monotonous, with a smooth slope."""
        above = counts - self._knee
        root = torch.sqrt(self.floor)
        curved = (
            2
            / self.safe_gain
            * (torch.sqrt(self.safe_gain * above.clamp(min=0) + self.floor) - root)
        )
        straight = above.clamp(max=0) / root
        return torch.where(self.flat, counts / torch.sqrt(self._flat_variance), curved + straight)

    def unstabilise(self, y: Tensor) -> Tensor:
        """The reverse of `stabilise`."""
        root = torch.sqrt(self.floor)
        up = y.clamp(min=0)
        above = self.safe_gain * up**2 / 4 + root * up
        signal = self._knee + above + y.clamp(max=0) * root
        return torch.where(self.flat, y * torch.sqrt(self._flat_variance), signal)


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the training data; part of the model.

    Parameters
    ----------
    mean, std : float
        In counts, or in units of the noise where ``stabilised``.
    stabilised : bool
        Whether counts are stabilised with a noise curve first.
    """

    mean: float
    std: float
    stabilised: bool = False

    def apply(self, counts: Tensor, curve: NoiseCurve | None = None) -> Tensor:
        """Counts to what the network sees."""
        if self.stabilised:
            assert curve is not None
            counts = curve.stabilise(counts)
        return (counts - self.mean) / self.std

    def invert(self, normalised: Tensor, curve: NoiseCurve | None = None) -> Tensor:
        """What the network gives to counts."""
        value = normalised * self.std + self.mean
        if self.stabilised:
            assert curve is not None
            value = curve.unstabilise(value)
        return value
