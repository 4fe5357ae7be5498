"""evaluate(): images against a truth or a second frame, plane by plane; a generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ConfigurationError, ImageError
from napari_hdn.core.events import Notice, RateLimit, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.metrics import (
    Range,
    mean_squared_error,
    psnr,
    scaled_error,
    span_of,
    ssim,
)
from napari_hdn.core.second_frame import Estimate, estimate_error, noise_variance, remarks
from napari_hdn.core.training.statistics import check_finite

Index = tuple[int, ...]


@dataclass(frozen=True)
class EvaluationProgress:
    """Where an evaluation is; ``fraction`` 0..1 of all planes."""

    fraction: float
    remaining_s: float


@dataclass(frozen=True)
class Evaluated:
    """Means over the planes of one image.

    Attributes
    ----------
    name : str
    planes, total : int
        How many were compared, and how many there are.
    values : tuple of float or None
        By the columns of the `Evaluation`; None where there is no such number.
    empty : int
        Planes that were left out: all their pixels are 0 where the reference has an image, which is
        what a file holds for planes that were never restored, or some are no numbers.
    """

    name: str
    planes: int
    total: int
    values: tuple[float | None, ...]
    empty: int = 0


@dataclass(frozen=True)
class Evaluation:
    """A table, one row an image; the last event of every evaluation.

    Attributes
    ----------
    columns : tuple of str
        What the numbers are, with range and unit.
    rows : tuple of Evaluated
    against : str
    note : str
        How the numbers are defined.
    stopped : bool
    """

    columns: tuple[str, ...]
    rows: tuple[Evaluated, ...]
    against: str
    note: str
    stopped: bool

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Header and rows; the last column is there only where planes were left out."""
        header: tuple[str, ...] = ("image", "planes", *self.columns)
        rows: list[tuple[Any, ...]] = [(r.name, r.planes, *r.values) for r in self.rows]
        if any(r.empty for r in self.rows):
            header = (*header, "planes left out")
            rows = [(*row, r.empty) for row, r in zip(rows, self.rows, strict=True)]
        return header, rows


def evaluate(
    images: Sequence[ImageStack],
    truth: ImageStack,
    span: Range = "truth",
    *,
    stop: Stop | None = None,
) -> Iterator[Notice | EvaluationProgress | Evaluation]:
    """Compare images with a truth: PSNR, SSIM, scale-invariant PSNR, MSE.

    Every number is computed for each plane, and the mean over the planes is told. Planes of an image
    that are 0 everywhere or damaged are left out and counted; see `Evaluated`.

    Parameters
    ----------
    images : sequence of ImageStack
        Restored ones, and perhaps the raw one, read plane by plane.
    truth : ImageStack
        Of the same planes; or a single plane, which then is the truth of all.
    span : 'truth' or float
        The range of PSNR in counts: max - min of the truth's plane, or a number such as 255.
    stop : Stop, optional
        Looked at after every plane; the means of what is done are told.

    Yields
    ------
    Notice, EvaluationProgress, Evaluation

    Raises
    ------
    ImageError
        If shapes differ, or no plane of an image can be compared: pixels are NaN or infinite, all
        are 0, or the truth is constant.
    ConfigurationError
        If there is no image, or the range is not positive.
    """
    if span != "truth" and not (math.isfinite(span) and span > 0):
        raise ConfigurationError(f"The range of PSNR is a positive number of counts, not {span:g}.")
    said = "max - min of the truth" if span == "truth" else f"{span:g}"

    def compare(image: np.ndarray, reference: np.ndarray, name: str, where: str) -> Any:
        counts = span_of(reference, span, where)
        mse = mean_squared_error(image, reference)
        scaled = psnr(scaled_error(image, reference), counts)
        return psnr(mse, counts), ssim(image, reference), scaled, mse

    columns = (
        f"PSNR (dB, range {said})",
        "SSIM (range max - min of the truth)",
        f"scale-invariant PSNR (dB, range {said})",
        "MSE (counts²)",
    )
    note = (
        "Means over planes. Scale-invariant PSNR: of a * image + b, with a and b fitted to the truth "
        "by least squares, plane by plane."
    )
    walk = _Walk(images, truth, stop or Stop())
    yield from walk.run(compare)
    rows = walk.rows(lambda values: _means(values, 4))
    yield Evaluation(columns, rows, truth.name, note, walk.stopped)


