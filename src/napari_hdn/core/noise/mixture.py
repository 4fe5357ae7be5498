"""The formula of Gaussian mixtures that change with the signal, and how its likelihood is maximised.

Pure functions of a table of coefficients; `napari_hdn.core.noise.gmm` says what they mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.base import gaussian_log_likelihood
from napari_hdn.core.noise.curves import MeasuredCurve
from napari_hdn.core.noise.pairs import KnownSignal

# Variances between these are what files mean; beyond them float32 overflows in some gradient.
LEAST_VARIANCE, LARGEST_VARIANCE = 1e-10, 1e24
VARIANCE_NATS = 5.0  # what a variance that is wrong by a factor of e costs, squared


def mixture(weight: Tensor, t: Tensor, min_sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """Log-weights, means less the signal, and variances of all components at ``t`` in 0..1.

    Each is (K, *t.shape), in nats, counts and counts squared.
    """
    means, log_variances, log_odds = weight.chunk(3)
    alpha = _polynomial(log_odds, t)
    log_alpha = torch.log_softmax(alpha, 0)
    mean = _polynomial(means, t)
    shift = mean - (torch.exp(log_alpha) * mean).sum(0)
    terms = torch.exp(log_variances.clamp(max=float(np.log(LARGEST_VARIANCE))))
    least = torch.as_tensor(min_sigma, dtype=t.dtype, device=t.device).clamp(min=LEAST_VARIANCE)
    variance = torch.maximum(_polynomial(terms, t), least).clamp(max=LARGEST_VARIANCE)
    return log_alpha, shift, variance


def mixture_log_density(
    residual: Tensor, log_alpha: Tensor, shift: Tensor, variance: Tensor
) -> Tensor:
    """Log p of counts less signal; by log-sum-exp, so that no gradient dies far from the signal."""
    return torch.logsumexp(log_alpha + gaussian_log_likelihood(residual - shift, variance), 0)


def _polynomial(coefficients: Tensor, t: Tensor) -> Tensor:
    """(K, C) coefficients, the constant first, at ``t``: (K, *t.shape), by Horner's rule."""
    c = coefficients.reshape(*coefficients.shape, *[1] * t.ndim)
    value = c[:, -1].expand(-1, *t.shape)
    for i in range(c.shape[1] - 2, -1, -1):
        value = value * t + c[:, i]
    return value


class Share:
    """Tells how much of a fit is done, in pairs looked at."""

    def __init__(self, tell: Callable[[float], None] | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def add(self, pairs: int) -> None:
        """Another look at so many pairs."""
        self._done += pairs
        if self._tell is not None:
            self._tell(min(self._done / self._total, 0.99))


class Likelihood:
    """-log p per pair of a mixture, as a function of its coefficients.

    The optimiser sees the means' coefficients in units of the noise, so that all numbers that it
    varies are about 1. A measured ``curve`` holds the mixture's variance to what it says.
    """

    def __init__(
        self,
        pairs: KnownSignal,
        components: int,
        floor: float,
        stop: Stop | None,
        curve: MeasuredCurve | None = None,
    ) -> None:
        low, high = pairs.signal_range
        self._t = torch.from_numpy((pairs.signal - low) / (high - low))
        self._residual = torch.from_numpy(pairs.counts - pairs.signal)
        self._components, self._floor, self._stop = components, floor, stop
        self._coarseness = pairs.coarseness
        self._unit = _typical_sigma(pairs, floor)
        self._curve: tuple[Tensor, Tensor, Tensor] | None = None
        if curve is not None:
            t = torch.from_numpy((curve.signal - low) / (high - low)).clamp(0, 1)
            less = np.maximum(curve.variance - pairs.rounding, floor)
            weight = torch.from_numpy(curve.number / curve.number.sum())
            self._curve = t, torch.from_numpy(np.log(less)), weight
        largest = float(np.log(max(float(pairs.line.variance(np.array([low, high])).max()), floor)))
        # beyond these a component has no weight or no width in any data
        self._bounds = ((-1e3, 1e3), (largest - 20, largest + 10), (-50.0, 50.0))

    def weight(self, theta: np.ndarray) -> np.ndarray:
        """(3 K, C) coefficients of the model."""
        table = theta.reshape(3 * self._components, -1).copy()
        table[: self._components] *= self._unit
        return table

    def maximise(
        self, begin: np.ndarray, which: np.ndarray, iterations: int, share: Share
    ) -> tuple[float, np.ndarray]:
        """-log p at its least and the parameters there, for the pairs ``which``."""
        t, residual = self._t[which], self._residual[which]
        units = torch.ones(3 * self._components, 1, dtype=torch.float64)
        units[: self._components] = self._unit

        def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
            check_stop(self._stop)
            with torch.enable_grad():
                parameters = torch.from_numpy(theta).requires_grad_()
                weight = parameters.reshape(len(units), -1) * units
                log_alpha, shift, variance = mixture(weight, t, self._floor)
                parts = log_alpha, shift, variance + self._coarseness
                loss = -mixture_log_density(residual, *parts).mean()
                if self._curve is not None:
                    loss = loss + self._misfit(weight, *self._curve)
                (gradient,) = torch.autograd.grad(loss, parameters)
            share.add(len(which))
            return float(loss.detach()), gradient.numpy()

        rows = np.repeat(np.array(self._bounds), self._components, axis=0)  # (3 K, 2)
        bounds = np.repeat(rows, begin.size // len(rows), axis=0)
        end = minimize(
            value_and_gradient,
            begin,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={
                **{"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20},
                **{"ftol": 2e-9, "gtol": 1e-7},
            },
        )
        return float(end.fun), np.asarray(end.x)

    def _misfit(self, weight: Tensor, at: Tensor, measured: Tensor, share: Tensor) -> Tensor:
        """How far the mixture's variance is from the measured one, in nats per pair.

        Where few Gaussians cannot follow the shape, the largest likelihood trades variance for it
        (7 % on multiplied electrons at few photons); denoising needs the variance more.
        """
        log_alpha, shift, variance = mixture(weight, at, self._floor)
        whole = (torch.exp(log_alpha) * (variance + shift**2)).sum(0)
        return VARIANCE_NATS * torch.sum(share * (torch.log(whole) - measured) ** 2)


def _typical_sigma(pairs: KnownSignal, floor: float) -> float:
    variance = float(pairs.line.variance(float(np.median(pairs.signal))))
    return float(np.sqrt(max(variance, floor)))


def start(
    pairs: KnownSignal,
    components: int,
    coefficients: int,
    floor: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The line's variance in all components, with random differences between them.

    With the same parameters in all of them the gradient would keep them the same.
    """
    low, high = pairs.signal_range
    at_low = max(float(pairs.line.variance(low)), floor)
    theta = np.zeros((3, components, coefficients))
    theta[0, :, 0] = 0.5 * rng.standard_normal(components)
    theta[1, :, 0] = np.log(at_low)
    if coefficients > 1:
        theta[1, :, 1:] = np.log(0.02 * at_low)
        theta[1, :, 1] = np.log(max(pairs.line.gain * (high - low), 0.02 * at_low))
        theta[0, :, 1] = theta[0, :, 0] * (np.sqrt(pairs.line.variance(high) / at_low) - 1)
    theta[1] += 0.3 * rng.standard_normal((components, 1))
    theta[2, :, 0] = 0.3 * rng.standard_normal(components)
    if components == 1:
        theta[0] = theta[2] = 0
    return theta.reshape(-1)
