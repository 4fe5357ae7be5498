"""Gaussian mixture (GMM): noise of any shape, as normal distributions that change with the signal.

The mixture of Prakash, Lalit, Tomancak, Krull & Jug (2020, "Fully unsupervised probabilistic
Noise2Void") that users' ``.npz`` files hold. With t = (s - min) / (max - min), clamped to 0..1, and
polynomials in t, component k has

    weight    alpha_k = softmax over k of poly_k(t)
    mean      s + poly_k(t) - sum over k of alpha_k poly_k(t), so that the mixture's mean is s
    variance  sum over i of exp(w_ki) t^i, at least ``min_sigma``
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.base import NoiseModel, log_normal_cdf
from napari_hdn.core.noise.curves import MeasuredCurve
from napari_hdn.core.noise.mixture import (
    LARGEST_VARIANCE,
    Likelihood,
    Share,
    mixture,
    mixture_log_density,
    start,
)
from napari_hdn.core.noise.pairs import known_signal, line_through
from napari_hdn.core.normalisation import NoiseCurve

MAX_COMPONENTS = 64
MAX_COEFFICIENTS = 16
MAX_PAIRS = 150_000  # that a fit looks at; fewer where there are more than 3 components

_LARGEST_WEIGHT = 1e12

_STARTS = 3
_START_PAIRS = 10_000
_START_ITERATIONS = 40
_ITERATIONS = 300


class GaussianMixture(NoiseModel):
    """A mixture of K normal distributions around the signal; its mean is the signal.

    Parameters
    ----------
    weight : array-like
        (3 K, coefficients): rows of polynomial coefficients, the constant first. K rows for the
        means (counts), K for the logarithms of the variances' coefficients (counts squared), K for
        the mixture's weights.
    min_signal, max_signal : float
        Signals (counts) between which the polynomials hold; beyond them the noise is that of the
        nearer end.
    min_sigma : float
        The least variance of a component, counts squared; files call it so, though it is no sigma.
        Variances are also kept between 1e-10 and 1e24 counts squared, where float32 can hold them
        and all gradients.
    line : tuple of float, optional
        (gain, offset, floor) of the line in whose units the network sees counts. Without it, the
        line closest to the mixture's variance between ``min_signal`` and ``max_signal``.
    source : str
        How the model came about, in words.

    Raises
    ------
    NoiseModelError
        If ``weight`` has another shape, or a number is not finite or makes no noise model.
    """

    kind: ClassVar[str] = "gmm"

    def __init__(
        self,
        weight: np.ndarray | Sequence[Sequence[float]],
        min_signal: float,
        max_signal: float,
        min_sigma: float,
        *,
        line: tuple[float, float, float] | None = None,
        source: str = "given",
    ) -> None:
        super().__init__(source)
        table = _checked_weight(weight)
        _check_range(min_signal, max_signal, min_sigma)
        self.weight: Tensor  # (3 K, coefficients)
        self.min_signal: Tensor
        self.max_signal: Tensor
        self.min_sigma: Tensor
        self.line: Tensor  # gain, offset, floor
        self.register_buffer("weight", torch.as_tensor(table, dtype=torch.float32))
        for name, value in (
            ("min_signal", min_signal),
            ("max_signal", max_signal),
            ("min_sigma", min_sigma),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        given = self._closest_line() if line is None else line
        if len(given) != 3 or not np.isfinite(given).all() or given[2] <= 0:
            raise NoiseModelError(
                f"The line of a GMM needs a finite gain and offset and a positive floor, not {given}."
            )
        self.register_buffer("line", torch.tensor(given, dtype=torch.float32))

    @property
    def components(self) -> int:
        """How many normal distributions are mixed."""
        return len(self.weight) // 3

    @property
    def signal_range(self) -> tuple[float, float]:
        return float(self.min_signal), float(self.max_signal)

    def curve(self, image: Tensor | None = None) -> NoiseCurve:
        return NoiseCurve(*self.line)

    def _closest_line(self) -> tuple[float, float, float]:
        signal = np.linspace(*self.signal_range, 256)
        line = line_through(signal, self.variance_curve(signal).astype(np.float64))
        return line.gain, line.offset, line.floor

    def _mixture(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t = (signal - self.min_signal) / (self.max_signal - self.min_signal)
        return mixture(self.weight, t.clamp(0, 1), self.min_sigma)

    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        log_alpha, shift, variance = self._mixture(signal)
        return (torch.exp(log_alpha) * (variance + shift**2)).sum(0)

    def log_density(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        return mixture_log_density(counts - signal, *self._mixture(signal))

    def log_tails(
        self, edge: float | Tensor, signal: Tensor, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        log_alpha, shift, variance = self._mixture(signal)
        z = ((edge - signal) - shift) / torch.sqrt(variance)
        below = torch.logsumexp(log_alpha + log_normal_cdf(z), 0)
        return below, torch.logsumexp(log_alpha + log_normal_cdf(-z), 0)

    def draw(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        log_alpha, shift, variance = self._mixture(signal)
        u, e = (
            make(signal.shape, generator=rng, device=signal.device)
            for make in (torch.rand, torch.randn)
        )
        which = (u > torch.exp(log_alpha).cumsum(0)[:-1]).sum(0, keepdim=True)
        mean = signal + shift.gather(0, which)[0]
        return mean + torch.sqrt(variance.gather(0, which)[0]) * e

    def to_json(self) -> dict[str, Any]:
        numbers = {n: float(getattr(self, n)) for n in ("min_signal", "max_signal", "min_sigma")}
        return {"weight": self.weight.tolist(), **numbers, "line": self.line.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        line = data.get("line")
        return cls(
            data["weight"],
            *(float(data[name]) for name in ("min_signal", "max_signal", "min_sigma")),
            line=None if line is None else tuple(float(v) for v in line),  # type: ignore[arg-type]
        )

    def describe(self) -> str:
        low, high = self.signal_range
        sigma = np.sqrt(self.variance_curve(np.array([low, high])))
        return (
            f"Gaussian mixture (GMM) of {self.components}, sigma {sigma[0]:.3g} to {sigma[1]:.3g} "
            f"counts for signals of {low:.4g} to {high:.4g} ({self.source})"
        )


def _checked_weight(weight: Any) -> np.ndarray:
    try:
        table = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NoiseModelError("The coefficients of a GMM must be a table of numbers.") from error
    shape = " x ".join(str(n) for n in table.shape) or "a single number"
    if table.ndim != 2 or table.shape[0] % 3 or 0 in table.shape:
        raise NoiseModelError(
            "The coefficients of a GMM must be a table with three rows for each component (mean, "
            f"log-variance, weight) and a column for each coefficient; this one is {shape}."
        )
    if table.shape[0] > 3 * MAX_COMPONENTS or table.shape[1] > MAX_COEFFICIENTS:
        raise NoiseModelError(
            f"A GMM may have up to {MAX_COMPONENTS} components of {MAX_COEFFICIENTS} coefficients; "
            f"this table is {shape}."
        )
    bad = int(np.count_nonzero(~(np.abs(table) <= _LARGEST_WEIGHT)))
    if bad:
        raise NoiseModelError(
            f"{bad} of the {table.size} coefficients of the GMM are not finite, or beyond 1e12."
        )
    return table


def _check_range(min_signal: float, max_signal: float, min_sigma: float) -> None:
    if not (abs(min_signal) <= 1e12 and abs(max_signal) <= 1e12):
        raise NoiseModelError(
            f"The signals of a GMM must be finite, up to 1e12 counts; they are {min_signal:g} to "
            f"{max_signal:g}."
        )
    if not np.float32(min_signal) < np.float32(max_signal):
        raise NoiseModelError(
            f"The least signal of a GMM must be below its largest; they are {min_signal:g} and "
            f"{max_signal:g}."
        )
    if not 0 <= min_sigma <= LARGEST_VARIANCE:
        raise NoiseModelError(
            f"The least variance (min_sigma) of a GMM must be 0 or more counts², not {min_sigma:g}."
        )


def fit_gmm(
    counts: np.ndarray,
    signal: np.ndarray,
    *,
    components: int = 3,
    coefficients: int = 3,
    floor: float,
    step: float = 0.0,
    seed: int = 0,
    curve: MeasuredCurve | None = None,
    stop: Stop | None = None,
    tell: Callable[[float], None] | None = None,
) -> GaussianMixture:
    """Maximum likelihood of a mixture for counts whose signal is known.

    Of more than `MAX_PAIRS` pairs a part is used, spread evenly over signals in units of their noise,
    so that rare bright signals count. L-BFGS starts from a line fit of the variance, a few times on
    few pairs, and goes on from the best with all. No pixel is left out, however extreme.

    Parameters
    ----------
    counts, signal : ndarray
        (n,) counts of pixels, and their signals.
    components, coefficients : int
        Normal distributions, and polynomial coefficients for each of their properties.
    floor : float
        The least variance of a component, counts squared.
    step : float
        Grey-level step of the counts, 0 where they are continuous. What rounding to it added to the
        variance (step² / 12) is taken off, but not where grey levels are photons.
    seed : int
        Same seed, same model.
    curve : MeasuredCurve, optional
        Variance measured on many more pixels than the pairs: that of the mixture is held to it.
    stop : Stop, optional
    tell : callable, optional
        Called with how much is done, 0..1.

    Raises
    ------
    NoiseModelError
        If the pairs are too few, not finite or all of one signal.
    StoppedEarly
        If ``stop`` was requested.
    """
    check_stop(stop)
    pairs = known_signal(counts, signal, floor=floor, step=step, seed=seed)
    likelihood = Likelihood(pairs, components, floor, stop, curve)
    some = pairs.spread(_START_PAIRS, seed)
    most = pairs.spread(MAX_PAIRS * 3 // max(components, 3), seed)
    share = Share(tell, _STARTS * _START_ITERATIONS * len(some) + _ITERATIONS * len(most))

    rng = np.random.default_rng(seed)
    ends = []
    for _ in range(_STARTS if components > 1 else 1):
        begin = start(pairs, components, coefficients, floor, rng)
        ends.append(likelihood.maximise(begin, some, _START_ITERATIONS, share))
    best = min(ends, key=lambda end: end[0])[1]
    _, best = likelihood.maximise(best, most, _ITERATIONS, share)
    if tell is not None:
        tell(1.0)
    return GaussianMixture(likelihood.weight(best), *pairs.signal_range, floor)
