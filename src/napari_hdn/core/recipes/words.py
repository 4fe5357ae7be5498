"""Counts, lists and levels in words."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMES = 3


def levels(numbers: Sequence[int]) -> str:
    """``level 1``, ``levels 1 and 2``."""
    return f"level{'s' * (len(numbers) > 1)} {listed([str(k) for k in numbers])}"


def many(count: int, one: str, several: str = "") -> str:
    """``1 step``, ``2,000 steps``."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def listed(items: Sequence[str], comma: str = ", ") -> str:
    """``a, b and c``; with another ``comma`` that alone between them."""
    if comma != ", " or len(items) < 2:
        return comma.join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def names(given: Sequence[str]) -> str:
    """The names of images; of many only the first."""
    if len(given) <= MOST_NAMES:
        return listed(given)
    return f"{given[0]}, {given[1]} and {len(given) - 2} more images"
