"""Counts whose signal is known, as fits of whole distributions take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.curves import (
    MeasuredCurve,
    NoiseLine,
    counts_photons,
    curve_of_moments,
    fit_line,
)
from napari_hdn.core.normalisation import NoiseCurve

LEAST_PAIRS = 500
_STRATA = 64


@dataclass(frozen=True)
class KnownSignal:
    """Counts x with their signals s, ready for a fit.

    Attributes
    ----------
    counts : ndarray
        (n,) float64; dithered, where they come in grey levels, by up to half a level to either side.
        Without it (tried) a component of a mixture collapses onto a grey level.
    signal : ndarray
        (n,) float64 counts.
    line : NoiseLine
        First guess of the noise: variance against signal.
    coarseness : float
        Variance that rounding and dither have added to that of the noise, counts squared.
    rounding : float
        Of it, what rounding has added.
    """

    counts: np.ndarray
    signal: np.ndarray
    line: NoiseLine
    coarseness: float
    rounding: float = 0.0

    @property
    def signal_range(self) -> tuple[float, float]:
        """Least and largest signal in counts."""
        return float(self.signal.min()), float(self.signal.max())

    @property
    def curve(self) -> NoiseCurve:
        """The line, to measure signals in units of their noise with; float64."""
        numbers = (self.line.gain, self.line.offset, self.line.floor)
        return NoiseCurve(*(torch.tensor(v, dtype=torch.float64) for v in numbers))

    def spread(self, most: int, seed: int) -> np.ndarray:
        """Indices of at most ``most`` pairs, in order, spread evenly over signals in units of noise.

        Even in counts, hardly any of the background would be left, which is most of an image; as they
        come, hardly any of the bright signals.
        """
        return spread_evenly(
            self.curve.stabilise(torch.from_numpy(self.signal)).numpy(), most, seed
        )


def known_signal(
    counts: np.ndarray, signal: np.ndarray, *, floor: float, step: float, seed: int
) -> KnownSignal:
    """Check pairs, dither them and measure their line.

    Raises
    ------
    NoiseModelError
        If they differ in number, are few, not finite, or have a single signal.
    """
    x, s = (np.asarray(v, dtype=np.float64).reshape(-1) for v in (counts, signal))
    if len(x) != len(s):
        raise NoiseModelError(f"{len(x)} counts cannot be paired with {len(s)} signals.")
    if not (np.isfinite(floor) and floor > 0 and np.isfinite(step) and step >= 0):
        raise NoiseModelError(
            f"The least variance must be above 0 and the grey-level step not below it; got {floor} "
            f"and {step}."
        )
    if len(x) < LEAST_PAIRS:
        raise NoiseModelError(
            f"{len(x)} pixels with a known signal are too few for this noise model, which needs "
            f"{LEAST_PAIRS}; choose Poisson-Gaussian or give more images."
        )
    bad = np.count_nonzero(~(np.isfinite(x) & np.isfinite(s)))
    if bad:
        raise NoiseModelError(f"{bad} of {len(x)} pixels with a known signal are not finite.")
    if not np.ptp(s) > 3e-5 * np.abs(s).max():  # float32 could not tell the signals apart
        raise NoiseModelError(
            f"The signal is {s[0]:g} counts everywhere; this noise model needs dark and bright pixels. "
            "Choose a Gaussian noise model, or give images with structure."
        )
    curve = curve_of_moments(s, (x - s) ** 2, 1, step)
    line = fit_line(curve, step) or NoiseLine(
        0.0, max(float(np.mean((x - s) ** 2)), floor), floor, 0
    )
    rounding = 0.0 if counts_photons(line, step) else step**2 / 12
    if step > 0:
        x = x + step * np.random.default_rng(seed).uniform(-0.5, 0.5, len(x))
    return KnownSignal(x, s, line, rounding + step**2 / 12, rounding)


def spread_evenly(values: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Indices of at most ``most`` values, in order, of which none are left out where they are rare.

    The range of the values is cut into strata of the same width; those that hold more than their
    share give a random part.
    """
    if len(values) <= most:
        return np.arange(len(values))
    edges = np.linspace(values.min(), values.max(), _STRATA + 1)
    stratum = np.digitize(values, edges[1:-1])
    share = _even_share(np.bincount(stratum, minlength=_STRATA), most)
    order = np.random.default_rng(seed).permutation(len(values))
    order = order[np.argsort(stratum[order], kind="stable")]
    sizes = np.bincount(stratum, minlength=_STRATA)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < share])


def _even_share(sizes: np.ndarray, most: int) -> int:
    """The largest number that each may give without all giving more than ``most``."""
    ascending = np.sort(sizes)
    left = most
    for k, size in enumerate(ascending):
        share = left // (len(ascending) - k)
        if size > share:
            return share
        left -= int(size)
    return int(ascending[-1])


def line_through(signal: np.ndarray, variance: np.ndarray) -> NoiseLine:
    """The line closest to a variance curve (relative least squares), with a positive least variance.

    Parameters
    ----------
    signal : ndarray
        (n,) counts.
    variance : ndarray
        (n,) counts squared, all above 0.
    """
    low, width = float(signal.min()), float(np.ptp(signal))
    ones = np.ones_like(signal)
    # signals far from 0 with a small range would make the fit's equations singular
    curve = MeasuredCurve((signal - low) / width, variance, ones, 0 * ones)
    line = fit_line(curve, 0.0)
    if line is None:
        mean = float(np.mean(variance))
        return NoiseLine(0.0, mean, 0.5 * mean, 0.0)
    gain = line.gain / width
    return NoiseLine(gain, line.offset - gain * low, line.floor, line.gain_error / width)
