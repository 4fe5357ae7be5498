"""Which pieces of which planes are looked at to learn about noise: enough, in bounded time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.estimation import is_static_pair
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.training.statistics import check_finite, spread_planes

LOOK_AT = 16  # planes or windows that decide what kind of noise this is
WINDOW = 32  # consecutive frames
FRAMES_PER_RUN = 16
MAX_SIDE_PX = 768

Frame = tuple[ImageStack, tuple[int, ...]]


def central(height: int, width: int, side_px: int = MAX_SIDE_PX) -> tuple[slice, slice]:
    """At most ``side_px`` a side, from the middle: enough to measure noise, in bounded time."""
    y0, x0 = (max(0, (n - side_px) // 2) for n in (height, width))
    return slice(y0, min(y0 + side_px, height)), slice(x0, min(x0 + side_px, width))


def read(stack: ImageStack, index: tuple[int, ...], side_px: int = MAX_SIDE_PX) -> np.ndarray:
    """The middle of a plane as (Y, X) counts.

    Raises
    ------
    ImageError
        If pixels are NaN or infinite.
    """
    part = stack.crop(index, *central(*stack.plane_shape, side_px))
    check_finite(part, stack.name, index)
    return part


def sample_planes(images: Sequence[ImageStack]) -> list[np.ndarray]:
    """Up to `LOOK_AT` planes, spread over all images."""
    return [read(stack, index) for stack, index, _ in spread_planes(images, LOOK_AT)]


def series_of(images: Sequence[ImageStack]) -> list[list[Frame]]:
    """Frames that follow each other along S or T; neighbours in Z or C are other images."""
    found: list[list[Frame]] = []
    for stack in images:
        fixed = [k for k, letter in enumerate(stack.leading_axes) if letter not in "ST"]
        series: dict[tuple[int, ...], list[Frame]] = {}
        for index in stack.indices():
            series.setdefault(tuple(index[k] for k in fixed), []).append((stack, index))
        found += series.values()
    return found


def windows(images: Sequence[ImageStack]) -> list[list[Frame]]:
    """Up to `LOOK_AT` windows of `WINDOW` consecutive frames, spread over all images."""
    every: list[list[Frame]] = []
    for frames in series_of(images):
        every += [frames[k : k + WINDOW] for k in range(0, len(frames), WINDOW)]
    keep = np.linspace(0, len(every) - 1, min(LOOK_AT, len(every))).round().astype(int)
    return [every[k] for k in keep]


def static_runs(images: Sequence[ImageStack], stop: Stop | None) -> list[np.ndarray]:
    """Runs of consecutive frames of a static scene, as (R, Y, X); none if most frames are in none."""
    runs: list[np.ndarray] = []
    seen = inside = 0
    for window in windows(images):
        check_stop(stop)
        for frames in _runs_in(window):
            seen += len(frames)
            if len(frames) >= 2:
                inside += len(frames)
                runs.append(np.stack(frames))
    return runs if runs and inside >= 0.5 * seen else []


def _runs_in(window: Sequence[Frame]) -> Iterator[list[np.ndarray]]:
    run: list[np.ndarray] = []
    for stack, index in window:
        frame = read(stack, index)
        if run and not (len(run) < FRAMES_PER_RUN and is_static_pair(run[0], frame)):
            yield run
            run = []
        run.append(frame)
    if run:
        yield run
