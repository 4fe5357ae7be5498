"""The interface of all noise models, and how they are written and read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.json_files import read_object
from napari_hdn.core.normalisation import NoiseCurve

NOISE_SCHEMA_VERSION = 1

_FAR = 1e4  # standard deviations from where on log-densities are straight
_MOST_NESTING = 32  # noise models that refine others
_NEAR = 20.0  # standard deviations up to which torch's log_ndtr is exact


@dataclass(frozen=True)
class Clipping:
    """Where a camera or an export cut the counts off.

    Parameters
    ----------
    low : float or None
        Pixels of these counts are black-clipped: their true counts were this or less.
    high : float or None
        Pixels of these counts are saturated: their true counts were this or more.
    step : float
        Grey-level step in counts; a level stands for half a step on either side of it.

    Raises
    ------
    NoiseModelError
        If the numbers are not finite, or not in order.
    """

    low: float | None = None
    high: float | None = None
    step: float = 0.0

    def __post_init__(self) -> None:
        given = [v for v in (self.low, self.high, self.step) if v is not None]
        if not all(math.isfinite(v) for v in given) or self.step < 0:
            raise NoiseModelError(f"Clipping levels must be finite numbers; got {self}.")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise NoiseModelError(
                f"Pixels cannot be clipped at {self.low:g} below and at {self.high:g} above."
            )

    @property
    def below(self) -> float:
        """Counts up to here are black-clipped."""
        return -math.inf if self.low is None else self.low + self.step / 2

    @property
    def above(self) -> float:
        """Counts from here on are saturated."""
        return math.inf if self.high is None else self.high - self.step / 2


class NoiseModel(nn.Module, ABC):
    """p(x | s): counts x given signal s, both in camera counts, per pixel.

    ``image`` in the methods below is a (B,) tensor that says to which of the model's curves each
    item of the batch belongs; models with one curve, and images that were not calibrated, ignore
    it or take the first.

    Attributes
    ----------
    clipping : Clipping or None
        Levels at which counts were cut off. There the likelihood is censored: the probability of
        all counts that would have been cut off to that level.
    source : str
        How the model came about, in words.
    structured : bool
        Whether the noise is known to be correlated between pixels, so that a network's lowest levels
        have something to learn of it.
    calibration : dict or None
        What the model was made from and how well it fits, as JSON; see
        `napari_hdn.core.calibration.record.Calibration`.
    """

    kind: ClassVar[str]

    def __init__(self, source: str = "given") -> None:
        super().__init__()
        self.source = source
        self.clipping: Clipping | None = None
        self.structured = False
        self.calibration: dict[str, Any] | None = None

    # what a model is made of

    @abstractmethod
    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        """Variance of the counts, before clipping, at ``signal``; counts squared, same shape."""

    @abstractmethod
    def log_density(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        """Log p of counts that were not cut off, in nats; finite for all finite input."""

    @abstractmethod
    def log_tails(
        self, edge: float | Tensor, signal: Tensor, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log of the probability of counts below ``edge`` and of counts above it; finite."""

    @abstractmethod
    def draw(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        """Noisy counts for ``signal``, before clipping."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything needed to make this model again, without what all kinds share."""

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

    @property
    def signal_range(self) -> tuple[float, float] | None:
        """Signals (counts) between which the model was measured; None where it has no limits."""
        return None

    def curve(self, image: Tensor | None = None) -> NoiseCurve | None:
        """The line in whose units the network sees each item of a batch, (B, 1, 1, 1).

        None where the noise does not depend on the signal.
        """
        return None

    # what all models share

    def log_likelihood(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        """Log p(counts | signal) of each pixel in nats; finite for all finite input.

        Parameters
        ----------
        counts, signal : Tensor
            (B, 1, Y, X) or of any other shape, the same for both.
        image : Tensor, optional
            (B,) which curve each item belongs to.
        """
        log_p = self.log_density(counts, signal, image)
        if self.clipping is None:
            return log_p
        if self.clipping.low is not None:
            below, _ = self.log_tails(self.clipping.below, signal, image)
            log_p = torch.where(counts <= self.clipping.below, below, log_p)
        if self.clipping.high is not None:
            _, above = self.log_tails(self.clipping.above, signal, image)
            log_p = torch.where(counts >= self.clipping.above, above, log_p)
        return log_p

    def sample(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        """Noisy counts for ``signal``, cut off where the camera does."""
        counts = self.draw(signal, rng, image)
        if self.clipping is None:
            return counts
        return counts.clamp(min=self.clipping.low, max=self.clipping.high)

    def variance_curve(self, signal: np.ndarray, image: int = 0) -> np.ndarray:
        """`variance` for plotting: (n,) signals in, (n,) counts squared out."""
        with torch.no_grad():
            s = torch.as_tensor(signal, dtype=torch.float32).reshape(1, -1)
            v = self.variance(s.to(self._device), torch.tensor([image], device=self._device))
        return v.reshape(np.shape(signal)).cpu().numpy()

    def density_curve(self, counts: np.ndarray, signal: float, image: int = 0) -> np.ndarray:
        """p(x | s) at one signal for plotting: (n,) counts in, (n,) densities per count out."""
        with torch.no_grad():
            x = torch.as_tensor(counts, dtype=torch.float32).reshape(1, -1).to(self._device)
            at = torch.tensor([image], device=self._device)
            log_p = self.log_density(x, torch.full_like(x, signal), at)
        return torch.exp(log_p).reshape(np.shape(counts)).cpu().numpy()

    @property
    def _device(self) -> torch.device:
        return next((b.device for b in (*self.parameters(), *self.buffers())), torch.device("cpu"))


def _kinds() -> dict[str, type[NoiseModel]]:
    from napari_hdn.core.noise.gaussian import Gaussian, LearnedGaussian
    from napari_hdn.core.noise.gmm import GaussianMixture
    from napari_hdn.core.noise.histogram import Histogram
    from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
    from napari_hdn.core.noise.refined import Refined

    kinds: tuple[type[NoiseModel], ...] = (
        *(Gaussian, LearnedGaussian, PoissonGaussian),
        *(GaussianMixture, Histogram, Refined),
    )
    return {m.kind: m for m in kinds}


def noise_model_from_json(data: dict[str, Any]) -> NoiseModel:
    """Make the noise model that a JSON object describes.

    Raises
    ------
    NoiseModelError
        If the kind is unknown, a field is missing or the version is newer than this program's.
    """
    kinds = _kinds()
    if not isinstance(data, dict) or "kind" not in data:
        raise NoiseModelError("This is no noise model of napari-hdn: it does not state its kind.")
    version = data.get("schema_version", 1)
    if not isinstance(version, int) or version > NOISE_SCHEMA_VERSION:
        raise NoiseModelError(
            f"The noise model was written by a newer napari-hdn (format {str(version)[:20]}; this one "
            f"reads up to {NOISE_SCHEMA_VERSION}); update napari-hdn."
        )
    if not isinstance(data["kind"], str) or data["kind"] not in kinds:
        raise NoiseModelError(
            f"Noise models of kind {str(data['kind'])[:40]!r} are not known here."
        )
    if _nesting(data) > _MOST_NESTING:
        raise NoiseModelError(
            f"The noise model is damaged: it holds more than {_MOST_NESTING} others, one in another."
        )
    try:
        model = kinds[data["kind"]].from_json(data)
        model.source = str(data.get("source", "given"))
        model.structured = bool(data.get("structured", False))
        if data.get("clipping") is not None:
            levels = {k: None if v is None else float(v) for k, v in data["clipping"].items()}
            model.clipping = Clipping(**levels)  # type: ignore[arg-type]
        calibration = data.get("calibration")
        if calibration is not None and not isinstance(calibration, dict):
            raise TypeError("calibration is no object")
        model.calibration = calibration
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise NoiseModelError(f"The noise model is damaged: {error!r:.200}.") from error
    return model


def _nesting(data: dict[str, Any]) -> int:
    """How many noise models lie one in another; no further than matters."""
    depth, layer = 0, [data]
    while layer and depth <= _MOST_NESTING:
        within = (model.get(key) for model in layer for key in ("inner", "units"))
        layer = [model for model in within if isinstance(model, dict)]
        depth += 1
    return depth


def noise_model_to_json(model: NoiseModel) -> dict[str, Any]:
    """A JSON object with kind, version and all that belongs to the model."""
    shared = {
        "schema_version": NOISE_SCHEMA_VERSION,
        "kind": model.kind,
        "source": model.source,
        "structured": model.structured,
        "clipping": None if model.clipping is None else asdict(model.clipping),
    }
    calibration = {} if model.calibration is None else {"calibration": model.calibration}
    return {**shared, **model.to_json(), **calibration}


def load_noise_model(path: Path) -> NoiseModel:
    """Read a ``noise_model.json``, or an ``.npz`` of the earlier tools.

    Raises
    ------
    NoiseModelError
        If the file is missing or is no noise model.
    """
    if path.suffix.lower() == ".npz":
        from napari_hdn.core.noise.npz import read_npz

        return read_npz(path)
    try:
        data = read_object(path)
    except OSError as error:
        raise NoiseModelError(f"Noise model {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise NoiseModelError(
            f"{path.name} is not a noise model: it is not valid JSON ({error})."
        ) from error
    return noise_model_from_json(data)


def gaussian_log_likelihood(residual: Tensor, variance: Tensor) -> Tensor:
    """Log N(residual; 0, variance); beyond 10,000 sigma its tangent, whose gradient stays finite."""
    z = residual / torch.sqrt(variance)
    near = z.clamp(-_FAR, _FAR)
    return near * (0.5 * near - z) - 0.5 * torch.log(2 * torch.pi * variance)


def log_normal_cdf(z: Tensor) -> Tensor:
    """Log of the standard normal distribution function, with a gradient that is right for any z.

    torch's own `torch.special.log_ndtr` (tried, 2.13) has float32 gradients that are 2 % off at
    z = -360, and infinite, 0 or NaN below -46,000; hence an asymptotic series, and its tangent
    beyond 10,000.
    """
    far = z.clamp(-_FAR, -_NEAR)
    series = far * (0.5 * far - z) - torch.log(-far) - 0.5 * math.log(2 * math.pi) - far**-2
    return torch.where(z < -_NEAR, series, torch.special.log_ndtr(z.clamp(min=-_NEAR)))
