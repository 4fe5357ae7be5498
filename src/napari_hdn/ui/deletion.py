"""Being told when Qt deletes an object, safely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

_waiting: set[Callable[..., None]] = set()


def on_deleted(owner: QObject, action: Callable[[], Any]) -> None:
    """Call ``action`` once, when Qt deletes ``owner``; it must not hold ``owner`` itself.

    Connected to ``destroyed`` alone, a closure belongs to the same garbage as its widget: Python may
    empty it before it deletes the widget, and Qt then calls into nothing (a crash, seen in tests).
    """

    def act(*_: Any) -> None:
        _waiting.discard(act)
        action()

    _waiting.add(act)
    owner.destroyed.connect(act)
