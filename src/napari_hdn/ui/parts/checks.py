"""What was asked of a calibration, and the answers: a sign, a colour, a sentence, what to do."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration, Check

_SIGNS = {  # verdict: sign, ground, ink
    "good": ("✓", "#2e8b3d", "#ffffff"),
    "doubtful": ("!", "#f2b632", "#1c1c1c"),
    "bad": ("✗", "#c8322b", "#ffffff"),
}
_WORST_FIRST = ("bad", "doubtful", "good")
_BADGE_PX = 18


class Badge(QLabel):
    """A verdict as a sign on a coloured ground."""

    def __init__(self, verdict: str = "good") -> None:
        super().__init__()
        self.setFixedSize(_BADGE_PX, _BADGE_PX)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.show_verdict(verdict)

    def show_verdict(self, verdict: str) -> None:
        """Change the sign."""
        sign, ground, ink = _SIGNS[verdict]
        self.setText(sign)
        self.setAccessibleName(verdict)
        self.setStyleSheet(
            f"background: {ground}; color: {ink}; border-radius: 4px; font-weight: bold; padding: 0;"
        )


class Sentence(QLabel):
    """Text as long as it needs to be, in the colour of the theme, to be selected and copied."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setStyleSheet("font-size: 8pt;")


class CheckList(QWidget):
    """All checks of a calibration, the worst first."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[Badge, Sentence]] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(7)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)

    def show_checks(self, checks: tuple[Check, ...]) -> None:
        """Replace what was shown."""
        for widget in (w for row in self.rows for w in row):
            self._grid.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self.rows = []
        for check in sorted(checks, key=lambda c: _WORST_FIRST.index(c.verdict)):
            badge, sentence = Badge(check.verdict), Sentence(_in_html(check))
            at = len(self.rows)
            self._grid.addWidget(badge, at, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(sentence, at, 1)
            self.rows.append((badge, sentence))


def verdict_in_words(calibration: Calibration) -> str:
    """The checks in one sentence."""
    failed = [c.name for c in calibration.bad]
    doubtful = [c.name for c in calibration.checks if c.verdict == "doubtful"]
    if failed:
        word = "check" if len(failed) == 1 else "checks"
        return f"Not right for these images yet: {len(failed)} {word} failed ({', '.join(failed)})."
    if doubtful:
        return f"Usable, with a look at: {', '.join(doubtful)}."
    return f"All {len(calibration.checks)} checks passed."


def _in_html(check: Check) -> str:
    text = f"<b>{html.escape(check.name.capitalize())}:</b> {html.escape(check.text)}"
    if check.advice and check.verdict != "good":
        text += f"<br><i>→ {html.escape(check.advice)}</i>"
    return text
