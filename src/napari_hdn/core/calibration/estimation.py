"""Noise curves from images alone: single ones, frames of a series, repeats of a field."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import convolve, gaussian_filter, uniform_filter

from napari_hdn.core.noise.base import Clipping
from napari_hdn.core.noise.curves import (
    BINS,
    MIN_PER_BIN,
    MeasuredCurve,
    bin_variance,
    curve_of_rows,
    merged,
)

BLOCK_PX = 8
CHANGED = 0.03  # share of the scene's variance
AROUND_PX = 2.0  # what surrounds a pixel
PILE_UP = 5.0  # times more pixels at the lowest grey level than one step above: black-clipped
SATURATED_PILE_UP = 3.0  # the same at the highest, where the neighbours are few
CENSORED = 1e-4  # share of pixels cut off from which on the likelihood is censored
MOTION = 1.2  # variance of frames against that of their fine grain: the scene moves


def quantisation_step(plane: np.ndarray) -> float:
    """The grey-level step of the data: 1 for integers, the least difference of floats' values."""
    values = np.unique(plane[:: max(1, plane.shape[0] // 128)])
    if len(values) < 2:
        return 0.0
    return float(np.diff(values).min()) if len(values) < 4096 else 0.0


def differences(plane: np.ndarray, kind: str) -> np.ndarray:
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
    """Noise curve of one image: high-pass differences in the flatter half of each signal bin.

    Pixels are sorted by brightness and flatness of their *surroundings*, which share no pixel with the
    difference: sorting by what holds the noise itself takes those for dark and flat whose noise
    happens to be low (with few photons the variance of dark background came out as 0.3 to 0.7 of
    what it is). The signal of a bin is then the mean of the pixels in the middle, whose noise was
    not sorted by.
    """
    step = quantisation_step(plane)
    inner = _free_of_clipping(clipped(plane, step))
    return _sorted_curve(plane, differences(plane, kind), inner, step, kind)


def _sorted_curve(
    plane: np.ndarray, d: np.ndarray, inner: np.ndarray, step: float, kind: str
) -> MeasuredCurve:
    around, flatness, own = surroundings(plane, kind)
    usable = np.isfinite(d) & inner
    return bin_variance(
        around[usable], d[usable], step, own=own[usable], flatness=flatness[usable], independent=0.3
    )


def _free_of_clipping(cut: np.ndarray) -> np.ndarray:
    """Pixels whose surroundings are not cut off, which would have lost their noise."""
    return np.asarray(uniform_filter(cut.astype(np.float32), 5) < 0.02)


def surroundings(plane: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brightness and gradient around each pixel, without those of its difference; and theirs.

    Parameters
    ----------
    plane : ndarray
        (Y, X) counts.
    kind : str
        As in `differences`. Where noise is correlated along an axis, whole rows are left out.

    Returns
    -------
    around, gradient, own : ndarray
        (Y, X) weighted mean of the surroundings in counts, the size of its gradient in counts per
        pixel, and the mean of the pixels left out.
    """
    reach = int(4 * AROUND_PX + 0.5)
    hole = {"diagonal": (1, 1), "y": (2, reach), "x": (reach, 2)}[kind]
    middle = tuple(slice(reach - h, reach + h + 1) for h in hole)
    around, rise_y, rise_x = (
        _without_middle(plane, order, middle) for order in ((0, 0), (1, 0), (0, 1))
    )
    own = uniform_filter(plane, {"diagonal": 3, "y": (5, 1), "x": (1, 5)}[kind])
    return around, np.hypot(rise_y, rise_x), own


def _without_middle(
    plane: np.ndarray, order: tuple[int, int], middle: tuple[slice, ...]
) -> np.ndarray:
    """A Gaussian filter, or its derivative, that leaves out the middle of its kernel."""
    point = np.zeros((2 * int(4 * AROUND_PX + 0.5) + 1,) * 2)
    point[point.shape[0] // 2, point.shape[1] // 2] = 1
    kernel = gaussian_filter(point, AROUND_PX, order=order)[middle]
    rest = gaussian_filter(plane, AROUND_PX, order=order) - convolve(plane, kernel)
    return np.asarray(rest / (1 - kernel.sum()) if order == (0, 0) else rest)


def clipped(plane: np.ndarray, step: float) -> np.ndarray:
    """Pixels at the ends of the range, where pixels pile up there.

    The lowest level of photon counts is no clipping: one photon is not much rarer than none.
    """
    low, high = _piles(plane, step)
    at_end = np.zeros(plane.shape, bool)
    if low is not None:
        at_end |= plane <= low
    if high is not None:
        at_end |= plane >= high
    return at_end


def _piles(plane: np.ndarray, step: float) -> tuple[float | None, float | None]:
    """The grey levels at the ends of the range at which pixels pile up, or None."""
    low, high = float(plane.min()), float(plane.max())
    if low == high:
        return None, None
    width = 1.5 * step if step > 0 else 0.01 * (high - low)
    at_low, at_high = np.count_nonzero(plane <= low), np.count_nonzero(plane >= high)
    next_to_low = np.count_nonzero((plane > low) & (plane <= low + width))
    next_to_high = np.count_nonzero((plane < high) & (plane >= high - width))
    # floats rarely meet: a hundred of the same value at an end of the range were put there
    least = 2 if step > 0 else 100
    is_low = at_low >= max(least, PILE_UP * next_to_low)
    is_high = at_high >= max(least, SATURATED_PILE_UP * next_to_high)
    return low if is_low else None, high if is_high else None


def clipping_of(planes: Sequence[np.ndarray]) -> tuple[Clipping | None, float, float]:
    """Where counts are cut off in all of these images, and how many pixels that concerns.

    Returns
    -------
    clipping : Clipping or None
        Levels at which so many pixels were cut off that a likelihood has to know.
    low, high : float
        Share of all pixels at these levels.
    """
    step = min(quantisation_step(p) for p in planes)
    piles = [_piles(p, step) for p in planes]
    lows = [low for low, _ in piles if low is not None]
    highs = [high for _, high in piles if high is not None]
    least, most = min(float(p.min()) for p in planes), max(float(p.max()) for p in planes)
    low = min(lows) if lows and min(lows) == least else None
    high = max(highs) if highs and max(highs) == most else None
    share_low = 0.0 if low is None else float(np.mean([np.mean(p <= low) for p in planes]))
    share_high = 0.0 if high is None else float(np.mean([np.mean(p >= high) for p in planes]))
    if max(share_low, share_high) < CENSORED:
        return None, share_low, share_high
    return Clipping(low, high, step), share_low, share_high


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
    grain = np.mean([differences(pair, kind) ** 2 for pair in pairs], axis=0)
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
    return curve_of_rows(fine if moves else rows), moves


def is_static_pair(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two frames visibly show the same scene, apart from noise."""
    if a.shape != b.shape or min(a.shape) < 4 * BLOCK_PX:
        return False
    scene, noise, left, _ = _scene_and_change(a, b)
    return scene > 2 * noise and left < CHANGED * scene


def shows_change(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two frames visibly show different scenes; not where noise hides what they show."""
    if a.shape != b.shape:
        return True
    if min(a.shape) < 4 * BLOCK_PX:
        return False
    scene, noise, left, error = _scene_and_change(a, b)
    return left > 5 * error and left > CHANGED * max(scene - noise / 2, 0.0)


def _scene_and_change(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float, float]:
    """Variances of block means: of the common scene, of noise, of what changed, and its error.

    Noise averages out in a block, a changed scene does not.
    """

    def block_means(image: np.ndarray) -> np.ndarray:
        h, w = (n // BLOCK_PX * BLOCK_PX for n in image.shape)
        blocks = image[:h, :w].reshape(h // BLOCK_PX, BLOCK_PX, w // BLOCK_PX, BLOCK_PX)
        return np.asarray(blocks.mean(axis=(1, 3)))

    difference, common = block_means(a - b), block_means((a + b) / 2)
    scene = float(common.var())
    noise = float((a - b).var()) / BLOCK_PX**2  # what white noise leaves in a block mean
    change = float(difference.var()) - noise
    error = noise * float(np.sqrt(2 / difference.size))
    return scene, noise, change + float(difference.mean()) ** 2, error


def series_curve(frames: np.ndarray, kind: str = "diagonal") -> MeasuredCurve:
    """Noise curve of (R, Y, X) frames of a slowly changing scene.

    The scene is gone from the fine grain of neighbouring frames' differences but where edges moved;
    the flatter half of the pixels and the median of absolute deviations leave those out.

    Parameters
    ----------
    frames : ndarray
        (R, Y, X) counts, in the order of time.
    kind : str
        Which differences see the whole noise; see `single_image_curve`.
    """
    step = quantisation_step(frames[0])
    curves = []
    for a, b in itertools.pairwise(frames):
        d = differences((b - a) / np.sqrt(2.0), kind)
        inner = _free_of_clipping(clipped(a, step) | clipped(b, step))
        curves.append(_sorted_curve((a + b) / 2, d, inner, step, kind))
    return merged(curves)
