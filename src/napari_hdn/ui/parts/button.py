"""A button that says what it does, and why it cannot be pressed."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton


class Button(QPushButton):
    """A button with a tip.

    Parameters
    ----------
    text, tip : str
    """

    def __init__(self, text: str, tip: str) -> None:
        super().__init__(text)
        self._tip = tip
        self.allow()

    def allow(self, but: str = "") -> None:
        """Let it be pressed, unless there is a reason against it, which is told."""
        self.setEnabled(not but)
        self.setToolTip(f"{self._tip}\n\n{but}." if but else self._tip)
