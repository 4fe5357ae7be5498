"""A noise model whose scale was mended during training, for all images or for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import NoiseModel, noise_model_from_json, noise_model_to_json
from napari_hdn.core.normalisation import NoiseCurve


class Refined(NoiseModel):
    """Another noise model with its noise spread by a factor: x = s + sqrt(scale) * (x0 - s).

    The units in which the network sees counts stay those of the other model, so that a training
    goes on where it is.

    Parameters
    ----------
    inner : NoiseModel
    scale : sequence of float
        What the variance is multiplied by; one for all images, or one for each.
    units : NoiseModel, optional
        In whose units the network sees counts, if not in ``inner``'s: that with which the training
        began.

    Raises
    ------
    NoiseModelError
        If a scale is not a positive number.
    """

    kind: ClassVar[str] = "refined"

    def __init__(
        self, inner: NoiseModel, scale: Sequence[float], units: NoiseModel | None = None
    ) -> None:
        super().__init__(inner.source)
        table = np.asarray(scale, dtype=np.float64).reshape(-1)
        if len(table) == 0 or not np.isfinite(table).all() or table.min() <= 0:
            raise NoiseModelError(f"A noise model is scaled by positive numbers, not by {table}.")
        self.inner = inner
        self.units = units
        self.clipping, inner.clipping = inner.clipping, None
        self.calibration, inner.calibration = inner.calibration, None
        self.structured = inner.structured
        self.scale: Tensor
        self.register_buffer("scale", torch.as_tensor(table, dtype=torch.float32))

    @property
    def curves(self) -> int:
        return max(self.inner.curves, len(self.scale))

    @property
    def signal_range(self) -> tuple[float, float] | None:
        return self.inner.signal_range

    def curve(self, image: Tensor | None = None) -> NoiseCurve | None:
        return (self.units or self.inner).curve(image)

    def _root(self, image: Tensor | None, ndim: int) -> Tensor:
        if image is None or len(self.scale) == 1:
            return torch.sqrt(self.scale[0])
        return torch.sqrt(self.scale[image]).reshape(-1, *[1] * (ndim - 1))

    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        return self._root(image, signal.ndim) ** 2 * self.inner.variance(signal, image)

    def log_density(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        root = self._root(image, signal.ndim)
        inner = self.inner.log_density(signal + (counts - signal) / root, signal, image)
        return inner - torch.log(root)

    def log_tails(
        self, edge: float | Tensor, signal: Tensor, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        root = self._root(image, signal.ndim)
        return self.inner.log_tails(signal + (edge - signal) / root, signal, image)

    def draw(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        root = self._root(image, signal.ndim)
        return signal + root * (self.inner.draw(signal, rng, image) - signal)

    def to_json(self) -> dict[str, Any]:
        units = None if self.units is None else noise_model_to_json(self.units)
        inner = noise_model_to_json(self.inner)
        return {"inner": inner, "scale": self.scale.tolist(), "units": units}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        units = data.get("units")
        return cls(
            noise_model_from_json(data["inner"]),
            data["scale"],
            None if units is None else noise_model_from_json(units),
        )

    def describe(self) -> str:
        low, high = float(self.scale.min()), float(self.scale.max())
        if low == high == 1:
            return f"{self.inner.describe()}, refined during training"
        by = f"{low:.3g}" if high - low < 0.005 else f"{low:.3g} to {high:.3g}"
        return f"{self.inner.describe()}, variance x {by} (refined during training)"
