"""Which planes of which file are to be segmented, and the labels to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_hdn import api
from napari_hdn.api import FileStack
from napari_hdn.cli.inspection import one_image, plane_index
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import ConfigurationError

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
    region : (y0, y1, x0, x1) or None
        The part of each plane, in pixels; None for all.
    """

    stack: FileStack
    chosen: Index | None = None
    region: tuple[int, int, int, int] | None = None

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
        return (*(self.sizes if self.chosen is None else ()), *self.plane_shape)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(Y, X) pixels of what is segmented of each plane."""
        ys, xs = self._part
        return ys.stop - ys.start, xs.stop - xs.start

    @property
    def _part(self) -> tuple[slice, slice]:
        height, width = self.stack.plane_shape
        y0, y1, x0, x1 = self.region or (0, height, 0, width)
        return slice(y0, y1), slice(x0, x1)

    def plane(self, index: Index) -> np.ndarray:
        """(Y, X) counts of a plane, of its region only where there is one."""
        return self.stack.crop(index, *self._part)

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
                self.plane(tuple(k if a == "S" else at[a] for a in self.stack.leading_axes))
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
    return truth_of(stacks[0], work, progress)


def truth_of(stack: FileStack, work: Work, progress: Progress) -> Truth:
    """The same of labels that are open.

    Raises
    ------
    ConfigurationError
        As `open_truth`.
    """
    one = len(stack) == 1 and (work.chosen is not None or int(np.prod(work.sizes)) == 1)
    if stack.plane_shape != work.plane_shape or not (
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
            api.check_truth(labels, work.plane_shape, stack.name)
            drawn.add(index)
    if not drawn:
        raise ConfigurationError(f"The truth {stack.name} has no objects: all its pixels are 0.")
    if len(drawn) < len(planes):
        progress.say(
            f"{stack.name} has objects in {len(drawn)} of {len(planes)} planes: scored there."
        )
    return replace(truth, drawn=frozenset(drawn))


def _without_ones(shape: Index) -> Index:
    return tuple(n for n in shape if n != 1)


def _sizes(axes: str, shape: Index) -> str:
    return " x ".join(f"{a} {n}" for a, n in zip(axes, shape, strict=True))
