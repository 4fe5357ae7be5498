"""How an image is laid out in an OME-Zarr: order of axes, chunks, files, pyramid. Pure functions.

A file never holds pixels of two planes, so that planes can be written by several processes. A plane of
up to 2048 x 2048 pixels is one file (a Zarr "shard") of chunks that can be read one by one: a screen
of a million planes is a million files, not sixteen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from napari_hdn.core.axes import check_axes

CHUNK_PX = 512  # 1 MB of float32: what a viewer reads at once
FILE_PX = 2048  # 16 MB of float32
PYRAMID_PX = 1024  # planes beyond get a pyramid

_ORDER = "TCSZYX"  # OME-Zarr wants time first, then one of channels or a custom axis, then space


@dataclass(frozen=True)
class Cut:
    """How planes of a size are cut.

    Attributes
    ----------
    shape : (int, int)
        (Y, X) of the plane.
    chunk, file : (int, int)
        (Y, X) of what is read, and written, at once.
    """

    shape: tuple[int, int]
    chunk: tuple[int, int]
    file: tuple[int, int]

    @property
    def sharded(self) -> bool:
        """Whether a file holds several chunks."""
        return self.file != self.chunk


@dataclass(frozen=True)
class Layout:
    """How an image lies in its store.

    Attributes
    ----------
    lead : str
        Leading axes in the caller's order.
    axes : str
        In the store: letters of ``TCSZYX``.
    shape : tuple of int
        In the store, one size per axis.
    samples : int
        How many the axis C of the store holds of each channel, where the image has both axes, which
        OME-Zarr 0.5 does not allow: sample 1 of all channels comes first. Else 0.
    levels : tuple of Cut
        Of the pyramid, finest first.
    """

    lead: str
    axes: str
    shape: tuple[int, ...]
    samples: int
    levels: tuple[Cut, ...]

    def place(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Where a plane lies along the leading axes of the store."""
        at = dict(zip(self.lead, index, strict=True))
        if self.samples:
            channels = self.shape[self.axes.index("C")] // self.samples
            at["C"] += at.pop("S") * channels
        return tuple(at[a] for a in self.axes[:-2])


def plan_layout(
    shape: tuple[int, ...],
    axes: str,
    *,
    pyramid: bool | None = None,
    rows: int | None = None,
) -> Layout:
    """Lay out an image.

    Parameters
    ----------
    shape : tuple of int
        One size per axis.
    axes : str
        One letter of ``STCZYX`` per axis.
    pyramid : bool, optional
        Whether there are coarser copies, each half the one before along Y and X, until the last has at
        most `CHUNK_PX` pixels a side; by default for planes beyond `PYRAMID_PX`.
    rows : int, optional
        Of a file, where what writes it has bands of its own.
    """
    axes = check_axes(axes, shape)
    sizes = dict(zip(axes, map(int, shape), strict=True))
    lead = "".join(a for a in axes if a not in "YX")
    samples = sizes.pop("S") if {"S", "C"} <= set(axes) else 0
    if samples:
        sizes["C"] *= samples
    stored = "".join(a for a in _ORDER if a in sizes)
    plane = sizes["Y"], sizes["X"]
    return Layout(
        lead,
        stored,
        tuple(sizes[a] for a in stored),
        samples,
        tuple(_cut(size, rows if size == plane else None) for size in _sizes(plane, pyramid)),
    )


def has_pyramid(plane: tuple[int, int], wanted: bool | None) -> bool:
    """Whether an image with planes of this size gets coarser copies."""
    return max(plane) > PYRAMID_PX if wanted is None else wanted


def _sizes(plane: tuple[int, int], pyramid: bool | None) -> list[tuple[int, int]]:
    sizes = [plane]
    coarser = has_pyramid(plane, pyramid)
    while coarser and max(sizes[-1]) > CHUNK_PX:
        sizes.append((ceil(sizes[-1][0] / 2), ceil(sizes[-1][1] / 2)))
    return sizes


def _cut(plane: tuple[int, int], rows: int | None) -> Cut:
    y_chunk, y_file = _along(plane[0]) if rows is None else (_divisor(rows), rows)
    x_chunk, x_file = _along(plane[1])
    return Cut(plane, (y_chunk, x_chunk), (y_file, x_file))


def _along(size: int) -> tuple[int, int]:
    chunk = min(size, CHUNK_PX)
    return chunk, chunk * min(FILE_PX // CHUNK_PX, ceil(size / chunk))


def _divisor(rows: int) -> int:
    """The most rows of a chunk that a file has a whole number of; not so few that chunks are slivers."""
    for parts in range(ceil(rows / CHUNK_PX), rows // (CHUNK_PX // 8) + 1):
        if rows % parts == 0:
            return rows // parts
    return rows
