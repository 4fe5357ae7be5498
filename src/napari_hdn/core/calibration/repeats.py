"""Noise from repeats of a static field: their mean is the signal, what differs from it the noise.

Two passes over the frames, each read when needed: in bounded memory however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.ndimage import shift as shifted

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.drift import BRIGHTNESS, SHIFT_PX, Drift, Track, Tracker
from napari_hdn.core.calibration.estimation import clipped, quantisation_step, shows_change
from napari_hdn.core.calibration.evidence import MAX_PAIRS, Evidence, Steps, sample_pairs
from napari_hdn.core.calibration.frames import Frame, read, series_of
from napari_hdn.core.calibration.steps import Step, part
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.curves import curve_of_moments

MAX_FIELDS = 8
MAX_FRAMES = 200  # of one field
SIDE_PX = 1024
FEW = 8  # with fewer repeats their mean is noisy: no shape of p(x | s), a smoothed signal
FRAMES_WITH_PAIRS = 64
OWN_NOISE = 0.005  # variance of the mean's noise against that of the scene
NEIGHBOURS_PX = 1.2
CUT_OFTEN = 0.005  # share of the frames

Frames = Literal["exclude", "register", "keep"]


def repeats_evidence(
    images: Sequence[ImageStack],
    frames: Frames = "register",
    *,
    flat: bool = False,
    seed: int = 0,
    stop: Stop | None = None,
) -> Steps:
    """Measure the noise of static fields.

    Parameters
    ----------
    images : sequence of ImageStack
        Repeats along S or T; several fields may follow each other.
    frames : str
        What becomes of frames that drifted or bleached: ``register`` moves the mean, which has
        hardly any noise, to where each frame lies and fits its brightness; ``exclude`` leaves such
        frames out; ``keep`` takes all as they are.
    flat : bool
        The field has no structures: whether it is static cannot be seen, and need not be.

    Raises
    ------
    NoiseModelError
        If nothing repeats, or the scene changes from frame to frame.
    """
    fields = fields_of(images, flat=flat, stop=stop)
    evidence = Evidence("")
    rng = np.random.default_rng(seed)
    drifts: list[Drift] = []
    signals: list[float] = []
    for number, field in enumerate(fields):
        measuring = _measure(field, frames, evidence, len(fields), rng, stop)
        drift, signal = yield from part(measuring, number / len(fields), (number + 1) / len(fields))
        drifts.append(drift)
        signals.append(signal)
    evidence.drift = max(drifts, key=lambda d: d.whole_shift_px / SHIFT_PX + d.left_out)
    evidence.signal = float(np.mean(signals))
    used = [d.frames - d.left_out for d in drifts]
    count = f"{min(used)}" if min(used) == max(used) else f"{min(used)} to {max(used)}"
    kind = "flat field" if flat else "static field"
    plural = "s" if len(fields) > 1 else ""
    evidence.words = f"from {len(fields)} {kind}{plural} with {count} repeats"
    if min(used) < FEW:
        evidence.remarks.append(
            f"{min(used)} repeats give the variance, not the shape of the noise's distribution; "
            f"{FEW} or more would."
        )
        evidence.pairs = []
    return evidence


def fields_of(
    images: Sequence[ImageStack], *, flat: bool = False, stop: Stop | None = None
) -> list[list[Frame]]:
    """Static fields, each as frames that repeat it; up to `MAX_FIELDS` of up to `MAX_FRAMES`.

    Raises
    ------
    NoiseModelError
        If nothing repeats, or the scene changes from frame to frame.
    """
    every = _joined(images) or series_of(images)
    longest = max(every, key=len, default=[])
    if len(longest) < 2:
        shape = " x ".join(map(str, np.shape(images[0].array))) if images else "none"
        raise NoiseModelError(
            f"Repeats of a static field need two frames or more along T or S; "
            f"{images[0].name if images else 'there'} is {shape} with axes "
            f"{images[0].axes if images else ''}. Choose another source, or correct the axes."
        )
    fields: list[list[Frame]] = []
    seen = inside = 0
    for series in every:
        for run in [series] if flat else _static(series[: 4 * MAX_FRAMES], stop):
            seen += len(run)
            if len(run) >= 2:
                inside += len(run)
                fields.append(run[:MAX_FRAMES])
    if not fields or inside < 0.5 * seen:
        first = images[0]
        raise NoiseModelError(
            f"These are no repeats of a static field: of {seen} frames of {first.name} only {inside} "
            "show the same scene as a neighbour. If the scene moves slowly, choose the source "
            "'slowly changing time series'; else 'the noisy images alone'."
        )
    keep = np.linspace(0, len(fields) - 1, min(MAX_FIELDS, len(fields))).round().astype(int)
    return [fields[k] for k in keep]


def _joined(images: Sequence[ImageStack]) -> list[list[Frame]]:
    """Single frames in files of their own as one series, in the order of the files.

    Raises
    ------
    NoiseModelError
        If they differ in shape.
    """
    if len(images) < 2 or any(len(stack) != 1 for stack in images):
        return []
    first = images[0]
    for other in images[1:]:
        if other.plane_shape != first.plane_shape:
            sizes = [" x ".join(map(str, stack.plane_shape)) for stack in (first, other)]
            raise NoiseModelError(
                f"Repeats must have the same shape: {first.name} is {sizes[0]} pixels, {other.name} "
                f"{sizes[1]}. Leave out what does not belong to the series."
            )
    return [[(stack, index) for stack in images for index in stack.indices()]]


def _static(series: Sequence[Frame], stop: Stop | None) -> list[list[Frame]]:
    """Frames in runs in which each shows what its neighbour shows."""
    runs: list[list[Frame]] = []
    last: np.ndarray | None = None
    for stack, index in series:
        check_stop(stop)
        frame = read(stack, index, 512)
        if last is not None and not shows_change(last, frame):
            runs[-1].append((stack, index))
        else:
            runs.append([(stack, index)])
        last = frame
    return runs


def _measure(
    field: Sequence[Frame],
    frames: Frames,
    evidence: Evidence,
    fields: int,
    rng: np.random.Generator,
    stop: Stop | None,
) -> Generator[Step, None, tuple[Drift, float]]:
    """Add one field's curve, pairs and residuals to the evidence."""

    def get(k: int) -> np.ndarray:
        check_stop(stop)
        return read(*field[k], SIDE_PX)

    track = yield from _track(field, get)
    used = track.steady() if frames == "exclude" else np.ones(len(field), bool)
    if used.sum() < 2:
        raise NoiseModelError(
            f"The field drifts so fast that no two of its {len(field)} frames lie within "
            f"{SHIFT_PX} px and {BRIGHTNESS:.0%} of brightness; register the frames instead."
        )
    chosen = np.flatnonzero(used)
    shifts = track.shifts - np.mean(track.shifts[used], axis=0)
    if frames != "register" or np.ptp(track.shifts[used], axis=0).max() <= 0.1:
        shifts = np.zeros_like(shifts)
    mean = np.zeros_like(get(int(chosen[0])), dtype=np.float64)
    cut, steps = np.zeros_like(mean), []
    for n, k in enumerate(chosen):
        frame = get(int(k))
        mean += _moved(frame, -shifts[k])
        steps.append(quantisation_step(frame))
        cut += clipped(frame, steps[-1])
        yield 0.2 + 0.3 * n / len(chosen), "averaging the repeats"
    mean /= len(chosen)
    squares = np.zeros_like(mean)
    scale = np.sqrt(len(chosen) / (len(chosen) - 1))
    around = _neighbours(mean)
    noisy = _is_noisy(mean, get(int(chosen[0])), len(chosen))
    with_pairs = set(chosen[np.linspace(0, len(chosen) - 1, FRAMES_WITH_PAIRS).astype(int)])
    with_residual = set(chosen[np.linspace(0, len(chosen) - 1, 6).astype(int)])
    each = MAX_PAIRS // (fields * min(len(chosen), FRAMES_WITH_PAIRS))
    margin = int(np.ceil(np.abs(shifts).max())) + (2 if shifts.any() else 0)
    inside = tuple(slice(margin, n - margin) for n in mean.shape)
    # where pixels are cut off now and then, what is left of their noise is biased
    usable = uniform_filter(cut[inside] / len(chosen), 3) < CUT_OFTEN
    pairs = []
    for n, k in enumerate(chosen):
        frame = get(int(k))
        signal = _moved(mean, shifts[k])
        if frames == "register":
            signal = _as_bright(signal, frame)
        residual = (frame - signal) * scale
        # back to where the pixels lie in the mean, by which they are sorted
        squares += _moved(residual**2, -shifts[k], order=1)
        if k in with_pairs:
            at = np.where(usable, _moved(around if noisy else mean, shifts[k])[inside], np.nan)
            pairs.append(sample_pairs(at + residual[inside], at, each, rng))
        if k in with_residual:
            evidence.keep_residual(np.where(usable, residual[inside], np.nan))
        yield 0.5 + 0.5 * n / len(chosen), "measuring the noise of the repeats"
    number = len(chosen) - 1
    evidence.curves.append(
        curve_of_moments(
            mean[inside][usable],
            squares[inside][usable] / len(chosen),
            number,
            float(np.median(steps)),
            sort_by=around[inside][usable],
        )
    )
    evidence.pairs += pairs
    all_frames = np.ones(len(field), bool)
    drift = Drift(
        track.farthest(used) if frames != "register" else 0.0,
        track.brightness(used) if frames != "register" else 0.0,
        len(field),
        int(np.count_nonzero(~used)),
        track.farthest(all_frames),
        track.brightness(all_frames),
        frames == "register",
    )
    return drift, float(mean.mean())


