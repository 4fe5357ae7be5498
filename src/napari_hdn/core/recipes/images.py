"""Which images: names, shapes, and a checksum of their pixels.

The checksum is a SHA-256 of pixels, not of files: the same pixels in another file, or in a layer, are
the same image. Of images beyond 256 MB it is taken of an evenly spread sample, so that it costs
seconds at most; the record says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import Frozen
from napari_hdn.core.errors import is_memory_short
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.text import as_readable

WHOLE_BYTES = 2**28  # of pixels, up to which all are looked at
SAMPLED_PLANES = 64
BANDS, BAND_BYTES = 16, 2**16  # of rows, in each of these planes

ALL = "all pixels"
Name = Annotated[str, BeforeValidator(as_readable), Field(max_length=4000)]


class ImageRecord(Frozen):
    """One image, as it was read.

    Attributes
    ----------
    name : str
        Of the file, with the series in brackets where it has several, or of the layer.
    path : str or None
        Of the file; relative to the recipe's folder where it is near it. None for a layer.
    axes, shape, dtype
        Of the whole array.
    channel : int or None
        The one that was used, counted from 0.
    series : int or None
        Which image of a file with several.
    sha256 : str
        Of the pixels of that channel.
    sha256_of : str
        ``all pixels``, or the sample that it was taken of.
    """

    name: Name
    path: Name | None = None
    axes: Annotated[str, Field(pattern=r"^[STCZYX]{2,6}$")]
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=6)]
    dtype: Annotated[str, Field(max_length=20)]
    channel: Annotated[int, Field(ge=0)] | None = None
    series: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    sha256_of: Annotated[str, Field(max_length=200)] = ALL

    def in_words(self) -> str:
        """Axes, sizes and type."""
        sizes = " x ".join(map(str, self.shape))
        told = f"{self.axes} {sizes} {self.dtype}"
        return told if self.channel is None else f"{told}, channel {self.channel}"


def identify(stack: ImageStack, stop: Stop | None = None) -> ImageRecord:
    """Look at an image's pixels and note which they are.

    Raises
    ------
    StoppedEarly
        If ``stop`` was requested.
    """
    path = getattr(stack, "path", None)
    digest, of = _digest(stack, stop)
    return ImageRecord(
        name=stack.name,
        path=None if path is None else str(Path(path).absolute()),
        axes=stack.axes,
        shape=tuple(int(n) for n in stack.array.shape),
        dtype=np.dtype(stack.array.dtype).name,
        channel=stack.channel,
        series=getattr(stack, "series", None),
        sha256=digest,
        sha256_of=of,
    )


def differences(recorded: ImageRecord, stack: ImageStack, stop: Stop | None = None) -> str:
    """How an image differs from the recorded one, in words; empty if it is the same."""
    shape = tuple(int(n) for n in stack.array.shape)
    now = recorded.model_copy(
        update={
            "axes": stack.axes,
            "shape": shape,
            "dtype": np.dtype(stack.array.dtype).name,
            "channel": stack.channel,
        }
    )
    if now != recorded:
        return f"it is {now.in_words()}, the recorded one was {recorded.in_words()}"
    digest, of = _digest(stack, stop)
    if digest != recorded.sha256:
        return (
            f"its pixels differ: their checksum (SHA-256 of {of}) is {digest[:12]}..., recorded is "
            f"{recorded.sha256[:12]}..."
        )
    return ""


def _digest(stack: ImageStack, stop: Stop | None) -> tuple[str, str]:
    """SHA-256 of (sampled) pixels as hexadecimal digits, and what it was taken of."""
    dtype = np.dtype(stack.array.dtype)
    height, width = stack.plane_shape
    found = hashlib.sha256(f"{dtype.name} {stack.leading_shape} {height} {width}".encode())
    whole = len(stack) * height * width * dtype.itemsize <= WHOLE_BYTES
    indices = list(stack.indices()) if whole else _some_indices(stack)
    bands = [slice(0, height)] if whole else list(_bands(height, width * dtype.itemsize))
    for index in indices:
        for rows in bands:
            if stop is not None:
                check_stop(stop)
            found.update(_bytes_of(stack, index, rows))
    if whole:
        return found.hexdigest(), ALL
    rows_each = sum(rows.stop - rows.start for rows in bands)
    of = f"{len(indices)} of {len(stack)} planes, {rows_each} of {height} rows of each"
    return found.hexdigest(), of


def _bytes_of(stack: ImageStack, index: tuple[int, ...], rows: slice) -> Any:
    try:
        piece = np.asarray(stack.array[stack.selection(index, rows, slice(None))])
    except Exception as error:
        if is_memory_short(error):
            raise
        return b"unreadable"  # whatever uses this plane will tell
    piece = piece.T if stack.x_before_y else piece
    return np.ascontiguousarray(piece, piece.dtype.newbyteorder("<")).tobytes()


def _some_indices(stack: ImageStack) -> list[tuple[int, ...]]:
    chosen = np.unique(np.linspace(0, len(stack) - 1, SAMPLED_PLANES).round().astype(np.int64))
    shape = stack.leading_shape
    return [tuple(int(k) for k in np.unravel_index(n, shape)) if shape else () for n in chosen]


def _bands(height: int, row_bytes: int) -> Iterator[slice]:
    rows = max(1, BAND_BYTES // row_bytes)
    if rows * BANDS >= height:
        yield slice(0, height)
        return
    for start in np.linspace(0, height - rows, BANDS).round().astype(int):
        yield slice(int(start), int(start) + rows)
