"""Segmenting the planes of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hdn import api
from napari_hdn.api import FileStack, Notice, SegmentationConfig, Stop
from napari_hdn.cli.inspection import one_image, plane_index
from napari_hdn.cli.segmentation_files import SegmentationFiles
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import (
    ConfigurationError,
    DamagedPlaneError,
    HDNError,
    ImageError,
    ImageLostError,
    StoppedEarly,
    is_memory_short,
)

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.segmentation.segment import Segmentation

Index = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """The planes of a file that are to be segmented.

    Attributes
    ----------
    stack : FileStack
        An image, or samples of one along its axis S.
    chosen : tuple of int or None
        The one plane to segment, along `lead`; None for all.
    """

    stack: FileStack
    chosen: Index | None = None

    @property
    def lead(self) -> str:
        """The leading axes of the planes."""
        return self.stack.leading_axes.replace("S", "")

    @property
    def sizes(self) -> Index:
        """Along `lead`."""
        of = dict(zip(self.stack.leading_axes, self.stack.leading_shape, strict=True))
        return tuple(of[a] for a in self.lead)

    @property
    def shape(self) -> Index:
        """Of the labels that are written, along `axes`."""
        return (*(self.sizes if self.chosen is None else ()), *self.stack.plane_shape)

    @property
    def axes(self) -> str:
        """Of the labels that are written."""
        return (self.lead if self.chosen is None else "") + "YX"

    def planes(self) -> Iterator[Index]:
        """Their places along `lead`."""
        yield from np.ndindex(self.sizes) if self.chosen is None else iter([self.chosen])

    def name_of(self, index: Index) -> str:
        """Of a plane, for messages."""
        if not self.sizes or self.chosen is not None:
            return self.stack.name
        at = (f", {a} {i}" for a, i in zip(self.lead, index, strict=True))
        return f"{self.stack.name}{''.join(at)}"

    @property
    def samples(self) -> int | None:
        """How many a file of samples has; None of an image."""
        return dict(zip(self.stack.axes, self.stack.array.shape, strict=True)).get("S")

    def samples_at(self, index: Index) -> np.ndarray:
        """(N, Y, X) samples of a plane."""
        at = dict(zip(self.lead, index, strict=True))
        return np.stack(
            [
                self.stack.plane(tuple(k if a == "S" else at[a] for a in self.stack.leading_axes))
                for k in range(self.samples or 0)
            ]
        )

    def check_samples(self) -> None:
        """Say so if there is no axis of samples.

        Raises
        ------
        ConfigurationError
        """
        if "S" not in self.stack.leading_axes:
            raise ConfigurationError(
                f"{self.stack.name} has no axis of samples: its axes are {self.stack.axes}. Give a file "
                "made by restore --outputs samples, or say which axis holds them, such as --axes SYX."
            )

    def check_image(self) -> None:
        """Say so if these are samples already.

        Raises
        ------
        ConfigurationError
        """
        if "S" in self.stack.leading_axes:
            raise ConfigurationError(
                f"{self.stack.name} holds samples (axes {self.stack.axes}): name it with "
                "--from-samples instead of a model and an image."
            )


@dataclass(frozen=True)
class Truth:
    """Labels to compare with, plane by plane.

    Attributes
    ----------
    stack : FileStack
    drawn : set of tuple of int
        The planes, of those that are segmented, in which somebody drew objects.
    """

    stack: FileStack
    drawn: frozenset[Index] = frozenset()

    def at(self, index: Index, sizes: Index) -> np.ndarray:
        """(Y, X) labels of plane ``index`` out of ``sizes``, in the file's own type."""
        # axes of length 1 may differ, so planes are counted
        number = int(np.ravel_multi_index(index, sizes)) if index and len(self.stack) > 1 else 0
        shape, whole = self.stack.leading_shape, slice(None)
        own = tuple(int(i) for i in np.unravel_index(number, shape)) if shape else ()
        piece = np.asarray(self.stack.array[self.stack.selection(own, whole, whole)])
        return piece.T if self.stack.x_before_y else piece


def open_work(
    path: str, axes: str | None, channel: int | str | None, index: str | None, progress: Progress
) -> Work:
    """The planes of a file.

    Raises
    ------
    ConfigurationError
        If there are several images, or no such plane.
    """
    work = Work(one_image(path, axes, channel, progress))
    if index is None:
        return work
    return replace(work, chosen=plane_index(work.stack.name, work.lead, work.sizes, index))


def open_truth(path: str, work: Work, progress: Progress) -> Truth:
    """Labels for the planes that are segmented.

    Raises
    ------
    ConfigurationError
        If there are not as many planes, of the same size, or these are no labels of
        objects.
    """
    stacks = api.open_images([path])
    if len(stacks) != 1:
        raise ConfigurationError(f"Give one image of labels, not the {len(stacks)} of {path}.")
    (stack,) = stacks
    one = len(stack) == 1 and (work.chosen is not None or int(np.prod(work.sizes)) == 1)
    if stack.plane_shape != work.stack.plane_shape or not (
        one or _without_ones(stack.leading_shape) == _without_ones(work.sizes)
    ):
        raise ConfigurationError(
            f"The truth {stack.name} ({_sizes(stack.axes, stack.array.shape)}) does not fit "
            f"{work.stack.name} ({_sizes(work.stack.axes, work.stack.array.shape)}): it needs the "
            "same planes, or one plane for one that is named with --index."
        )
    truth = Truth(stack)
    planes, drawn = list(work.planes()), set()
    for index in planes:  # before hours of drawing
        labels = truth.at(index, work.sizes)
        if labels.any() or len(planes) == 1:
            api.check_truth(labels, work.stack.plane_shape, stack.name)
            drawn.add(index)
    if not drawn:
        raise ConfigurationError(f"The truth {stack.name} has no objects: all its pixels are 0.")
    if len(drawn) < len(planes):
        progress.say(
            f"{stack.name} has objects in {len(drawn)} of {len(planes)} planes: scored there."
        )
    return replace(truth, drawn=frozenset(drawn))


