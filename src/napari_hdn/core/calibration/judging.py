"""Is a noise model right for these images? Questions with numbers, answered in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_hdn.core.artefacts.structure import Structure
from napari_hdn.core.calibration.drift import BRIGHTNESS, SHIFT_PX, Drift
from napari_hdn.core.calibration.evidence import Pairs
from napari_hdn.core.calibration.record import Check, SignalHistogram, Verdict
from napari_hdn.core.noise.base import Clipping, NoiseModel
from napari_hdn.core.noise.curves import MeasuredCurve

HISTOGRAM_BINS = 96
SMOOTH_PX = 2.0
PIT_BINS = 8
PIT_LEAST = 500  # pairs in a bin


def signal_histogram(planes: Sequence[np.ndarray]) -> SignalHistogram:
    """How often each signal occurs: local means, which have little noise."""
    signal = np.concatenate([gaussian_filter(p, SMOOTH_PX)[::2, ::2].ravel() for p in planes])
    low, high = float(signal.min()), float(signal.max())
    if high <= low:
        high = low + 1
    pixels, edges = np.histogram(signal, HISTOGRAM_BINS, (low, high))
    return SignalHistogram(edges, pixels / pixels.sum())


def graded(value: float, good: float, doubtful: float) -> Verdict:
    """A verdict on a number of which less is better."""
    return "good" if value <= good else "doubtful" if value <= doubtful else "bad"


def covered(measured: Sequence[MeasuredCurve]) -> tuple[float, float]:
    """Signals between which the noise was measured.

    The bins with half a bin on either side, and with what noise is left in the images' local means,
    by which `signal_histogram` tells their signals.
    """
    ends = [
        (np.sort(c.signal), np.sqrt(c.variance[[np.argmin(c.signal), np.argmax(c.signal)]]))
        for c in measured
        if len(c.signal) >= 2
    ]
    if not ends:
        s = np.concatenate([c.signal for c in measured])
        return (float(s.min()), float(s.max())) if len(s) else (0.0, 0.0)
    left = 3 / np.sqrt(4 * np.pi * SMOOTH_PX**2)  # three sigma of a local mean, in sigma of a pixel
    below = min(float(s[0] - (s[1] - s[0]) - left * sigma[0]) for s, sigma in ends)
    above = max(float(s[-1] + (s[-1] - s[-2]) + left * sigma[1]) for s, sigma in ends)
    return below, above


def coverage(known: tuple[float, float], histogram: SignalHistogram, *, line: bool) -> Check:
    """Whether the noise was measured at the signals that the images have.

    Parameters
    ----------
    known : (low, high)
        Signals between which it was measured, counts.
    histogram : SignalHistogram
        Of the images that the model is for.
    line : bool
        Whether the model goes on as a line outside, which harms less than a curve held constant.
    """
    low, high = known
    centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    outside = float(histogram.pixels[(centres < low) | (centres > high)].sum())
    least, most = histogram.edges[0], histogram.edges[-1]
    verdict = graded(outside, *((0.05, 0.3) if line else (0.01, 0.05)))
    text = (
        f"The noise was measured from {low:.4g} to {high:.4g} counts; the images' signal runs from "
        f"{least:.4g} to {most:.4g}, {100 * outside:.2g} % of it outside."
    )
    advice = ""
    if verdict != "good":
        side = "brighter" if most - high > low - least else "darker"
        goes_on = "as a straight line" if line else "with the noise of the nearest signal"
        advice = (
            f"Outside the model goes on {goes_on}. Calibrate on images with {side} parts too, or "
            "from these images alone."
        )
    return Check("coverage", verdict, outside, text, advice)


def fit_to_pairs(model: NoiseModel, pairs: Sequence[Pairs], step: float) -> Check | None:
    """Whether counts fall as the model says: Kolmogorov-Smirnov distance of p-values from evenness.

    The probability integral transform of each count under the model is even if the model is right
    (Dawid 1984); randomised within grey levels. The worst of some bins of the signal counts.
    """
    worst, at = 0.0, 0.0
    rng = np.random.default_rng(0)
    for image, each in enumerate(pairs):
        signal = each.signal
        if len(signal) < 2 * PIT_LEAST:
            continue
        bins = min(PIT_BINS, len(signal) // PIT_LEAST)
        order = np.argsort(signal, kind="stable")
        values = pit(model, each.counts, signal, step, rng, min(image, model.curves - 1))
        for members in np.array_split(order, bins):
            inside = _not_cut(each.counts[members], model.clipping)
            if inside.mean() < 0.99:
                continue
            u = np.sort(values[members])
            grid = np.arange(1, len(u) + 1) / len(u)
            distance = float(np.max(np.abs(grid - 0.5 / len(u) - u)))
            noise = 1.36 / np.sqrt(len(u))  # what chance gives in 5 % of bins
            distance = max(0.0, distance - 0.5 * noise)
            if distance > worst:
                worst, at = distance, float(signal[members].mean())
    if not any(len(p.signal) >= 2 * PIT_LEAST for p in pairs):
        return None
    verdict = graded(worst, 0.04, 0.1)
    text = f"Counts fall as the model says, but for {100 * worst:.2g} % of them at worst" + (
        f" (at {at:.4g} counts)." if worst > 0 else "."
    )
    advice = "" if verdict == "good" else "Try another model: GMM or histogram describe any shape."
    return Check("fit", verdict, worst, text, advice)


def pit(
    model: NoiseModel,
    counts: np.ndarray,
    signal: np.ndarray,
    step: float,
    rng: np.random.Generator,
    image: int = 0,
) -> np.ndarray:
    """P(x' < x | s) under the model for each pair, randomised within the grey level of x."""
    x = counts + step * (rng.random(len(counts)) - 0.5)
    with torch.no_grad():
        s = torch.as_tensor(signal, dtype=torch.float32)[None]
        edge = torch.as_tensor(x, dtype=torch.float32)[None]
        below, _ = model.log_tails(edge, s, torch.tensor([image]))
    return torch.exp(below)[0].numpy()


def _not_cut(counts: np.ndarray, clipping: Clipping | None) -> np.ndarray:
    if clipping is None:
        return np.ones(len(counts), bool)
    return (counts > clipping.below) & (counts < clipping.above)


def fit_to_curves(model: NoiseModel, measured: Sequence[MeasuredCurve], *, photons: bool) -> Check:
    """Whether the model's variance runs through the measured one."""
    off, weights, where = [], [], []
    for image, curve in enumerate(measured):
        variance = model.variance_curve(curve.signal, min(image, model.curves - 1))
        # what rounding added stays in the images, but not where grey levels are photons
        there = np.maximum(curve.variance - curve.rounding * (not photons), 1e-12)
        off.append(there / np.maximum(variance, 1e-12) - 1)
        weights.append(curve.number)
        where.append(curve.signal)
    deviation, weight = np.abs(np.concatenate(off)), np.concatenate(weights)
    order = np.argsort(deviation)
    share = np.cumsum(weight[order]) / weight.sum()
    value = float(deviation[order][np.searchsorted(share, 0.8)])
    verdict = graded(value, 0.15, 0.35)
    at = float(np.concatenate(where)[order[-1]])
    text = (
        f"For 80 % of the measured values the model's variance is within {100 * value:.2g} %; it is "
        f"worst at {at:.4g} counts."
    )
    advice = (
        ""
        if verdict == "good"
        else (
            "Look at the plot: points off the line in a row mean processed images or another kind of "
            "noise; try a GMM from repeats, or other images."
        )
    )
    return Check("fit", verdict, value, text, advice)


def saturation(clipping: Clipping | None, low: float, high: float) -> Check:
    """How many pixels are cut off at either end."""
    value = max(high, low / 10)  # black pixels hold less
    verdict = graded(value, 1e-3, 2e-2)
    if clipping is None or value <= 1e-5:
        return Check("saturation", "good", value, "No pixels worth mentioning are cut off.")
    parts = []
    if clipping.high is not None:
        parts.append(
            f"{100 * high:.2g} % of the pixels are saturated at {clipping.high:.5g} counts"
        )
    if clipping.low is not None:
        parts.append(f"{100 * low:.2g} % are black-clipped at {clipping.low:.5g}")
    advice = (
        ""
        if verdict == "good"
        else (
            "The likelihood knows of it, but what was cut off cannot come back: structures there are "
            "not to be measured. Record again with less light or another offset."
        )
    )
    return Check("saturation", verdict, value, "; ".join(parts) + ".", advice)


def quantisation(
    model: NoiseModel, measured: Sequence[MeasuredCurve], step: float, *, photons: bool
) -> Check:
    """Whether grey levels are finer than the noise."""
    signals = np.sort(np.concatenate([c.signal for c in measured]))
    dark = signals[: max(1, len(signals) // 10)]
    sigma = float(np.sqrt(np.median(model.variance_curve(dark))))
    ratio = step / max(sigma, 1e-12)
    if step == 0:
        return Check("quantisation", "good", 0.0, "The counts are not rounded to grey levels.")
    if photons:
        text = f"Grey levels are photons, {step:.4g} count{'s' * (step != 1)} each."
        return Check("quantisation", "good", ratio, text)
    verdict = graded(ratio, 1.0, 2.5)
    text = (
        f"A grey level is {step:.4g} count{'s' * (step != 1)}, {ratio:.2g} times the smallest noise "
        f"(sigma {sigma:.3g})."
    )
    advice = (
        ""
        if verdict == "good"
        else (
            "The noise is coarser than grey levels can show, as after export with 8 bits. Use the "
            "camera's own files, of 12 or 16 bits, where there are any."
        )
    )
    return Check("quantisation", verdict, ratio, text, advice)


def drift_check(drift: Drift | None) -> Check | None:
    """Whether the field stayed in place and as bright."""
    if drift is None:
        return None
    shift, bright = drift.whole_shift_px, drift.whole_brightness
    seen = f"The field moved by {shift:.2f} px and its brightness changed by {100 * bright:+.1f} %"
    over = f" over {drift.frames} frames" if drift.frames > 1 else ""
    if not drift.left_out and shift < SHIFT_PX and abs(bright) < BRIGHTNESS / 2:
        text = f"The field stayed in place{over} (within {max(shift, 0.05):.2f} px) and as bright."
        return Check("drift", "good", shift, text)
    if drift.registered and shift <= 10 and abs(bright) <= 0.3:
        return Check("drift", "good", shift, f"{seen}{over}; both were taken out.")
    if drift.left_out:
        seen += f"{over}; {drift.left_out} frames were left out, {drift.shift_px:.2f} px remain"
        shift, bright = drift.shift_px, drift.brightness
    else:
        seen += over
    verdict = graded(max(shift / SHIFT_PX, abs(bright) / BRIGHTNESS), 2.0, 5.0)
    advice = (
        ""
        if verdict == "good"
        else (
            "What moved counts as noise at every edge. Register the frames, or leave out those that "
            "drifted."
        )
    )
    return Check("drift", verdict, shift, seen + ".", advice)


def structure_check(structure: Structure | None) -> Check:
    """Whether the noise of one pixel is independent of its neighbours'."""
    if structure is None:
        return Check(
            "structure",
            "doubtful",
            0.0,
            "There is no flat background and nothing repeats, so it cannot be seen whether the noise "
            "is structured.",
            "Draw a rectangle over background in a Shapes layer and choose it.",
        )
    value = float(max(structure.reach_x, structure.reach_y))
    verdict: Verdict = "bad" if structure.verdict == "structured" else "good"
    advice = (
        ""
        if verdict == "good"
        else (
            "Train all the same, then look at the contributions of the lowest levels and restore with "
            "those that hold the artefact switched off."
        )
    )
    return Check("structure", verdict, value, structure.in_words(), advice)


def scaling_check(model: NoiseModel, gains: Sequence[float], *, apart: bool) -> Check | None:
    """Whether all images have the same gain."""
    if len(gains) < 2:
        return None
    low, high = min(gains), max(gains)
    value = float(high / max(low, 1e-12))
    if not apart:
        return Check(
            "scaling",
            "good",
            value,
            f"All images have about the same gain ({low:.3g}..{high:.3g}).",
        )
    text = f"The images were scaled apart: their gains run from {low:.3g} to {high:.3g} counts"
    if model.curves > 1:
        return Check("scaling", "good", value, f"{text}; each image has a noise curve of its own.")
    return Check(
        "scaling",
        "bad",
        value,
        f"{text}, and one noise curve serves them all.",
        "Choose a noise curve per image; or use the camera's own files, not exports with "
        "auto-contrast.",
    )


def values_check(planes: Sequence[np.ndarray]) -> Check | None:
    """Whether these are camera counts at all."""
    least, most = min(float(p.min()) for p in planes), max(float(p.max()) for p in planes)
    if least >= 0 and most <= 1.0:
        return Check(
            "counts",
            "doubtful",
            most,
            f"The values run from {least:.3g} to {most:.3g}: these are no camera counts.",
            "The noise model is in these units. That does no harm if all images were scaled by the "
            "same factor; use the camera's own files where there are any.",
        )
    share = float(np.mean([np.mean(p < 0) for p in planes]))
    if share == 0:
        return None
    verdict: Verdict = "good" if share < 0.5 else "doubtful"
    text = f"{100 * share:.2g} % of the pixels are negative, down to {least:.4g}."
    advice = (
        ""
        if verdict == "good"
        else "A background was subtracted. That does no harm if it was one number for all images; "
        "a background that varies over the image changes what the noise model means."
    )
    return Check("counts", verdict, share, text, advice)
