"""Poisson-Gaussian noise: shot noise and read noise of a camera, variance = gain * s + offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import NoiseModel, gaussian_log_likelihood
from napari_hdn.core.normalisation import NoiseCurve


class PoissonGaussian(NoiseModel):
    """Normal noise whose variance is ``gain * s + offset``, at least ``floor``.

    One curve for all images, or one per image where the images were scaled apart.

    Parameters
    ----------
    gain : sequence of float
        Counts of variance per count of signal.
    offset : sequence of float
        Variance at signal 0 in counts squared: read noise and camera offset together.
    floor : sequence of float
        The least variance, counts squared.
    source : str
        How the model came about, in words.
    differences : str
        Which differences of pixels see the whole noise (`estimation.single_image_curve`), for the
        curve of an image that was not trained on.

    Raises
    ------
    NoiseModelError
        If the lists differ in length, or a number is not finite, or a floor is not positive.
    """

    kind: ClassVar[str] = "poisson_gaussian"

    def __init__(
        self,
        gain: Sequence[float],
        offset: Sequence[float],
        floor: Sequence[float],
        source: str = "given",
        differences: str = "diagonal",
    ) -> None:
        super().__init__()
        table = [np.asarray(v, dtype=np.float64).reshape(-1) for v in (gain, offset, floor)]
        if len({len(v) for v in table}) != 1 or len(table[0]) == 0:
            raise NoiseModelError("Gain, offset and floor must hold one value per noise curve.")
        if not all(np.isfinite(v).all() for v in table) or table[2].min() <= 0:
            raise NoiseModelError(
                f"Noise curves need finite gains and offsets and a positive least variance; "
                f"got gain {table[0]}, offset {table[1]}, least variance {table[2]}."
            )
        self.source = source
        self.differences = differences
        self.gain: Tensor
        self.offset: Tensor
        self.floor: Tensor
        for name, values in zip(("gain", "offset", "floor"), table, strict=True):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32))

    @property
    def curves(self) -> int:
        return len(self.gain)

    def curve(self, image: Tensor | None = None) -> NoiseCurve:
        return self._curve(image, 4)

    def _curve(self, image: Tensor | None, ndim: int) -> NoiseCurve:
        if image is None or self.curves == 1:
            return NoiseCurve(self.gain[0], self.offset[0], self.floor[0])
        shape = (-1, *[1] * (ndim - 1))
        return NoiseCurve(*(v[image].reshape(shape) for v in (self.gain, self.offset, self.floor)))

    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        return self._curve(image, signal.ndim).variance(signal)

    def log_likelihood(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        return gaussian_log_likelihood(counts - signal, self.variance(signal, image))

    def sample(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        e = torch.randn(signal.shape, generator=rng, device=signal.device)
        return signal + torch.sqrt(self.variance(signal, image)) * e

    def to_json(self) -> dict[str, Any]:
        lists = {name: getattr(self, name).tolist() for name in ("gain", "offset", "floor")}
        return {**lists, "source": self.source, "differences": self.differences}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(
            data["gain"],
            data["offset"],
            data["floor"],
            str(data.get("source", "file")),
            str(data.get("differences", "diagonal")),
        )

    def describe(self) -> str:
        if self.curves == 1:
            text = f"variance = {float(self.gain):.3g} s {float(self.offset):+.3g} counts²"
        else:
            low, high = float(self.gain.min()), float(self.gain.max())
            text = f"a curve per image ({self.curves}), gains {low:.3g} to {high:.3g} counts"
        return f"Poisson-Gaussian noise, {text} ({self.source})"
