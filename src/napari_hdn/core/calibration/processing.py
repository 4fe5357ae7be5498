"""Were the images changed since the camera took them? What smoothing and gamma leave in the noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from napari_hdn.core.calibration.estimation import clipped, differences, quantisation_step
from napari_hdn.core.calibration.judging import SMOOTH_PX, graded
from napari_hdn.core.calibration.record import Check, Verdict
from napari_hdn.core.noise.curves import MeasuredCurve

WHITE_LAG_1 = -2 / 3  # of white noise through [1 -2 1]
MAX_PLANES = 8


def lag_1(planes: Sequence[np.ndarray]) -> tuple[float, float] | None:
    """Correlation of neighbours along y and x of [1 -2 1] x [1 -2 1] differences; -2/3 if white.

    In the flatter half of the pixels, each measured in units of the local noise. None where the
    images are too small.
    """
    along_y, along_x = [], []
    for plane in planes[:MAX_PLANES]:
        smooth = gaussian_filter(plane, SMOOTH_PX)
        flatness = uniform_filter(np.hypot(*np.gradient(smooth)), 9)
        cut = uniform_filter(clipped(plane, quantisation_step(plane)).astype(np.float32), 9)
        d = differences(plane, "diagonal")
        d[~np.isfinite(d)] = 0
        size = np.sqrt(np.maximum(uniform_filter(d**2, 15), 1e-12))
        d = np.clip(d / size, -4, 4)
        flat = (flatness <= np.median(flatness)) & (cut < 0.02) & (size > 1e-5)
        flat[:2], flat[-2:], flat[:, :2], flat[:, -2:] = (False,) * 4
        if flat.sum() < 1000:
            continue
        power = np.mean(d[flat] ** 2)
        both_y, both_x = flat[:-1] & flat[1:], flat[:, :-1] & flat[:, 1:]
        along_y.append(np.mean((d[:-1] * d[1:])[both_y]) / power)
        along_x.append(np.mean((d[:, :-1] * d[:, 1:])[both_x]) / power)
    if not along_y:
        return None
    return float(np.median(along_y)), float(np.median(along_x))


def processing(
    planes: Sequence[np.ndarray], measured: Sequence[MeasuredCurve], *, single: bool
) -> Check:
    """Whether the images were smoothed, resampled or gamma-corrected before.

    Parameters
    ----------
    planes : sequence of ndarray
    measured : sequence of MeasuredCurve
    single : bool
        Whether the curves come from single images, whose structures may bend them a little.
    """
    lags = lag_1(planes)
    if lags is None:
        return Check(
            "processing",
            "doubtful",
            0.0,
            "The images are too small to see whether they were smoothed.",
        )
    y, x = lags
    smoothed = min(y, x) - WHITE_LAG_1  # along one axis only, it is structure
    bend, error = bending(measured)
    limit = 0.5 if single else 0.35
    bent = -bend > limit and -bend > 3 * error
    verdict = graded(smoothed, 0.03, 0.06)
    if bent:
        verdict = "bad"
    text = (
        f"Neighbouring pixels of the noise correlate with {min(y, x):.3f} after differences "
        f"({WHITE_LAG_1:.3f} if nothing was done to the image)"
    )
    advice = ""
    if bent:
        text += f"; the variance bends down at bright signals, by {-100 * bend:.0f} %."
        advice = (
            "The counts seem to be gamma-corrected, log-scaled or compressed. Use the camera's own "
            "files; contrast belongs to the display."
        )
    else:
        text += "; the variance grows in a line with the signal." if len(measured) else "."
        if verdict != "good":
            advice = (
                "The images seem to be smoothed, resampled, demosaicked or compressed. Use the "
                "camera's own files; or measure the noise from repeats, and expect correlated noise "
                "to stay in the lowest levels."
            )
    return Check("processing", verdict, max(smoothed, -bend if bent else 0.0), text, advice)


def bending(measured: Sequence[MeasuredCurve]) -> tuple[float, float]:
    """How far the variance in the middle of the range departs from the line between the ends.

    Returns
    -------
    bend, error : float
        Curvature of a parabola, relative to the variance at the bright end; negative where the
        variance lags behind at bright signals; and its standard error.
    """
    values, errors = [], []
    for curve in measured:
        if len(curve.signal) < 6 or np.ptp(curve.signal) <= 0:
            continue
        t = (curve.signal - curve.signal.min()) / np.ptp(curve.signal)
        scale = max(float(np.max(curve.variance)), 1e-12)
        v = curve.variance / scale
        # errors as large as 3 % at least: what is systematic counts
        weight = 1 / np.hypot(curve.error / scale, 0.03 * v + 1e-3)
        design = np.stack([np.ones_like(t), t, t**2], axis=1) * weight[:, None]
        found, *_ = np.linalg.lstsq(design, v * weight, rcond=None)
        spread = np.linalg.pinv(design.T @ design)
        residual = (v - np.polyval(found[::-1], t)) * weight
        inflate = max(1.0, float(residual @ residual) / max(1, len(t) - 3))
        values.append(found[2])
        errors.append(np.sqrt(spread[2, 2] * inflate))
    if not values:
        return 0.0, np.inf
    return float(np.median(values)), float(np.median(errors))


def slope(measured: Sequence[MeasuredCurve]) -> Check:
    """Whether the noise grows with the signal, as that of light does."""
    slopes, errors, changes = [], [], []
    for curve in measured:
        if len(curve.signal) < 3 or np.ptp(curve.signal) <= 0:
            continue
        weight = 1 / np.hypot(curve.error, 0.03 * curve.variance + 1e-12)
        design = np.stack([np.ones_like(curve.signal), curve.signal], axis=1) * weight[:, None]
        found, *_ = np.linalg.lstsq(design, curve.variance * weight, rcond=None)
        spread = np.linalg.pinv(design.T @ design)
        slopes.append(found[1])
        errors.append(np.sqrt(spread[1, 1]))
        changes.append(
            found[1] * np.ptp(curve.signal) / max(float(np.median(curve.variance)), 1e-12)
        )
    if not slopes:
        return Check("slope", "good", 0.0, "The signal varies too little to tell a slope.")
    value, error, change = (float(np.median(v)) for v in (slopes, errors, changes))
    text = f"The variance changes by {value:.3g} counts² per count of signal."
    if value >= -2 * error or change > -0.1:
        if value > 2 * error or change > 0.15:
            return Check("slope", "good", value, text)
        return Check(
            "slope",
            "doubtful",
            value,
            f"{text} It does not grow with the signal.",
            "That is right where the camera's own noise outweighs that of light; else the images were "
            "gamma-corrected or otherwise stabilised, and the camera's own files would be better.",
        )
    verdict: Verdict = "bad" if value < -3 * error and change < -0.15 else "doubtful"
    advice = (
        "Brighter parts have less noise, which light never does: the images were gamma-corrected, "
        "inverted, log-scaled or strongly processed. Use the camera's own files."
    )
    return Check("slope", verdict, value, text, advice)
