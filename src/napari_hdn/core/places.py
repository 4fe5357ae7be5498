"""Places of pieces in images: at random, but never nearly the same piece twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_TRIES = 64  # draws of a place before a plane counts as full


def places(
    planes: Sequence[tuple[int, ...]],
    shape: tuple[int, int],
    size: tuple[int, int],
    number: int,
    seed: int,
) -> list[tuple[tuple[int, ...], int, int]]:
    """Draw places from planes in turns, until there are enough or all planes are full.

    Parameters
    ----------
    planes : sequence of tuple of int
        Their indices.
    shape, size : (height, width)
        Of a plane, and of a piece, which is no larger.
    number : int
    seed : int

    Returns
    -------
    list of (index, y, x)
        Plane and corner; no two share more than half their pixels.
    """
    rng = np.random.default_rng(seed)
    room = [n - m + 1 for n, m in zip(shape, size, strict=True)]
    taken: dict[tuple[int, ...], list[tuple[int, int]]] = {index: [] for index in planes}
    found: list[tuple[tuple[int, ...], int, int]] = []
    open_planes = list(planes)
    while open_planes and len(found) < number:
        for index in open_planes[: number - len(found)]:
            for _ in range(_TRIES):
                y, x = (int(rng.integers(n)) for n in room)
                if all(_apart((y, x), other, size) for other in taken[index]):
                    taken[index].append((y, x))
                    found.append((index, y, x))
                    break
            else:
                open_planes.remove(index)
    return found


def _apart(one: tuple[int, int], other: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether two pieces of a plane share at most half their pixels."""
    shared = [max(0, m - abs(a - b)) for a, b, m in zip(one, other, size, strict=True)]
    return 2 * shared[0] * shared[1] <= size[0] * size[1]
