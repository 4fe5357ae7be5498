"""A row a level, from the top (coarse) to level 1 (fine): what it holds, and a switch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_hdn.ui.parts.checks import Badge, Sentence
from napari_hdn.ui.parts.forms import Choice, Hint, row, watch
from napari_hdn.ui.parts.levels.switches import explain_level, switch_level
from napari_hdn.ui.parts.plots.thumbnail import Limits, Thumbnail, limits_of, middle_of
from napari_hdn.ui.session import Session

if TYPE_CHECKING:
    from napari_hdn.core.levels.scores import LevelScores
    from napari_hdn.ui.inspection import Inspected

_SIDE = 104
_BADGES = {"artefact": "bad", "mixed": "doubtful", "coarse": "doubtful"}
_EXPLAINED = (
    "Share: of the energy of all contributions. KL: what the level takes from this image. "
    "S1: strength in the dark against the bright; near 1 is noise. S2: how alike its correlation is to "
    "that of the raw background. S3: lines; 0 has no direction."
)


class LevelRow(QFrame):
    """One level.

    Attributes
    ----------
    switch : QCheckBox
    thumbnail : Thumbnail
    numbers, words : QLabel
    """

    def __init__(self, session: Session, look: Inspected, score: LevelScores) -> None:
        super().__init__()
        level = score.level
        levels = look.model.config.network.levels
        is_top, untrained = level == levels, level in look.untrained
        self.level = level
        self.thumbnail = Thumbnail(_SIDE)
        self.thumbnail.setToolTip(f"What level {level} contributes: the middle of the piece")
        self.switch = QCheckBox(f"Level {level}{_place(level, levels)}")
        self.switch.setEnabled(not is_top and not untrained)
        self.switch.setToolTip(explain_level(level, is_top=is_top, untrained=untrained))
        self.switch.setStyleSheet("font-weight: bold;")
        self.switch.clicked.connect(partial(switch_level, session, level))
        self.badge = Badge(_BADGES.get(score.verdict, "good"))
        self.badge.setVisible(score.verdict in _BADGES)
        self.badge.setToolTip("Looks like noise or an artefact, wholly or in part")
        self.scale = Hint(scale_in_words(score, look.piece.pixel_um, is_top=is_top))
        self.numbers = Hint(
            f"{_percent(score.share)} of the energy, {score.rms:.3g} counts, "
            f"KL {score.kl:.3g} nats/pixel"
        )
        self.numbers.setToolTip(_EXPLAINED)
        self.words = Sentence(score.in_words())
        self.words.setToolTip(_EXPLAINED)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 4)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.thumbnail, 0, 0, 5, 1, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(row(self.switch, self.badge, stretch=0), 0, 1)
        for at, label in enumerate((self.scale, self.numbers, self.words), 1):
            grid.addWidget(label, at, 1)
        grid.setRowStretch(4, 1)

    def show_on(self, on: bool) -> None:
        """Show whether the level is on."""
        self.switch.setChecked(on)


class LevelRows(QWidget):
    """A view of the session's last inspection and of the levels that are off."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.rows: dict[int, LevelRow] = {}
        self.contrast = Choice([("shared by all levels", "shared"), ("of its own in each", "own")])
        self.contrast.setToolTip("How the thumbnails compare: as they are, or each at its best")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(row(QLabel("Contrast"), self.contrast, stretch=1))
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        layout.addLayout(self._list)
        self.contrast.currentIndexChanged.connect(self._draw)
        watch(self, session.inspection_changed, self._on_inspection)
        watch(self, session.levels_changed, self._on_levels)
        self._on_inspection()

    def _on_inspection(self) -> None:
        for old in self.rows.values():
            self._list.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.rows = {}
        look = self._session.inspected
        if look is None:
            return
        for score in reversed(look.inspection.scores):  # the top level on top
            self.rows[score.level] = line = LevelRow(self._session, look, score)
            self._list.addWidget(line)
        self._draw()
        self._on_levels()

    def _on_levels(self) -> None:
        for level, line in self.rows.items():
            line.show_on(level not in self._session.levels_off)

    def _draw(self) -> None:
        look = self._session.inspected
        if look is None or not self.rows:
            return
        parts = middle_of(look.inspection.decomposition.contributions)
        shared = None
        if self.contrast.value() == "shared":
            shared = max(_half_range(part) for part in parts)
        for level, line in self.rows.items():
            part = parts[level - 1]
            line.thumbnail.show_picture(part, _around_middle(part, shared))


def _half_range(part: np.ndarray) -> float:
    low, high = limits_of(part)
    return (high - low) / 2


def _around_middle(part: np.ndarray, half: float | None) -> Limits:
    """Limits of one width for all, each about its own grey: a level may be worth a constant."""
    low, high = limits_of(part)
    half = (high - low) / 2 if half is None else half
    return (low + high) / 2 - half, (low + high) / 2 + half


def _place(level: int, levels: int) -> str:
    return ", the top (coarsest)" if level == levels else ", the finest" if level == 1 else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def scale_in_words(
    score: LevelScores, pixel_um: tuple[float, float] | None, *, is_top: bool = False
) -> str:
    """The size of the details that a level is made for, in pixels and micrometres."""
    low, high = score.scale_px
    if is_top:
        text = f"Details of {low} px and coarser"
        sizes = (low,)
    else:
        text = f"Details of {low}–{high} px"
        sizes = (low, high)
    if pixel_um is None:
        return text
    y, x = pixel_um

    def lengths(pixel: float) -> str:
        return "–".join(f"{pixel * size:.3g}" for size in sizes)

    if abs(y - x) <= 0.01 * max(y, x):
        return f"{text} = {lengths(x)} µm"
    return f"{text} = {lengths(y)} µm along y, {lengths(x)} µm along x"
