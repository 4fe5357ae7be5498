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
KEPT = 0.995  # share of the differences that moments are taken of, without the edges of structures
KEPT_VARIANCE = 0.956  # of a normal distribution, within its central 99.5 %
PILE_UP = 5.0  # times more pixels at the lowest grey level than one step above: black-clipped
MOTION = 1.2  # variance of frames against that of their fine grain: the scene moves


@dataclass(frozen=True)
class MeasuredCurve:
    """Noise variance measured in bins of the signal."""

    signal: np.ndarray  # (bins,) counts
    variance: np.ndarray  # (bins,) counts squared
    number: np.ndarray  # (bins,) independent values in each bin
    rounding: np.ndarray  # (bins,) of the variance, what rounding to grey levels may have added


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
        Grey-level step in counts. Where it is coarse against the noise, moments replace the median
        of absolute deviations, which would jump between steps.
    flatness : ndarray, optional
        (n,) small where the image is flat; only the flatter half of each bin is used.
    independent : float
        Fraction of the values that are independent of each other.
    """
    needed = MIN_PER_BIN * (1 if flatness is None else 2)
    bins = max(1, min(BINS, len(signal) // needed))
    order = np.argsort(signal, kind="stable")
    edges = np.linspace(0, len(order), bins + 1).astype(int)
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
        variance, rounding = sigma**2, 0.0
        if step > 0.5 * sigma:
            limit = np.quantile(np.abs(d), KEPT)
            variance = float(np.mean(d[np.abs(d) <= limit] ** 2)) / KEPT_VARIANCE
            rounding = step**2 / 12
        rows.append(
            (float(np.mean(signal[members])), variance, independent * len(members), rounding)
        )
    return _curve(rows)


def _curve(rows: list[tuple[float, float, float, float]]) -> MeasuredCurve:
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
    if line is None or not curve.rounding.any() or _counts_photons(line, step):
        return line
    least = np.maximum(curve.rounding, 1e-12)
    return _fit(curve, np.maximum(curve.variance - curve.rounding, least), step)


def _counts_photons(line: NoiseLine, step: float) -> bool:
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
    # clipped pixels have lost their noise; keep pixels whose surroundings are free of them
    inner &= uniform_filter(_clipped(plane, step).astype(np.float32), 5) < 0.02
    if inner.sum() < 2 * BINS * MIN_PER_BIN:
        inner = np.isfinite(d)
    return bin_variance(smooth[inner], d[inner], step, flatness=flatness[inner], independent=0.3)


def _clipped(plane: np.ndarray, step: float) -> np.ndarray:
    """Pixels at the ends of the range, where pixels pile up there.

    The lowest level of photon counts is no clipping: one photon is not much rarer than none.
    """
    if step == 0:
        return np.zeros(plane.shape, bool)
    low, high = float(plane.min()), float(plane.max())
    at_low = plane <= low
    next_to_low = np.count_nonzero((plane > low) & (plane <= low + 1.5 * step))
    if np.count_nonzero(at_low) < PILE_UP * next_to_low:
        at_low[:] = False
    return at_low | (plane >= high)


def repeats_curve(frames: np.ndarray, kind: str = "diagonal") -> tuple[MeasuredCurve, bool]:
    """Noise curve of (R, Y, X) repeats of a static field: variance over R against the mean.

    The mean is that of all repeats, smoothed a little where there are few, so that its own noise
    does not flatten the slope. Where the scene moves between frames, their variance holds the motion
    too; the fine grain of the frames' differences (``kind`` as in `single_image_curve`) holds hardly
    any, and is taken instead.

    Returns
    -------
    curve : MeasuredCurve
    moves : bool
        Whether the scene moves.
    """
    count = len(frames)
    signal = frames.mean(axis=0)
    if count < 8:
        signal = gaussian_filter(signal, 1.0)
    d = (frames - frames.mean(axis=0)) * np.sqrt(count / (count - 1))
    whole = (d**2).mean(axis=0)
    pairs = [(b - a) / np.sqrt(2.0) for a, b in itertools.pairwise(frames)]
    grain = np.mean([_differences(pair, kind) ** 2 for pair in pairs], axis=0)
    inner = np.isfinite(grain)
    step = quantisation_step(frames[0])
    order = np.argsort(signal[inner], kind="stable")
    edges = np.linspace(0, len(order), BINS + 1).astype(int)
    rows, fine = [], []
    for start, stop in itertools.pairwise(edges):
        members = order[start:stop]
        if len(members) < MIN_PER_BIN:
            continue
        at = float(signal[inner][members].mean())
        number = float(len(members) * (count - 1))
        rows.append((at, float(whole[inner][members].mean()), number, step**2 / 12))
        fine.append((at, float(grain[inner][members].mean()), 0.3 * number, step**2 / 12))
    bright = slice(len(rows) // 2, None)
    moves = (
        bool(rows)
        and float(
            np.median(
                [r[1] / max(f[1], 1e-12) for r, f in zip(rows[bright], fine[bright], strict=True)]
            )
        )
        > MOTION
    )
    return _curve(fine if moves else rows), moves


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
        np.concatenate([c.rounding for c in curves]),
    )
