"""What array-likes that read from files have in common."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np


class Pixels:
    """An array-like that reads what is asked for; indexed as numpy is, with integers and slices.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels in all planes."""
        return prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)


def expand(key: Any, ndim: int) -> tuple[Any, ...]:
    """One int or slice per axis."""
    keys = key if isinstance(key, tuple) else (key,)
    if any(k is Ellipsis for k in keys):
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys = keys[:at] + (slice(None),) * (ndim - len(keys) + 1) + keys[at + 1 :]
    if len(keys) > ndim:
        raise IndexError(f"{len(keys)} indices for an image with {ndim} axes")
    return keys + (slice(None),) * (ndim - len(keys))


def cover(key: Any, length: int) -> tuple[range, Any]:
    """The smallest range that holds what an index takes of an axis, and the index within it."""
    if not isinstance(key, slice):
        at = int(key)
        if not -length <= at < length:
            raise IndexError(f"index {at} is beyond the {length} of its axis")
        return range(at % length, at % length + 1), 0
    taken = range(length)[key]
    if not taken:
        return range(0), slice(0, 0)
    low, high = min(taken[0], taken[-1]), max(taken[0], taken[-1])
    last = taken[-1] - low - 1 if taken.step < 0 else taken[-1] - low + 1
    return range(low, high + 1), slice(taken[0] - low, None if last < 0 else last, taken.step)
