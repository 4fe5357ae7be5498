"""Being told when Qt deletes an object, safely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, Slot


def on_deleted(owner: QObject, action: Callable[[], Any]) -> None:
    """Call ``action`` once, when Qt deletes ``owner``; it must not hold ``owner`` itself.

    A function connected to ``destroyed`` belongs to the same garbage as its widget: Python may empty
    it (a crash, seen in tests), or drop the connection, before it deletes the widget, as the order
    of their ages has it. What is told here is an object of the application.
    """
    owner.destroyed.connect(_Told(action).tell)


class _Told(QObject):
    def __init__(self, action: Callable[[], Any]) -> None:
        super().__init__(QCoreApplication.instance())
        self._action = action

    @Slot()
    def tell(self) -> None:
        self.deleteLater()
        self._action()
