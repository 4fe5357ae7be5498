"""One look at the training images: their range and spread, and whether they can be used at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ImageError
from napari_hdn.core.events import Stop, check_stop

MAX_PLANES = 256
ROWS = 2048  # of a large plane, evenly spread, for its percentiles


@dataclass(frozen=True)
class ImageStatistics:
    """Of the training images, in counts."""

    mean: float
    std: float
    low: float  # 0.1st percentile
    high: float  # 99.9th percentile
    minimum: float
    maximum: float


def spread_planes(
    stacks: Sequence[ImageStack], at_most: int = MAX_PLANES
) -> list[tuple[ImageStack, tuple[int, ...], int]]:
    """Planes evenly spread over all stacks, as (stack, index, running number)."""
    planes = []
    number = 0
    for stack in stacks:
        for index in stack.indices():
            planes.append((stack, index, number))
            number += 1
    if len(planes) <= at_most:
        return planes
    keep = np.linspace(0, len(planes) - 1, at_most).round().astype(int)
    return [planes[i] for i in keep]


def check_finite(plane: np.ndarray, name: str, index: tuple[int, ...]) -> None:
    """Refuse NaN and infinite pixels.

    Raises
    ------
    ImageError
        Naming the image, the plane and how many pixels.
    """
    bad = int(plane.size - np.count_nonzero(np.isfinite(plane)))
    if bad:
        where = f", plane {', '.join(map(str, index))}" if index else ""
        raise ImageError(
            f"{name}{where}: {bad} of {plane.size} pixels are NaN or infinite; replace them (for "
            "example by the median of their neighbours) and try again."
        )


def measure_images(stacks: Sequence[ImageStack], stop: Stop | None = None) -> ImageStatistics:
    """Statistics of up to 256 planes spread over the images.

    Raises
    ------
    ImageError
        If there is no image, a pixel is NaN or infinite, or an image is constant.
    StoppedEarly
        If ``stop`` is requested.
    """
    if not stacks:
        raise ImageError("There is no image to train on; choose an image layer or a folder.")
    total = squares = count = 0.0
    lows, highs = [], []
    minimum, maximum = np.inf, -np.inf
    constant: dict[str, float] = {}
    varying: set[str] = set()
    for stack, index, _ in spread_planes(stacks):
        check_stop(stop)
        plane = stack.plane(index)
        check_finite(plane, stack.name, index)
        low, high = float(plane.min()), float(plane.max())
        if low == high:
            constant[stack.name] = low
        else:
            varying.add(stack.name)
        total += float(plane.sum(dtype=np.float64))
        squares += float(np.einsum("yx,yx->", plane, plane, dtype=np.float64))
        count += plane.size
        every = -(-plane.shape[0] // ROWS)
        quantiles = np.percentile(plane[::every], [0.1, 99.9])
        lows.append(quantiles[0])
        highs.append(quantiles[1])
        minimum, maximum = min(minimum, low), max(maximum, high)
    for name, value in constant.items():
        if name not in varying:
            raise ImageError(
                f"{name} is constant: every pixel is {value:g}; there is nothing to learn from it."
            )
    mean = total / count
    std = float(np.sqrt(max(squares / count - mean**2, 0)))
    return ImageStatistics(mean, std, float(np.min(lows)), float(np.max(highs)), minimum, maximum)
