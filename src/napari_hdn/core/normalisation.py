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

    @property
    def _reference(self) -> Tensor:
        """The signal that is 0 when stabilised: the knee, but not below 0 counts.

        With a small gain the knee lies so far below that counts would lose their digits.
        """
        return self._knee.clamp(min=0)

    @property
    def _root_there(self) -> Tensor:
        return torch.sqrt(self.variance(self._reference))

    @property
    def _y_knee(self) -> Tensor:
        return 2 * (self._knee - self._reference) / (torch.sqrt(self.floor) + self._root_there)

    def stabilise(self, counts: Tensor) -> Tensor:
        """Counts in units of their noise; monotonous, with a smooth slope."""
        above = torch.maximum(counts, self._knee)
        # 2 / gain * (sqrt(variance) - sqrt(variance there)), without the cancellation
        slope = torch.sqrt(self.variance(above)) + self._root_there
        curved = 2 * (above - self._reference) / slope
        straight = (counts - self._knee).clamp(max=0) / torch.sqrt(self.floor)
        return torch.where(self.flat, counts / torch.sqrt(self._flat_variance), curved + straight)

    def unstabilise(self, y: Tensor) -> Tensor:
        """The reverse of `stabilise`."""
        up = torch.maximum(y, self._y_knee)
        curved = self._reference + self._root_there * up + self.safe_gain * up**2 / 4
        straight = (y - self._y_knee).clamp(max=0) * torch.sqrt(self.floor)
        return torch.where(self.flat, y * torch.sqrt(self._flat_variance), curved + straight)


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
