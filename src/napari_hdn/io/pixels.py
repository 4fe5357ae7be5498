"""Pixel types of files, and what happens to values that a type cannot hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_hdn.core.errors import OutputError


def file_dtype(dtype: Any) -> np.dtype:
    """The type that a file gets: floats become 32-bit, integers of up to 32 bits stay.

    Raises
    ------
    OutputError
        For others.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype.kind in "ui" and dtype.itemsize <= 4:
        return dtype.newbyteorder("=")
    raise OutputError(
        f"A file cannot hold {dtype.name} pixels; choose float32 or integers of up to 32 bits."
    )


def converted(pixels: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Pixels as a file's type has them, and how many were clipped: integers are rounded before."""
    if dtype.kind == "f":
        return pixels.astype(dtype, copy=False), 0
    if pixels.dtype == dtype:
        return pixels, 0
    limits = np.iinfo(dtype)
    rounded = np.rint(pixels.astype(np.float64))
    inside = np.clip(np.nan_to_num(rounded, nan=0.0), limits.min, limits.max)
    return inside.astype(dtype), int(np.count_nonzero(inside != rounded))