def evaluate_second_frame(
    model: HDN,
    images: Sequence[ImageStack],
    second: ImageStack,
    span: float | None = None,
    *,
    stop: Stop | None = None,
) -> Iterator[Notice | EvaluationProgress | Evaluation]:
    """Estimate the error of restored images without a truth; see `core.second_frame`.

    Parameters
    ----------
    model : HDN
        Its noise model tells the noise of the second frame.
    images : sequence of ImageStack
        Restored from other frames of the same static scene.
    second : ImageStack
        Noisy frames; of the same planes, or a single one for all.
    span : float, optional
        The range of PSNR in counts; by default max - min of the restored plane, as there is no
        truth. That is larger for noisier images: rank by the MSE.
    stop : Stop, optional

    Yields
    ------
    Notice, EvaluationProgress, Evaluation

    Raises
    ------
    ImageError, ConfigurationError
        As for `evaluate`.
    """
    if span is not None and not (math.isfinite(span) and span > 0):
        raise ConfigurationError(f"The range of PSNR is a positive number of counts, not {span:g}.")
    told: dict[str, None] = {}
    first: set[str] = set()

    def compare(image: np.ndarray, frame: np.ndarray, name: str, where: str) -> Any:
        estimate = estimate_error(image, frame, noise_variance(model, image, frame))
        if name not in first:  # one plane shows what is wrong with a stack
            first.add(name)
            told.update(dict.fromkeys(remarks(image, frame, estimate, name, where)))
        return estimate, float(np.ptp(image)) if span is None else span

    walk = _Walk(images, second, stop or Stop())
    for event in walk.run(compare):
        yield event
        while told:
            text = next(iter(told))
            del told[text]
            yield Notice(text, "warning")
    said = "max - min of the image" if span is None else f"{span:g}"
    columns = (
        "estimated MSE (counts²)",
        "its standard error (counts²)",
        f"estimated PSNR (dB, range {said})",
        "PSNR at most (dB, MSE less 2 standard errors)",
        "PSNR at least (dB, MSE plus 2 standard errors)",
        "noise variance taken off (counts²)",
    )
    note = (
        f"MSE = mean (image - {second.name})² - noise variance by the noise model of {model.name}, for "
        "a static scene. The standard error is that of chance; a noise model that is 1 % off shifts "
        "the MSE by 1 % of the noise variance, for all images alike."
    )
    yield Evaluation(columns, walk.rows(_combined), second.name, note, walk.stopped)


