"""Noise curves: variance in bins of the signal as measured, and the line fitted to it.

A *curve* here is what was measured in bins of the signal; a *line* is the fit to it. All in counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 24
MIN_PER_BIN = 60
MIN_PIXELS = 8  # in a bin of pixels that were seen many times
KEPT = 0.995  # share of the differences that moments are taken of, without the edges of structures
KEPT_VARIANCE = 0.956  # of a normal distribution, within its central 99.5 %
TOP_SHARES = (0.99, 0.996, 0.9985, 0.9995, 1.0)  # the bright end, where few pixels are


@dataclass(frozen=True)
class MeasuredCurve:
    """Noise variance measured in bins of the signal."""

    signal: np.ndarray  # (bins,) counts
    variance: np.ndarray  # (bins,) counts squared
    number: np.ndarray  # (bins,) independent values in each bin
    rounding: np.ndarray  # (bins,) of the variance, what rounding to grey levels may have added

    @property
    def error(self) -> np.ndarray:
        """(bins,) standard error of the variance, as for normal noise; counts squared."""
        return self.variance * np.sqrt(2 / np.maximum(self.number, 1))

    def scaled(self, factor: float) -> MeasuredCurve:
        """The curve with variances ``factor`` times as large."""
        return MeasuredCurve(
            self.signal, factor * self.variance, self.number, factor * self.rounding
        )

    def joined(self, other: MeasuredCurve) -> MeasuredCurve:
        """Both curves' bins."""
        return pool([self, other])


@dataclass(frozen=True)
class NoiseLine:
    """variance = gain * s + offset, at least ``floor``; ``error`` is the gain's standard error."""

    gain: float
    offset: float
    floor: float
    gain_error: float

    def variance(self, signal: np.ndarray | float) -> np.ndarray:
        """Variance in counts² at a signal."""
        return np.maximum(self.gain * np.asarray(signal) + self.offset, self.floor)