def run(
    model: HDN | None,
    work: Work,
    truth: Truth | None,
    config: SegmentationConfig,
    folder: Path,
    progress: Progress,
    stop: Stop,
) -> int:
    """Segment plane by plane, write what was found, tell about it.

    A damaged plane among several is told and left out, and so is one that was not restored, and the
    one in which the user stopped.

    Returns
    -------
    int
        How many planes are damaged.

    Raises
    ------
    ImageError
        If no plane can be segmented.
    StoppedEarly
        If the user stopped before there was anything to write.
    """
    planes = list(work.planes())
    damaged: list[ImageError] = []
    with SegmentationFiles(folder, work, config, model) as files:
        for number, index in enumerate(planes):
            try:
                result = _segmented(model, work, index, config, progress, stop, number)
            except StoppedEarly:
                if not files.done:
                    raise
                break
            except ImageError as error:
                if len(planes) == 1:
                    raise
                damaged.append(error)
                progress.say(f"Warning: {error} This plane was left out.")
                continue
            # few samples agree by chance: they stand beside no plane that has them all
            short = result is not None and result.stopped and len(planes) > 1
            if result is not None and short and (files.done or not stop.requested):
                progress.say(f"{work.name_of(index)} was left out: {result.shortfall} only.")
            elif result is not None:
                files.write(index, result)
                if truth is not None and index in truth.drawn:
                    scores = result.scores(truth.at(index, work.sizes), truth.stack.name)
                    files.scores.add(index, scores.table())
            if stop.requested:
                break
    if not files.done:
        raise _nothing(work, damaged, stop)
    if damaged:
        progress.say(
            f"Warning: {len(damaged)} of {len(planes)} planes are damaged and 0 in the files."
        )
    files.tell(progress)
    return len(damaged)


def _nothing(work: Work, damaged: list[ImageError], stop: Stop) -> Exception:
    """Why no plane was segmented."""
    if stop.requested:
        return StoppedEarly("Stopped before a plane was segmented; nothing was written.")
    if damaged:
        damaged[0].add_note("No other plane could be segmented either.")
        return damaged[0]
    return ImageError(
        f"No plane of {work.stack.name} has all its samples: the others are 0 everywhere, as planes "
        "are that were not restored. Restore the image again, to its end."
    )


def _segmented(
    model: HDN | None,
    work: Work,
    index: Index,
    config: SegmentationConfig,
    progress: Progress,
    stop: Stop,
    before: int,
) -> Segmentation | None:
    """What is found in one plane after others; None if its samples were never drawn."""
    name = work.name_of(index)
    total = 1 if work.chosen is not None else int(np.prod(work.sizes, dtype=int))
    lacking = 0
    if model is not None:
        counts = _read(lambda: work.stack.plane(index), name)
        if np.isfinite(counts).all():  # else it is refused below
            remark = api.range_remark(model, counts, name)
            if remark:
                progress.notice(Notice(remark, "warning"))
        number = int(np.ravel_multi_index(index, work.sizes)) if work.sizes else 0
        events = api.segment(model, counts, config, number=number, stop=stop, name=name)
    else:
        samples = _read(lambda: work.samples_at(index), name)
        drawn = samples.any(axis=(1, 2))  # a partial file has zeros for what is not
        lacking = int(np.count_nonzero(~drawn))
        if lacking:
            progress.notice(
                Notice(
                    f"{name}: {lacking} of {len(samples)} samples are 0 everywhere, as those of a "
                    "partial file are that were not drawn; they are left out.",
                    "warning",
                )
            )
        if lacking == len(samples):
            return None
        events = api.segment_samples(samples[drawn], config, stop=stop, name=name)
    result: Segmentation | None = None
    for event in events:
        if isinstance(event, Notice):
            progress.notice(event)
        elif isinstance(event, api.SegmentationProgress):
            left = event.remaining_s if total == 1 else float("inf")
            progress.update((before + event.fraction) / total, event.doing, left)
        else:
            result = replace(event, wanted=event.wanted + lacking)
    return result


def _read(read: Callable[[], np.ndarray], name: str) -> np.ndarray:
    """The pixels of a plane.

    Raises
    ------
    DamagedPlaneError
        If the file is damaged there.
    """
    try:
        return read()
    except ImageLostError:
        raise
    except HDNError as error:
        raise DamagedPlaneError(str(error)) from error
    except Exception as error:
        if is_memory_short(error):
            raise
        raise DamagedPlaneError(f"{name} could not be read: {error}") from error


def _without_ones(shape: Index) -> Index:
    return tuple(n for n in shape if n != 1)


def _sizes(axes: str, shape: Index) -> str:
    return " x ".join(f"{a} {n}" for a, n in zip(axes, shape, strict=True))