@dataclass
class _Walk:
    """Goes through the planes of several images beside those of a reference."""

    images: Sequence[ImageStack]
    reference: ImageStack
    stop: Stop
    values: list[list[Any]] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    damage: list[list[str]] = field(default_factory=list)  # why planes could not be compared
    stopped: bool = False

    def run(
        self, compare: Callable[[np.ndarray, np.ndarray, str, str], Any]
    ) -> Iterator[Notice | EvaluationProgress]:
        if not self.images:
            raise ConfigurationError("Choose at least one image to evaluate.")
        for image in self.images:
            check_fit(image, self.reference)
        self.values, self.empty = [[] for _ in self.images], [0 for _ in self.images]
        self.damage = [[] for _ in self.images]
        total, done, began = sum(map(len, self.images)), 0, time.monotonic()
        limit = RateLimit()
        for number, image in enumerate(self.images):
            for count, index in enumerate(image.indices()):
                if self.stop.requested:
                    self.stopped = True
                    return
                try:
                    plane, other, where = self._pair(image, index, count)
                    if not plane.any() and other.any():  # nobody restored it
                        self.empty[number] += 1
                    else:
                        self.values[number].append(compare(plane, other, image.name, where))
                except ImageError as error:
                    self.empty[number] += 1
                    self.damage[number].append(str(error))
                done += 1
                if limit.ready() or done == total:
                    elapsed = time.monotonic() - began
                    yield EvaluationProgress(done / total, elapsed * (total / done - 1))
            if self.empty[number]:
                yield self._left_out(number)

    def _left_out(self, number: int) -> Notice:
        """Say how many planes of an image are in no mean."""
        image, empty, damage = self.images[number], self.empty[number], self.damage[number]
        if not self.values[number] and damage:
            raise ImageError(damage[0])
        if not self.values[number]:
            raise ImageError(
                f"All pixels of {image.name} are 0 in {_planes(empty)}, while {self.reference.name} "
                "has an image there: there is nothing to compare. Was it restored?"
            )
        others = " Its means are over fewer planes than those of other images." * (
            len(self.images) > 1
        )
        if damage:
            zeros = f", and {empty - len(damage)} are 0 everywhere" if empty > len(damage) else ""
            return Notice(
                f"{image.name}: {len(damage)} of {_planes(len(image))} cannot be compared{zeros}; they "
                f"are left out.{others} The first: {damage[0]}",
                "warning",
            )
        return Notice(
            f"{image.name}: {empty} of {_planes(len(image))} are 0 everywhere, as planes of a partial "
            f"file are that were not restored; they are left out.{others}",
            "warning",
        )

    def rows(
        self, combine: Callable[[list[Any]], tuple[float | None, ...]]
    ) -> tuple[Evaluated, ...]:
        """One `Evaluated` an image."""
        return tuple(
            Evaluated(image.name, len(values), len(image), combine(values), empty)
            for image, values, empty in zip(self.images, self.values, self.empty, strict=True)
        )

    def _pair(
        self, image: ImageStack, index: Index, count: int
    ) -> tuple[np.ndarray, np.ndarray, str]:
        shape = self.reference.leading_shape
        own = tuple(
            int(i) for i in np.unravel_index(count if len(self.reference) > 1 else 0, shape)
        )
        plane, other = image.plane(index), self.reference.plane(own if shape else ())
        check_finite(plane, image.name, index)
        check_finite(other, self.reference.name, own if shape else ())
        where = self.reference.name
        if len(self.reference) > 1:
            where += "".join(
                f", {a} {i}" for a, i in zip(self.reference.leading_axes, own, strict=True)
            )
        return plane, other, where


def check_fit(image: ImageStack, reference: ImageStack) -> None:
    """Whether every plane of an image has one in the reference.

    Raises
    ------
    ImageError
        If not, with both sizes.
    """
    same = _without_ones(image.leading_shape) == _without_ones(reference.leading_shape)
    if image.plane_shape != reference.plane_shape or not (same or len(reference) == 1):
        raise ImageError(
            f"{image.name} ({_sizes(image)}) and {reference.name} ({_sizes(reference)}) do not belong "
            "together: the same planes are needed, of the same size, or a single plane to compare "
            "all with."
        )


def _planes(n: int) -> str:
    return f"{n} plane{'s' if n != 1 else ''}"


def _sizes(stack: ImageStack) -> str:
    text = " x ".join(f"{a} {n}" for a, n in zip(stack.axes, stack.array.shape, strict=True))
    return text if stack.channel is None else f"{text}, channel {stack.channel}"


def _without_ones(shape: Index) -> Index:
    return tuple(n for n in shape if n != 1)


def _means(values: list[tuple[float | None, ...]], n: int) -> tuple[float | None, ...]:
    if not values:
        return (None,) * n
    columns = zip(*values, strict=True)
    return tuple(None if None in c else float(np.mean(c)) for c in columns)


def _combined(values: list[tuple[Estimate, float]]) -> tuple[float | None, ...]:
    """Over planes: the mean error, its standard error, and PSNR of these, not means of PSNR."""
    if not values:
        return (None,) * 6
    n = len(values)
    mse = float(np.mean([e.mse for e, _ in values]))
    error = math.sqrt(sum(e.standard_error**2 for e, _ in values)) / n
    span = float(np.mean([s for _, s in values]))

    def decibels(value: float) -> float | None:
        return psnr(value, span) if value > 0 and span > 0 else None

    best, worst = decibels(mse - 2 * error), decibels(mse + 2 * error)
    variance = float(np.mean([e.noise_variance for e, _ in values]))
    return mse, error, decibels(mse), best, worst, variance
