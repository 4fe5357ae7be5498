"""What was read last, kept for the next time, up to a limit over all files together."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Keeps values by owner and key; those not used for longest go first, or with their owner.

    Safe to use from several threads.

    Parameters
    ----------
    at_most : int
        Total weight of what is kept; a single heavier value is kept all the same.
    weigh : callable
        Weight of a value; the same for all values of an owner.
    """

    def __init__(self, at_most: int, weigh: Callable[[Value], int]) -> None:
        self.at_most = at_most
        self._weigh = weigh
        self._lock = threading.Lock()
        # the owner used last stands last, and so does its value used last
        self._kept: weakref.WeakKeyDictionary[Any, OrderedDict[Hashable, Value]]
        self._kept = weakref.WeakKeyDictionary()

    def find(self, owner: Any, key: Hashable) -> Value | None:
        """The value if it is still there."""
        with self._lock:
            own = self._kept.get(owner)
            if own is None or key not in own:
                return None
            own.move_to_end(key)
            self._kept[owner] = self._kept.pop(owner)
            return own[key]

    def keep(self, owner: Any, key: Hashable, value: Value) -> None:
        """Remember a value and forget others where that is too much."""
        with self._lock:
            own = self._kept.pop(owner, OrderedDict())
            own[key] = value
            own.move_to_end(key)
            self._kept[owner] = own
            excess = self.weight() - self.at_most
            for other in list(self._kept):
                values = self._kept[other]
                while excess > 0 and len(values) > (other is owner):
                    excess -= self._weigh(values.popitem(last=False)[1])
                if not values:
                    del self._kept[other]
                if excess <= 0:
                    break

    def weight(self) -> int:
        """Of all that is kept."""
        return sum(len(v) * self._weigh(next(iter(v.values()))) for v in list(self._kept.values()))
