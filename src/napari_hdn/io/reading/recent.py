"""What was read last, kept for the next time, up to a limit over all files together."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
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
        # by the owner's id; the owner used last stands last, and so does its value used last
        self._kept: OrderedDict[int, _Owned[Value]] = OrderedDict()
        self._weight = 0
        self._gone: deque[int] = deque()  # owners that went while somebody had the lock

    def find(self, owner: Any, key: Hashable) -> Value | None:
        """The value if it is still there."""
        with self._lock:
            self._forget_gone()
            own = self._kept.get(id(owner))
            if own is None or key not in own.values:
                return None
            own.values.move_to_end(key)
            self._kept.move_to_end(id(owner))
            return own.values[key]

    def keep(self, owner: Any, key: Hashable, value: Value) -> None:
        """Remember a value and forget others where that is too much."""
        with self._lock:
            self._forget_gone()
            own = self._kept.get(id(owner))
            if own is None:
                number = id(owner)
                reference = weakref.ref(owner, lambda _: self._on_gone(number))
                own = self._kept[number] = _Owned(reference, self._weigh(value), OrderedDict())
            if key not in own.values:
                self._weight += own.each
            own.values[key] = value
            own.values.move_to_end(key)
            self._kept.move_to_end(id(owner))
            while self._weight > self.at_most:
                oldest = next(iter(self._kept))
                if oldest == id(owner) and len(own.values) == 1:
                    break
                self._drop_one(oldest)

    def weight(self) -> int:
        """Of all that is kept."""
        with self._lock:
            self._forget_gone()
            return self._weight

    def _drop_one(self, number: int) -> None:
        own = self._kept[number]
        own.values.popitem(last=False)
        self._weight -= own.each
        if not own.values:
            del self._kept[number]

    def _on_gone(self, number: int) -> None:
        """Called by the garbage collector, wherever it is: also from within these methods."""
        self._gone.append(number)
        if self._lock.acquire(blocking=False):
            try:
                self._forget_gone()
            finally:
                self._lock.release()

    def _forget_gone(self) -> None:
        while self._gone:
            own = self._kept.pop(self._gone.popleft(), None)
            if own is not None:
                self._weight -= own.each * len(own.values)


@dataclass
class _Owned(Generic[Value]):
    """What is kept for one owner."""

    owner: weakref.ref[Any]
    each: int  # weight of a value
    values: OrderedDict[Hashable, Value]
