"""Noise curves from images alone: variance = gain * s + offset, from repeats or single images.

A *curve* here is what was measured in bins of the signal; a *line* is the fit to it. All in counts.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

BINS = 24
MIN_PER_BIN = 60
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class MeasuredCurve:
    """Noise variance measured in bins of the signal."""

    signal: np.ndarray  # (bins,) counts
    variance: np.ndarray  # (bins,) counts squared
    number: np.ndarray  # (bins,) independent values in each bin


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


def quantisation_step(plane: np.ndarray) -> float:
    """The grey-level step of the data: 1 for integers, the least difference of floats' values."""
    values = np.unique(plane[:: max(1, plane.shape[0] // 128)])
    if len(values) < 2:
        return 0.0
    return float(np.diff(values).min()) if len(values) < 4096 else 0.0


def bin_variance(
    signal: np.ndarray,
    difference: np.ndarray,
    step: float,
    *,
    flatness: np.ndarray | None = None,
    independent: float = 1.0,
) -> MeasuredCurve:
    """Variance of noise differences in quantile bins of the signal.

    Parameters
    ----------
    signal : ndarray
        (n,) local mean in counts.
    difference : ndarray
        (n,) values with mean 0 and the noise's variance.
    step : float
        Grey-level step in counts. Where it is coarse against the noise, moments minus step^2 / 12
        replace the median of absolute deviations, which would jump between steps.
    flatness : ndarray, optional
        (n,) small where the image is flat; only the flatter half of each bin is used.
    independent : float
        Fraction of the values that are independent of each other.
    """
    order = np.argsort(signal, kind="stable")
    edges = np.linspace(0, len(order), BINS + 1).astype(int)
    rows = []
    for start, stop in itertools.pairwise(edges):
        members = order[start:stop]
        if flatness is not None and len(members) > 1:
            half = np.argpartition(flatness[members], len(members) // 2)[: len(members) // 2]
            members = members[half]
        if len(members) < MIN_PER_BIN:
            continue
        d = difference[members]
        sigma = MAD_TO_SIGMA * float(np.median(np.abs(d)))
        variance = sigma**2
        if step > 0.5 * sigma:
            limit = np.quantile(np.abs(d), 0.995)
            variance = max(float(np.mean(d[np.abs(d) <= limit] ** 2)) - step**2 / 12, step**2 / 12)
        rows.append((float(np.mean(signal[members])), variance, independent * len(members)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return MeasuredCurve(table[:, 0], table[:, 1], table[:, 2])


def fit_line(curve: MeasuredCurve, step: float) -> NoiseLine | None:
    """Weighted fit of variance = gain * s + offset; None where there are too few bins.

    The weights n / variance^2 follow from the error of a variance, iterated with the fit's own
    variances. A negative gain is replaced by the constant that fits best.
    """
    if len(curve.signal) < 3 or not curve.variance.max() > 0:
        return None
    s, v, n = curve.signal, curve.variance, curve.number
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


def _differences(plane: np.ndarray, kind: str) -> np.ndarray:
    """Noise with unit gain at every inner pixel, and little of a smooth signal.

    ``diagonal``: [1 -2 1] x [1 -2 1] / 6; ``y`` and ``x``: fourth differences / sqrt(70) along one
    axis, which keep the whole variance of noise that is correlated along the other.
    """
    if kind == "diagonal":
        d = plane[:-2] - 2 * plane[1:-1] + plane[2:]
        d = (d[:, :-2] - 2 * d[:, 1:-1] + d[:, 2:]) / 6
        return np.pad(d, 1, constant_values=np.nan)
    p = plane if kind == "y" else plane.T
    d = (p[:-4] - 4 * p[1:-3] + 6 * p[2:-2] - 4 * p[3:-1] + p[4:]) / np.sqrt(70.0)
    d = np.pad(d, ((2, 2), (0, 0)), constant_values=np.nan)
    return d if kind == "y" else d.T


def single_image_curve(plane: np.ndarray, kind: str = "diagonal") -> MeasuredCurve:
    """Noise curve of one image: high-pass differences in the flatter half of each signal bin."""
    step = quantisation_step(plane)
    smooth = gaussian_filter(plane, 2.0)
    grad_y, grad_x = np.gradient(smooth)
    flatness = uniform_filter(np.hypot(grad_y, grad_x), 5)
    d = _differences(plane, kind)
    inner = np.isfinite(d)
    low, high = float(plane.min()), float(plane.max())
    clipped = (plane <= low) | (plane >= high) if step > 0 else np.zeros(plane.shape, bool)
    # clipped pixels have lost their noise; keep pixels whose surroundings are free of them
    inner &= uniform_filter(clipped.astype(np.float32), 5) < 0.02
    if inner.sum() < 4 * MIN_PER_BIN * 3:
        inner = np.isfinite(d)
    return bin_variance(smooth[inner], d[inner], step, flatness=flatness[inner], independent=0.3)


def repeats_curve(frames: np.ndarray) -> MeasuredCurve:
    """Noise curve of (R, Y, X) repeats of a static field: variance over R against the mean.

    The mean is that of all repeats, smoothed a little where there are few, so that its own noise
    does not flatten the slope.
    """
    step = quantisation_step(frames[0])
    count = len(frames)
    signal = frames.mean(axis=0)
    if count < 8:
        signal = gaussian_filter(signal, 1.0)
    d = (frames - frames.mean(axis=0)) * np.sqrt(count / (count - 1))
    order = np.argsort(signal, axis=None, kind="stable")
    edges = np.linspace(0, len(order), BINS + 1).astype(int)
    per_pixel = (d**2).mean(axis=0).ravel()
    rows = []
    for start, stop in itertools.pairwise(edges):
        members = order[start:stop]
        if len(members) < MIN_PER_BIN:
            continue
        variance = max(float(per_pixel[members].mean()) - step**2 / 12, 1e-12)
        rows.append((float(signal.ravel()[members].mean()), variance, len(members) * (count - 1)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return MeasuredCurve(table[:, 0], table[:, 1], table[:, 2])


def is_static_pair(a: np.ndarray, b: np.ndarray, block_px: int = 8) -> bool:
    """Whether two frames show the same scene, apart from noise.

    Block means of the difference are compared with block means of the frames: noise averages out
    in a block, a changed scene does not.
    """
    if a.shape != b.shape or min(a.shape) < 4 * block_px:
        return False

    def block_means(image: np.ndarray) -> np.ndarray:
        h, w = (n // block_px * block_px for n in image.shape)
        blocks = image[:h, :w].reshape(h // block_px, block_px, w // block_px, block_px)
        return np.asarray(blocks.mean(axis=(1, 3)))

    difference, common = block_means(a - b), block_means((a + b) / 2)
    scene = float(common.var())
    noise = float((a - b).var()) / block_px**2  # what white noise leaves in a block mean
    left = float(difference.var()) - noise
    return scene > 2 * noise and left + difference.mean() ** 2 < 0.03 * scene


def pool(curves: list[MeasuredCurve]) -> MeasuredCurve:
    """Measured curves of images that share one noise curve, put together."""
    return MeasuredCurve(
        np.concatenate([c.signal for c in curves]),
        np.concatenate([c.variance for c in curves]),
        np.concatenate([c.number for c in curves]),
    )