def bin_variance(
    around: np.ndarray,
    difference: np.ndarray,
    step: float,
    *,
    own: np.ndarray,
    flatness: np.ndarray,
    independent: float = 1.0,
) -> MeasuredCurve:
    """Variance of noise differences in quantile bins of the signal.

    Parameters
    ----------
    around : ndarray
        (n,) brightness by which pixels are sorted into bins, counts.
    difference : ndarray
        (n,) values with mean 0 and the noise's variance.
    step : float
        Grey-level step in counts.
    own : ndarray
        (n,) counts whose mean is the signal of a bin; their noise is not that of ``around``.
    flatness : ndarray
        (n,) small where the image is flat; only the flatter half of each bin is used.
    independent : float
        Fraction of the values that are independent of each other.
    """
    bins = max(1, min(BINS, len(around) // (2 * MIN_PER_BIN)))
    order = np.argsort(around, kind="stable")
    edges = np.linspace(0, len(order), bins + 1).astype(int)
    rows = []
    for start, stop in itertools.pairwise(edges):
        members = order[start:stop]
        half = len(members) // 2
        if half < MIN_PER_BIN:
            continue
        members = members[np.argpartition(flatness[members], half)[:half]]
        # moments, without the edges of structures: the median of absolute deviations (tried) misses
        # the tail that noise has where photons are few, and jumps between grey levels
        size = np.abs(difference[members])
        kept = size[size <= np.quantile(size, KEPT)].astype(np.float64)
        variance = float(np.mean(kept**2)) / KEPT_VARIANCE
        number = independent * len(members)
        rows.append((float(np.mean(own[members])), variance, number, step**2 / 12))
    return curve_of_rows(rows)


def curve_of_rows(rows: list[tuple[float, float, float, float]]) -> MeasuredCurve:
    """A curve of (signal, variance, number, rounding) for each bin."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return MeasuredCurve(*table.T)


def fit_line(curve: MeasuredCurve, step: float) -> NoiseLine | None:
    """Weighted fit of variance = gain * s + offset; None where there are too few bins.

    The weights n / variance^2 follow from the error of a variance, iterated with the fit's own
    variances. A negative gain is replaced by the constant that fits best. What rounding to grey
    levels added (step^2 / 12) is taken off, but not where grey levels are photons: a variance that
    is the signal itself, in steps, was not rounded.
    """
    if len(curve.signal) < 3 or not curve.variance.max() > 0:
        return None
    line = _fit(curve, curve.variance, step)
    if line is None or not curve.rounding.any() or counts_photons(line, step):
        return line
    least = np.maximum(curve.rounding, 1e-12)
    return _fit(curve, np.maximum(curve.variance - curve.rounding, least), step)


def counts_photons(line: NoiseLine, step: float) -> bool:
    """Whether a grey level is a photon: the variance is the signal itself, in steps."""
    return step > 0 and abs(line.gain / step - 1) < 0.25 and abs(line.offset) < 0.25 * step**2


def _fit(curve: MeasuredCurve, v: np.ndarray, step: float) -> NoiseLine | None:
    s, n = curve.signal, curve.number
    floor = max(0.5 * float(np.min(v[v > 0])), step**2 / 12, 1e-8 * float(np.max(v)))
    fitted = np.maximum(v, floor)
    gain = offset = 0.0
    error = np.inf
    for _ in range(8):
        weights = n / (2 * fitted**2)  # 1 / variance of a variance estimate
        design = np.stack([s, np.ones_like(s)], axis=1)
        normal = design.T @ (weights[:, None] * design)
        if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e18:
            return None
        gain, offset = np.linalg.solve(normal, design.T @ (weights * v))
        residual = (v - gain * s - offset) * np.sqrt(weights)
        spread = max(1.0, float(residual @ residual) / max(1, len(s) - 2))
        error = float(np.sqrt(np.linalg.inv(normal)[0, 0] * spread))
        fitted = np.maximum(gain * s + offset, floor)
    if gain < 0:
        gain, offset = 0.0, float(np.average(v, weights=n))
    return NoiseLine(float(gain), float(offset), floor, error)


def curve_of_moments(
    signal: np.ndarray,
    squares: np.ndarray,
    number: int,
    step: float,
    *,
    sort_by: np.ndarray | None = None,
) -> MeasuredCurve:
    """Noise curve of pixels whose own signal is known.

    Parameters
    ----------
    signal : ndarray
        (n,) counts.
    squares : ndarray
        (n,) variance measured at each pixel, counts squared.
    number : int
        Independent values behind each.
    step : float
        Grey-level step in counts.
    sort_by : ndarray, optional
        (n,) what pixels are put into bins by, if the signal is noisy itself.
    """
    order = np.argsort(signal if sort_by is None else sort_by, kind="stable")
    least = max(MIN_PIXELS, MIN_PER_BIN // number)
    bins = min(BINS, len(order) // least)
    shares = np.concatenate([np.linspace(0, 0.98, max(2, bins)), TOP_SHARES])
    edges = np.unique((shares * len(order)).astype(int))
    rows = []
    for start, stop in itertools.pairwise(edges):
        members = order[start:stop]
        if len(members) >= least:
            at, variance = float(signal[members].mean()), float(squares[members].mean())
            rows.append((at, variance, float(len(members) * number), step**2 / 12))
    return curve_of_rows(rows)


def pool(curves: Sequence[MeasuredCurve]) -> MeasuredCurve:
    """Measured curves of images that share one noise curve, put together."""
    return MeasuredCurve(
        np.concatenate([c.signal for c in curves]),
        np.concatenate([c.variance for c in curves]),
        np.concatenate([c.number for c in curves]),
        np.concatenate([c.rounding for c in curves]),
    )


def merged(curves: Sequence[MeasuredCurve], bins: int = 2 * BINS) -> MeasuredCurve:
    """Curves that share one noise curve, put together in few bins of the signal, for a plot.

    Bins hold as many of the measured points each, in order of the signal, averaged by their numbers.
    """
    every = pool(curves)
    if len(every.signal) <= bins:
        order = np.argsort(every.signal)
        return MeasuredCurve(*(v[order] for v in _columns(every)))
    order = np.argsort(every.signal, kind="stable")
    rows = []
    for members in np.array_split(order, bins):
        n = every.number[members]
        signal, variance, rounding = (
            float(np.average(v[members], weights=n))
            for v in (every.signal, every.variance, every.rounding)
        )
        rows.append((signal, variance, float(n.sum()), rounding))
    return curve_of_rows(rows)


def _columns(curve: MeasuredCurve) -> tuple[np.ndarray, ...]:
    return curve.signal, curve.variance, curve.number, curve.rounding