def _track(
    field: Sequence[Frame], get: Callable[[int], np.ndarray]
) -> Generator[Step, None, Track]:
    first = [get(k) for k in range(min(8, len(field)))]
    tracker = Tracker(np.mean(first, axis=0), (first[1] - first[0]) / np.sqrt(2))
    shifts, means = [], []
    for k in range(len(field)):
        frame = get(k)
        shifts.append(tracker.shift(frame))
        means.append(frame.mean())
        yield 0.2 * k / len(field), "following the field through its frames"
    track = Track(np.array(shifts), np.array(means))
    return replace(track, shifts=track.quiet)


def _neighbours(mean: np.ndarray) -> np.ndarray:
    """The mean around each pixel without the pixel itself, to sort pixels by.

    A pixel whose few counts happened to be low has a low mean and, where noise is skewed, a low
    variance, too: sorted by its own mean the curve gets too steep (7 % with 24 frames of multiplied
    electrons; 30 % in the dark background of confocal images, even with 50 frames).
    """
    point = np.zeros((9, 9))
    point[4, 4] = 1
    own = float(gaussian_filter(point, NEIGHBOURS_PX)[4, 4])
    return np.asarray((gaussian_filter(mean, NEIGHBOURS_PX) - own * mean) / (1 - own))


def _is_noisy(mean: np.ndarray, frame: np.ndarray, count: int) -> bool:
    """Whether the mean of so few repeats is too noisy to be each pixel's signal."""
    left = float(np.mean((frame - mean) ** 2)) / (count - 1)
    return left > OWN_NOISE * max(float(mean.var()) - left, 1e-30)


def _moved(image: np.ndarray, by: np.ndarray, order: int = 3) -> np.ndarray:
    return image if not by.any() else shifted(image, by, order=order, mode="nearest")


def _as_bright(signal: np.ndarray, frame: np.ndarray, block_px: int = 8) -> np.ndarray:
    """The signal with the brightness of a frame: a line where the scene has contrast, else a shift.

    Fitted to means of blocks, whose noise would else flatten the line.
    """
    h, w = (n // block_px * block_px for n in signal.shape)

    def blocks(image: np.ndarray) -> np.ndarray:
        parts = image[:h, :w].reshape(h // block_px, block_px, w // block_px, block_px)
        return parts.mean(axis=(1, 3)).ravel()

    s, x = blocks(signal), blocks(frame)
    noise = float(np.var(frame - signal)) / block_px**2
    slope = 1.0
    if s.var() > 20 * noise:
        slope = float(np.clip(np.cov(s, x)[0, 1] / s.var(ddof=1), 0.5, 2.0))
    return slope * (signal - s.mean()) + x.mean()
