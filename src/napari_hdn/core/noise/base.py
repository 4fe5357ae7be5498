"""The interface of all noise models, and how they are written and read."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.normalisation import NoiseCurve

NOISE_SCHEMA_VERSION = 1


class NoiseModel(nn.Module, ABC):
    """p(x | s): counts x given signal s, both in camera counts, per pixel.

    ``image`` in the methods below is a (B,) tensor that says to which of the model's curves each
    item of the batch belongs; models with one curve, and images that were not calibrated, ignore
    it or take the first.
    """

    kind: ClassVar[str]

    @abstractmethod
    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        """Variance of the counts at ``signal``; counts squared, same shape."""

    @abstractmethod
    def log_likelihood(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        """Log p(counts | signal) of each pixel in nats; finite for all finite input."""

    @abstractmethod
    def sample(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        """Noisy counts for ``signal``."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything needed to make this model again, without the kind."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The reverse of `to_json`."""

    @abstractmethod
    def describe(self) -> str:
        """One line for the user, with numbers."""

    @property
    def curves(self) -> int:
        """How many noise curves the model holds."""
        return 1

    def curve(self, image: Tensor | None = None) -> NoiseCurve | None:
        """The curve of each item of a batch, (B, 1, 1, 1), where it is a line with a floor."""
        return None

    def variance_curve(self, signal: np.ndarray, image: int = 0) -> np.ndarray:
        """`variance` for plotting: arrays in, arrays out."""
        with torch.no_grad():
            s = torch.as_tensor(signal, dtype=torch.float32).reshape(1, -1)
            v = self.variance(s.to(self._device), torch.tensor([image], device=self._device))
        return v.reshape(np.shape(signal)).cpu().numpy()

    @property
    def _device(self) -> torch.device:
        return next((b.device for b in (*self.parameters(), *self.buffers())), torch.device("cpu"))


def noise_model_from_json(data: dict[str, Any]) -> NoiseModel:
    """Make the noise model that a JSON object describes.

    Raises
    ------
    NoiseModelError
        If the kind is unknown, a field is missing or the version is newer than this program's.
    """
    from napari_hdn.core.noise.gaussian import Gaussian, LearnedGaussian
    from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian

    kinds: dict[str, type[NoiseModel]] = {
        m.kind: m for m in (Gaussian, LearnedGaussian, PoissonGaussian)
    }
    if not isinstance(data, dict) or "kind" not in data:
        raise NoiseModelError("This is no noise model of napari-hdn: it does not state its kind.")
    version = data.get("schema_version", 1)
    if not isinstance(version, int) or version > NOISE_SCHEMA_VERSION:
        raise NoiseModelError(
            f"The noise model was written by a newer napari-hdn (format {version}; this one reads up "
            f"to {NOISE_SCHEMA_VERSION}); update napari-hdn."
        )
    if data["kind"] not in kinds:
        raise NoiseModelError(f"Noise models of kind {data['kind']!r} are not known here.")
    try:
        return kinds[data["kind"]].from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise NoiseModelError(f"The noise model is damaged: {error!r}.") from error


def noise_model_to_json(model: NoiseModel) -> dict[str, Any]:
    """A JSON object with kind and version."""
    return {"schema_version": NOISE_SCHEMA_VERSION, "kind": model.kind, **model.to_json()}


def load_noise_model(path: Path) -> NoiseModel:
    """Read a ``noise_model.json``.

    Raises
    ------
    NoiseModelError
        If the file is missing or is no noise model.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoiseModelError(f"Noise model {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise NoiseModelError(f"{path.name} is not a noise model: it is not valid JSON.") from error
    return noise_model_from_json(data)


def gaussian_log_likelihood(residual: Tensor, variance: Tensor) -> Tensor:
    """Log N(residual; 0, variance)."""
    return -0.5 * (residual**2 / variance + torch.log(2 * torch.pi * variance))
