"""More frames of a scene, restored and compared: repeats along an axis, or one second frame."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.drift import Track, Tracker
from napari_hdn.core.calibration.estimation import differences, shows_change
from napari_hdn.core.calibration.frames import Frame, read, series_of
from napari_hdn.core.errors import ImageError
from napari_hdn.core.events import Stop
from napari_hdn.core.restoring.drawing import Drawing
from napari_hdn.core.restoring.planes import Prepared
from napari_hdn.core.training.statistics import check_finite
from napari_hdn.core.trust.spread import (
    LEAST_PX,
    SpreadCalibration,
    blocks_of,
    compare,
    ratio_of,
)

SIDE_PX = 512
RESTORED = 3  # frames: each is as good as another, and a restoration of N samples
MAX_FRAMES = 200
LEAST_FRAMES = 3
ALIKE = 0.7  # correlation of two frames without their fine grain; less is another scene
GRAIN_PX = 4.0
NOISE_OFF = 0.05  # relative: how far the noise model's size may be from that of two frames
NOISE_RANGE = (0.8, 1.25)  # sizes farther off are no noise of two frames like those of the model
UNEQUAL = 0.05  # (v - w) / (v + w) of two frames' variances: an error's is about 0.1 of a noise's
REFERENCES = 8  # frames out of which the one is chosen that the others are like


def from_repeats(
    drawing: Drawing, repeats: ImageStack, stop: Stop
) -> Iterator[float | SpreadCalibration]:
    """Calibrate with repeats of a static scene: fractions done, then the result unless stopped.

    Raises
    ------
    ImageError
        If there are less than three frames, too small ones, or the scene does not hold still.
    """
    field = frames_of(repeats)
    steady, total, squares, first = yield from _means(field, stop)
    if stop.requested:
        return
    chosen = np.flatnonzero(steady)
    if len(chosen) < LEAST_FRAMES:
        raise ImageError(
            f"Only {len(chosen)} of the {len(field)} frames of {repeats.name} show the same scene "
            "at the "
            "same place and brightness; a comparison needs 3. Choose frames between which nothing moves "
            "or bleaches, or a single second frame."
        )
    others = len(chosen) - 1
    restored = chosen[
        np.linspace(0, len(chosen) - 1, min(RESTORED, len(chosen))).round().astype(int)
    ]
    predicted, errors, usable = [], [], []
    for number, k in enumerate(restored.tolist()):
        frame = _read(field[k])
        drawn = None
        for part in drawing.draw(frame, stop, number=number + 1):
            if isinstance(part, float):
                yield 0.2 + 0.8 * (number + part) / len(restored)
            else:
                drawn = part
        if drawn is None:
            return
        own = frame - first
        mean = (total - own) / others
        variance = np.maximum(((squares - own**2) - others * mean**2) / (others - 1), 0)
        errors.append((drawn.mean(axis=0) - first - mean) ** 2 - variance / others)
        predicted.append(drawn.var(axis=0, ddof=1) * (1 + 1 / drawing.samples))
        usable.append(uncut(drawing.prepared, frame))
    curve = compare(np.stack(predicted), np.stack(errors), np.stack(usable))
    yield SpreadCalibration(
        source="repeats",
        frames=len(field),
        left_out=len(field) - len(chosen),
        restored=len(restored),
        remarks=_remarks(repeats, field, len(chosen)),
        **asdict(curve),
    )


def frames_of(repeats: ImageStack) -> list[Frame]:
    """The longest series of frames of an image; at most `MAX_FRAMES`.

    Raises
    ------
    ImageError
        If it has less than three frames, or too small ones.
    """
    field = max(series_of([repeats]), key=len)[:MAX_FRAMES]
    shape = " x ".join(map(str, np.shape(repeats.array)))
    if len(field) < LEAST_FRAMES:
        raise ImageError(
            f"Repeats are 3 frames or more of one static scene along T or S; {repeats.name} is {shape} "
            f"with axes {repeats.axes}: {len(field)} frame{'s' * (len(field) > 1)}. With one frame "
            "more of "
            "the same scene as the image, give it as the second frame instead."
        )
    if min(repeats.plane_shape) < LEAST_PX:
        raise ImageError(
            f"The frames of {repeats.name} are {' x '.join(map(str, repeats.plane_shape))} pixels; "
            f"comparing needs at least {LEAST_PX} x {LEAST_PX}."
        )
    return field


def _means(
    field: list[Frame], stop: Stop
) -> Generator[float, None, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Which frames hold still, and the sums of their difference to the first, and of its square."""
    frames = [_read(f) for f in field[: min(8, len(field))]]
    first = frames[0].astype(np.float64)
    tracker = Tracker(np.mean(frames, axis=0), (frames[1] - frames[0]) / np.sqrt(2))
    shifts, means = [], []
    for k, frame in enumerate(field):
        counts = _read(frame)
        shifts.append(tracker.shift(counts))
        means.append(counts.mean())
        yield 0.1 * (k + 1) / len(field)
        if stop.requested:
            break
    steady = Track(np.array(shifts), np.array(means)).steady()
    total, squares = np.zeros_like(first), np.zeros_like(first)
    chosen = np.flatnonzero(steady).tolist()
    reference = None if stop.requested else _reference([field[k] for k in chosen[:REFERENCES]])
    for n, k in enumerate(chosen):
        if stop.requested:
            break
        counts = _read(field[k])
        if reference is not None and _other_scene(reference, counts):
            steady[k] = False  # as bright, and no shift was found: there was nothing to be found
            continue
        difference = counts - first
        total += difference
        squares += difference**2
        yield 0.1 + 0.1 * (n + 1) / len(field)
    return steady, total, squares, first


