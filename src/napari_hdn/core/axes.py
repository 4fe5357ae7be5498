"""Axes strings such as "TZYX" and the (Y, X) planes that an image consists of, lazily."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Self

import numpy as np

from napari_hdn.core.errors import AxesError, ImageError

LETTERS = "STCZYX"


def check_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Return ``axes`` in capitals, or say what is wrong with it.

    Raises
    ------
    AxesError
        For unknown or repeated letters, a missing Y or X, or a wrong number of letters.
    """
    axes = axes.strip().upper()
    wrong = sorted(set(axes) - set(LETTERS))
    if wrong:
        raise AxesError(
            f"Axes {axes!r} contain {wrong[0]!r}; use S (sample), T (time), C (channel), Z, Y and X."
        )
    repeated = [a for a in axes if axes.count(a) > 1]
    if repeated:
        raise AxesError(f"Axes {axes!r} name {repeated[0]} twice; each letter stands for one axis.")
    if "Y" not in axes or "X" not in axes:
        raise AxesError(f"Axes {axes!r} lack Y or X; an image needs both.")
    if len(axes) != len(shape):
        sizes = " x ".join(map(str, shape))
        raise AxesError(
            f"Axes {axes!r} are {len(axes)} letters, but the image has {len(shape)} axes "
            f"({sizes}); give one letter per axis."
        )
    return axes


def guess_axes(shape: tuple[int, ...], labels: tuple[str, ...] | None = None) -> str:
    """Guess one letter per axis from the shape and, where they are usable, axis labels.

    Labels count if Y and X are among them; leading axes whose label is not known, such as positions
    and angles, are then samples and so on. Without labels the last two axes are Y and X; of leading
    axes, small ones next to Y, X are channels (at most 4), else time, depth, sample.
    """
    n = len(shape)
    if labels is not None and len(labels) == n and (named := _named_axes(labels)) is not None:
        return named
    lead = {0: "", 1: "T", 2: "TZ", 3: "TCZ", 4: "STCZ"}.get(n - 2)
    if n < 2 or lead is None:
        raise AxesError(f"An image with {n} axes cannot be used; it needs 2 to 6, with Y and X.")
    if n == 4 and shape[1] <= 4 < shape[0]:
        lead = "TC"
    return lead + "YX"


def _named_axes(labels: tuple[str, ...]) -> str | None:
    """One letter per label, if Y and X are among them; other axes are images beside each other."""
    letters = [_letter(label) for label in labels]
    known = [a for a in letters if a is not None]
    free = [a for a in "STZC" if a not in known]
    if len(set(known)) < len(known) or not {"Y", "X"} <= set(known):
        return None
    if len(letters) - len(known) > len(free):
        return None
    # what napari calls an axis that nobody named
    if any(label.strip().lower().startswith("axis ") for label in labels):
        return None
    return "".join(a or free.pop(0) for a in letters)


def _letter(label: str) -> str | None:
    """The letter of an axis that some program named, None for a name that is not known."""
    label = label.strip().lower()
    if len(label) == 1 and label.upper() in LETTERS:
        return label.upper()
    names = {"time": "T", "frame": "T", "channel": "C", "sample": "S", "depth": "Z"}
    return names.get(label.removesuffix("s"))


@dataclass(frozen=True)
class ImageStack:
    """An array-like with its axes; nothing is read until a plane is asked for.

    Parameters
    ----------
    array : array-like
        numpy, dask, zarr or memory-mapped; in camera counts.
    axes : str
        One letter of ``STCZYX`` per axis, in the order of the array.
    name : str
        What to call it in messages.
    channel : int, optional
        Use this index of axis C only.

    Raises
    ------
    AxesError, ImageError
        If the axes do not fit, or the pixels are not grey values.
    """

    array: Any = field(repr=False)
    axes: str
    name: str = "image"
    channel: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", check_axes(self.axes, tuple(self.array.shape)))
        kind = np.dtype(self.array.dtype).kind
        if kind not in "uif":
            raise ImageError(
                f"{self.name} holds {np.dtype(self.array.dtype).name} values; HDN needs grey values "
                "(integers or floats)."
            )
        if 0 in self.array.shape:
            sizes = " x ".join(map(str, self.array.shape))
            raise ImageError(
                f"{self.name} holds no pixels: its size is {sizes} ({self.axes}). Was the recording "
                "ended before its first frame? Leave it out, or record it again."
            )
        if self.channel is not None:
            count = self._size("C") if "C" in self.axes else 1
            if self.channel >= count:
                raise AxesError(
                    f"{self.name} has {count} channel(s), so channel {self.channel} does not exist; "
                    f"channels count from 0."
                )

    def of_channel(self, channel: int | None) -> Self:
        """The stack restricted to a channel, where it has several and none was chosen yet."""
        if channel is None or self.channel is not None or "C" not in self.axes:
            return self
        return replace(self, channel=channel)

    def _size(self, letter: str) -> int:
        return int(self.array.shape[self.axes.index(letter)])

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(Y, X) in pixels."""
        return self._size("Y"), self._size("X")

    @property
    def leading_axes(self) -> str:
        """All axes but Y and X that are walked, in the order of the array."""
        skip = "YX" + ("C" if self.channel is not None else "")
        return "".join(a for a in self.axes if a not in skip)

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Sizes of the leading axes."""
        return tuple(self._size(a) for a in self.leading_axes)

    def __len__(self) -> int:
        return int(np.prod(self.leading_shape, dtype=int))

    def indices(self) -> Iterator[tuple[int, ...]]:
        """All plane indices, last leading axis fastest."""
        return product(*(range(n) for n in self.leading_shape))

    def selection(self, index: tuple[int, ...], ys: slice, xs: slice) -> tuple[Any, ...]:
        """The array index of a piece of plane ``index``, in the array's own axis order."""
        at = dict(zip(self.leading_axes, index, strict=True))
        if self.channel is not None and "C" in self.axes:
            at["C"] = self.channel
        return tuple(ys if a == "Y" else xs if a == "X" else at[a] for a in self.axes)

    @property
    def x_before_y(self) -> bool:
        """Whether a piece read from the array must be transposed to become (Y, X)."""
        return self.axes.index("X") < self.axes.index("Y")

    def crop(self, index: tuple[int, ...], ys: slice, xs: slice) -> np.ndarray:
        """Read one piece of one plane as (Y, X) float32 counts."""
        piece = np.asarray(self.array[self.selection(index, ys, xs)])
        # a copy always: a view would share the user's pixels, and a memory map is read-only
        return np.array(piece.T if self.x_before_y else piece, dtype=np.float32, order="C")

    def plane(self, index: tuple[int, ...]) -> np.ndarray:
        """Read one plane as (Y, X) float32 counts."""
        return self.crop(index, slice(None), slice(None))


def describe_data(stacks: Sequence[ImageStack]) -> tuple[str, ...]:
    """Names, axes and shapes of images, for the record."""
    return tuple(
        f"{s.name} {s.axes} {' x '.join(map(str, np.shape(s.array)))} {np.dtype(s.array.dtype).name}"
        + ("" if s.channel is None else f" channel {s.channel}")
        for s in stacks
    )
