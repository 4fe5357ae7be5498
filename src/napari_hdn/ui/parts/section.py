"""A part of a dock that folds away."""

from __future__ import annotations

from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

_NO_LIMIT = 16_777_215  # QWIDGETSIZE_MAX
_STYLE = """
QPushButton, QPushButton:checked {
    text-align: left; font-weight: bold; background: transparent; padding: 4px 0 1px 0;
    border: none; border-top: 1px solid rgba(128, 128, 128, 110); border-radius: 0;
}
"""


class Section(QCollapsible):
    """A title that opens and closes what is under it, whatever height that takes over time.

    Parameters
    ----------
    title : str
    expanded : bool
        Whether it is open at first.
    """

    def __init__(self, title: str, *, expanded: bool = False) -> None:
        # superqt draws its icons in black whatever the theme, so the signs are part of the text
        super().__init__(title, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        self.toggleButton().setStyleSheet(_STYLE)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        inside = QWidget()
        self.inside = QVBoxLayout(inside)
        self.inside.setContentsMargins(4, 0, 0, 4)
        self.inside.setSpacing(4)
        self.setContent(inside)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(2)
        self.setDuration(0)
        (self.expand if expanded else self.collapse)()

    def expand(self, animate: bool = False) -> None:
        """Open it; the height is free from now on, where superqt fixes that of the moment."""
        super().expand(animate=False)
        self.content().setMaximumHeight(_NO_LIMIT)
        self.content().show()
        self.setText(f"▼  {self._title}")

    def collapse(self, animate: bool = False) -> None:
        """Close it."""
        super().collapse(animate=False)
        self.content().hide()
        self.setText(f"▶  {self._title}")
