"""Noise from a second image that tells the signal: a clean one of the same field, or a flat field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shifted

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.drift import Drift, Tracker
from napari_hdn.core.calibration.estimation import clipped, quantisation_step, single_image_curve
from napari_hdn.core.calibration.evidence import MAX_PAIRS, Evidence, Steps, sample_pairs
from napari_hdn.core.calibration.frames import read, sample_planes, series_of
from napari_hdn.core.calibration.repeats import repeats_evidence
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.curves import MIN_PER_BIN, MeasuredCurve, curve_of_moments
from napari_hdn.core.training.statistics import spread_planes

MAX_PLANES = 64
SIDE_PX = 1024
REGISTER_PX = 0.2  # below it two images lie on each other
FLAT_SMOOTH_PX = 6.0  # a flat field has no structure finer than this
FLAT_CHANGE = 0.1  # relative change of brightness between flat fields of different exposure


def pair_evidence(
    noisy: Sequence[ImageStack],
    clean: ImageStack,
    *,
    seed: int = 0,
    stop: Stop | None = None,
) -> Steps:
    """Measure noise against a clean image of the same field: long and short exposure, or a mean.

    The clean image's brightness and offset are fitted to the noisy one's, plane by plane, and a
    shift between the two is taken out by moving the clean one.

    Parameters
    ----------
    noisy : sequence of ImageStack
    clean : ImageStack
        Of as many planes as the noisy images have together, in their order; or of one, which then
        belongs to all.

    Raises
    ------
    NoiseModelError
        If the numbers of planes or their shapes do not fit, or the images show different things.
    """
    planes = [(s, i) for s, i, _ in spread_planes(noisy, MAX_PLANES)]
    number = {key: n for n, key in enumerate((id(s), i) for s in noisy for i in s.indices())}
    references = list(clean.indices())
    if len(references) not in (1, len(number)):
        raise NoiseModelError(
            f"{clean.name} has {len(references)} clean planes for {len(number)} noisy ones; give as "
            "many, in the same order, or a single one that belongs to all."
        )
    evidence = Evidence("", residuals_are="differences")
    rng = np.random.default_rng(seed)
    farthest, signals, gains, offsets = 0.0, [], [], []
    for n, (stack, index) in enumerate(planes):
        check_stop(stop)
        if stack.plane_shape != clean.plane_shape:
            raise NoiseModelError(
                f"{clean.name} is {_size(clean)} pixels, {stack.name} {_size(stack)}; a clean and a "
                "noisy image must show the same field, pixel by pixel."
            )
        frame = read(stack, index, SIDE_PX)
        at = references[0 if len(references) == 1 else number[id(stack), index]]
        reference = read(clean, at, SIDE_PX)
        by = _shift_between(reference, frame)
        farthest = max(farthest, float(np.abs(by).max()))
        if np.abs(by).max() > REGISTER_PX:
            reference = shifted(reference, by, order=3, mode="nearest")
        gain, offset, share = scaling(reference, frame)
        if share < 0.2:
            raise NoiseModelError(
                f"{clean.name} does not show what {stack.name} shows (plane {n + 1}: correlation "
                f"{max(share, 0) ** 0.5:.2f}); choose the clean image of the same field."
            )
        signal = gain * reference + offset
        step = quantisation_step(frame)
        margin = int(np.ceil(np.abs(by).max())) + 2
        inside = (slice(margin, -margin), slice(margin, -margin))
        residual = (frame - signal)[inside]
        usable = ~clipped(frame, step)[inside] & _near_no_clipping(frame, signal)[inside]
        evidence.curves.append(
            curve_of_moments(signal[inside][usable], residual[usable] ** 2, 1, step)
        )
        evidence.pairs.append(
            sample_pairs(frame[inside], signal[inside], MAX_PAIRS // len(planes), rng)
        )
        evidence.keep_residual(np.where(usable, residual, np.nan))
        signals.append(float(signal.mean()))
        gains.append(gain)
        offsets.append(offset)
        yield (n + 1) / len(planes), "comparing noisy and clean images"
    evidence.signal = float(np.mean(signals))
    evidence.words = (
        f"from {len(planes)} noisy image{'s' if len(planes) > 1 else ''} with clean ones"
    )
    evidence.drift = Drift(farthest, 0.0, len(planes), 0, farthest, 0.0, farthest > REGISTER_PX)
    low, high = min(gains), max(gains)
    if max(abs(low - 1), abs(high - 1)) > 0.01 or max(map(abs, offsets)) > 0.01 * evidence.signal:
        scale = f"{low:.4g}" if high - low < 0.01 * high else f"{low:.3g} to {high:.3g}"
        evidence.remarks.append(
            f"The clean image is scaled differently: counts = {scale} x clean "
            f"{np.median(offsets):+.3g}; this was fitted and taken out."
        )
    return evidence


def scaling(reference: np.ndarray, frame: np.ndarray) -> tuple[float, float, float]:
    """Gain and offset that turn a clean image into a noisy one's counts.

    Least squares weighted by the noise's own variance, which is fitted on the way.

    Returns
    -------
    gain, offset : float
    share : float
        Of the frame's variance on a scale of 8 pixels, what the reference explains; 1 at best.
    """
    x, y = reference.ravel().astype(np.float64), frame.ravel().astype(np.float64)
    weight = np.ones_like(x)
    gain, offset = 1.0, 0.0
    for _ in range(4):
        mx, my = np.average(x, weights=weight), np.average(y, weights=weight)
        spread = np.average((x - mx) ** 2, weights=weight)
        gain = float(np.average((x - mx) * (y - my), weights=weight) / max(spread, 1e-30))
        offset = float(my - gain * mx)
        residual = (y - gain * x - offset) ** 2
        line = np.polyfit(x, residual, 1)
        level = max(float(np.median(residual)), 1e-12)
        weight = 1.0 / np.maximum(np.polyval(line, x), 0.3 * level)
    smooth = gaussian_filter(frame, 4.0)
    left = smooth - gain * gaussian_filter(reference, 4.0) - offset
    noise = float(np.mean(residual)) / (4 * np.pi * 16)  # what the filter leaves of white noise
    total = max(float(smooth.var()) - noise, 1e-30)
    return gain, offset, 1.0 - max(float(left.var()) - noise, 0.0) / total


def flat_field_evidence(
    flat: Sequence[ImageStack],
    dark: ImageStack | None = None,
    kind: str = "diagonal",
    *,
    seed: int = 0,
    stop: Stop | None = None,
) -> Steps:
    """Measure noise on evenly lit fields, such as a field diaphragm out of focus.

    Where frames of the same exposure follow each other their differences over time count, which
    leave out the camera's fixed pattern; else the differences of neighbouring pixels.

    Parameters
    ----------
    flat : sequence of ImageStack
    dark : ImageStack, optional
        Frames without light: they tell the camera's offset and read noise.
    kind : str
        Which differences see the whole noise; see `estimation.single_image_curve`.

    Raises
    ------
    NoiseModelError
        If the dark frames are brighter than the flat ones.
    """
    planes = sample_planes(flat)
    levels = [float(p.mean()) for p in planes]
    repeated = max(len(s) for s in series_of(flat)) >= 2
    same = (max(levels) - min(levels)) <= FLAT_CHANGE * abs(float(np.mean(levels)))
    if repeated and same:
        evidence = yield from repeats_evidence(flat, "register", flat=True, seed=seed, stop=stop)
    else:
        evidence = Evidence(f"from {len(planes)} flat field{'s' if len(planes) > 1 else ''}")
        evidence.residuals_are = "differences"
        rng = np.random.default_rng(seed)
        for n, plane in enumerate(planes):
            check_stop(stop)
            evidence.curves.append(single_image_curve(plane, kind))
            signal = gaussian_filter(plane, FLAT_SMOOTH_PX)
            signal[~_level(plane, signal)] = np.nan
            evidence.pairs.append(sample_pairs(plane, signal, MAX_PAIRS // len(planes), rng))
            yield (n + 1) / len(planes), "measuring the noise of flat fields"
        evidence.signal = float(np.mean(levels))
        evidence.remarks.append(
            "Each flat field was seen once, so that the camera's fixed pattern (pixels of different "
            "sensitivity) counts as noise; ten or more repeats would tell them apart."
        )
    if dark is not None:
        _add_dark(evidence, dark, stop)
    else:
        evidence.remarks.append(
            "Without dark frames the noise in the dark is carried on from the brighter parts of the "
            "flat field, and the camera's offset is unknown."
        )
    return evidence


def _add_dark(evidence: Evidence, dark: ImageStack, stop: Stop | None) -> None:
    planes = sample_planes([dark])
    level = float(np.mean([p.mean() for p in planes]))
    if level >= evidence.signal:
        raise NoiseModelError(
            f"The dark frames {dark.name} are brighter ({level:.4g} counts) than the flat field "
            f"({evidence.signal:.4g} counts); they seem to be exchanged."
        )
    check_stop(stop)
    if len(planes) > 1:
        variance = float(np.mean(np.var(np.stack(planes), axis=0, ddof=1)))
        number = (len(planes) - 1) * planes[0].size
    else:
        curve = single_image_curve(planes[0])
        variance = float(np.average(curve.variance, weights=curve.number))
        number = int(curve.number.sum())
    step = quantisation_step(planes[0])
    evidence.dark = level
    point = MeasuredCurve(
        np.array([level]), np.array([variance]), np.array([float(number)]), np.array([step**2 / 12])
    )
    evidence.curves = [c.joined(point) for c in evidence.curves]
    evidence.words += f" and {len(planes)} dark frame{'s' if len(planes) > 1 else ''}"
    evidence.remarks.append(
        f"Dark frames: offset {level:.4g} counts, noise in the dark {variance**0.5:.3g} counts."
    )


def _level(plane: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Where a flat field is flat: smoothing changes the signal by far less than the noise."""
    bend = np.abs(gaussian_filter(signal, FLAT_SMOOTH_PX) - signal)
    noise = np.sqrt(np.maximum(gaussian_filter((plane - signal) ** 2, FLAT_SMOOTH_PX), 1e-12))
    level = bend < 0.1 * noise
    return level if np.count_nonzero(level) >= 10 * MIN_PER_BIN else np.ones_like(level)


def _near_no_clipping(frame: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Signals whose noise is not cut off: leaving out clipped pixels alone would bias the rest."""
    step = quantisation_step(frame)
    cut = clipped(frame, step)
    if not cut.any():
        return np.ones_like(cut)
    edges = np.unique(np.quantile(signal, np.linspace(0, 1, 65)))
    bins = np.clip(np.searchsorted(edges, signal, side="right") - 1, 0, len(edges) - 2)
    cuts = np.bincount(bins.ravel(), cut.ravel(), len(edges) - 1)
    share = cuts / np.maximum(np.bincount(bins.ravel(), minlength=len(edges) - 1), 1)
    return (share < 0.01)[bins]


def _shift_between(reference: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """(dy, dx) by which a frame lies from its clean image."""
    centred = frame - frame.mean()
    scale = frame.std() / max(float(reference.std()), 1e-12)
    noise = centred - (reference - reference.mean()) * scale
    tracker = Tracker(reference * scale, noise)
    return np.array(tracker.shift(frame))


def _size(stack: ImageStack) -> str:
    return " x ".join(map(str, stack.plane_shape))