def _reference(field: list[Frame]) -> np.ndarray | None:
    """The frame that most of these show the same scene as; the first one of several."""
    if not field:
        return None
    frames = [_read(f) for f in field]
    alike = [sum(not _other_scene(a, b) for b in frames) for a in frames]
    return frames[int(np.argmax(alike))]


def _other_scene(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two frames visibly show different scenes; not where noise hides what they show."""
    return shows_change(a, b) and _alike(a, b) < ALIKE


def _read(frame: Frame) -> np.ndarray:
    stack, index = frame
    return read(stack, index, SIDE_PX)


def _remarks(repeats: ImageStack, field: list[Frame], used: int) -> tuple[str, ...]:
    remarks = []
    if used < len(field):
        remarks.append(
            f"{len(field) - used} of {len(field)} frames were left out: the scene had moved by "
            "more than a quarter of a pixel there, its brightness differed by more than 2 %, or it "
            "was another scene."
        )
    if max(repeats.plane_shape) > SIDE_PX:
        remarks.append(f"Compared in the middle {SIDE_PX} x {SIDE_PX} pixels of the repeats.")
    return tuple(remarks)


def from_second_frame(
    prepared: Prepared,
    counts: np.ndarray,
    second: np.ndarray,
    samples: np.ndarray,
    noise: np.ndarray,
    name: str = "The second frame",
) -> SpreadCalibration:
    """Calibrate with one more frame of the scene that was restored.

    Parameters
    ----------
    prepared : Prepared
    counts, second : ndarray
        (Y, X) the frame that was restored, and the other one.
    samples : ndarray
        (N, Y, X) counts.
    noise : ndarray
        (Y, X) standard deviation of the noise at the restored mean.

    Raises
    ------
    ImageError
        If the second frame has another shape, other pixels than finite ones, or is another scene or
        the very same frame.
    """
    check_second(counts, second, name)
    usable = uncut(prepared, counts) & uncut(prepared, second)
    mean, variance = samples.mean(axis=0), samples.var(axis=0, ddof=1)
    size = float(np.mean((counts - second)[usable] ** 2) / 2 / np.mean(noise[usable] ** 2))
    squares = (mean - second) ** 2 - size * noise**2
    curve = compare((variance * (1 + 1 / len(samples)))[None], squares[None], usable[None])
    flaws, remarks = _flaws(counts, second, usable, size), []
    if not flaws and abs(size - 1) > NOISE_OFF:
        remarks.append(
            f"Two frames differ by noise of {size:.2f} times the noise model's variance; its size "
            "was taken "
            "from the frames. Either the noise model is off by that, or something moved between them."
        )
    if shows_change(counts, second):
        remarks.append(
            "The frames differ by more than noise from pixel to pixel would make them: either the noise "
            "has a structure, or something moved or bleached between them, and then the factor is "
            "too large."
        )
    return SpreadCalibration(
        "second_frame",
        frames=2,
        left_out=0,
        restored=1,
        remarks=tuple(remarks),
        flaws=flaws,
        **asdict(curve),
    )


def _flaws(
    counts: np.ndarray, second: np.ndarray, usable: np.ndarray, size: float
) -> tuple[str, ...]:
    """What speaks against taking half of the frames' squared difference for the noise of each."""
    flaws = []
    if not NOISE_RANGE[0] <= size <= NOISE_RANGE[1]:
        flaws.append(
            f"the frames differ by {size:.2f} times the variance that the noise model makes two frames "
            f"differ by (usable: {NOISE_RANGE[0]} to {NOISE_RANGE[1]})"
        )
    unequal, error = inequality(counts, second, usable)
    if abs(unequal) > max(UNEQUAL, 3 * error):
        ratio = max(1 - unequal, 0) / max(1 + unequal, 1e-3)
        flaws.append(
            f"the second frame has {ratio:.2f} times the noise variance of the image, as if it was "
            "averaged, processed or exposed otherwise (usable: the same)"
        )
    return tuple(flaws)


def inequality(a: np.ndarray, b: np.ndarray, usable: np.ndarray) -> tuple[float, float]:
    """How unequal the noise of two frames of one scene is, and the standard error of that.

    With fine grain A = s + m, B = s + n of the same scene: E[A² - B²] / E[(A - B)²] is
    (var m - var n) / (var m + var n), whatever the scene; stripes have no fine grain in both
    directions.

    Parameters
    ----------
    a, b : ndarray
        (Y, X) counts.
    usable : ndarray of bool
        (Y, X).
    """
    grain = [differences(np.where(usable, f, np.nan), "diagonal") for f in (a, b)]
    known = np.isfinite(grain[0] + grain[1])
    if not known.any():
        return 0.0, 1.0
    blocks = blocks_of((1, *a.shape))[0]
    first, second = (g[known].astype(np.float64) for g in grain)
    square, unequal = (first - second) ** 2, first**2 - second**2
    return ratio_of(square, unequal, blocks[known].astype(np.int64), int(blocks.max()) + 1)


def check_second(counts: np.ndarray, second: np.ndarray, name: str = "The second frame") -> None:
    """Refuse what is no second frame of the same scene.

    Raises
    ------
    ImageError
        With the reason.
    """
    if counts.shape != second.shape:
        shapes = [" x ".join(map(str, a.shape)) for a in (second, counts)]
        raise ImageError(
            f"{name} is {shapes[0]} pixels, the image {shapes[1]}: a second frame shows the same scene, "
            "pixel by pixel. Choose the frame that was taken with the image."
        )
    check_finite(second, name, ())
    if np.array_equal(counts, second):
        raise ImageError(
            f"{name} is the image itself, with the same noise: it says nothing of errors. Choose "
            "another "
            "frame of the same scene."
        )
    if _other_scene(counts, second):
        raise ImageError(
            f"{name} shows another scene, or one that moved or bleached: its difference to the "
            "image is more "
            "than noise. Choose a frame that was taken right after the image."
        )


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two frames without their fine grain; 0 with a frame that shows nothing."""
    smooth = [gaussian_filter(frame, GRAIN_PX).ravel() for frame in (a, b)]
    if any(np.ptp(s) == 0 for s in smooth):
        return 0.0
    return float(np.corrcoef(*smooth)[0, 1])


def uncut(prepared: Prepared, counts: np.ndarray) -> np.ndarray:
    """(Y, X) bool, pixels that the camera did not cut off."""
    clipping = prepared.noise_model.clipping
    if clipping is None:
        return np.ones(counts.shape, bool)
    return np.asarray((counts > clipping.below) & (counts < clipping.above))
