"""Gaussian noise of one sigma, given or learned with the network."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import NoiseModel, gaussian_log_likelihood, log_normal_cdf


class Gaussian(NoiseModel):
    """Noise of the same ``sigma`` (counts) everywhere.

    Raises
    ------
    NoiseModelError
        If sigma is not a positive number.
    """

    kind: ClassVar[str] = "gaussian"

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not (math.isfinite(sigma) and sigma > 0):
            raise NoiseModelError(f"A Gaussian noise model needs sigma > 0 counts, not {sigma}.")
        self.register_buffer("sigma", torch.tensor(float(sigma)))
        self.sigma: Tensor

    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        return (self.sigma**2).expand_as(signal)

    def log_density(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        return gaussian_log_likelihood(counts - signal, self.sigma**2)

    def log_tails(
        self, edge: float | Tensor, signal: Tensor, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        z = (edge - signal) / self.sigma
        return log_normal_cdf(z), log_normal_cdf(-z)

    def draw(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        e = torch.randn(signal.shape, generator=rng, device=signal.device)
        return signal + self.sigma * e

    def to_json(self) -> dict[str, Any]:
        return {"sigma": float(self.sigma.detach())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(float(data["sigma"]))

    def describe(self) -> str:
        return f"Gaussian noise, sigma {float(self.sigma):.3g} counts"


class LearnedGaussian(Gaussian):
    """No noise model (HVAE): a Gaussian likelihood whose sigma is trained with the network."""

    kind: ClassVar[str] = "learned_gaussian"

    def __init__(self, sigma: float) -> None:
        super().__init__(sigma)
        del self.sigma
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)))

    @property
    def sigma(self) -> Tensor:  # type: ignore[override]
        return torch.exp(self.log_sigma)

    def describe(self) -> str:
        sigma = float(self.sigma.detach())
        return f"no noise model; Gaussian likelihood with learned sigma {sigma:.3g} counts"
