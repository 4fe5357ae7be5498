"""Which levels look like an artefact, with reasons; the user decides."""

from __future__ import annotations

import html

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QPushButton

from napari_hdn.ui.parts.checks import Badge, Sentence
from napari_hdn.ui.parts.forms import watch
from napari_hdn.ui.session import Session

_BADGES = {"artefact": "bad", "nothing": "good", "inseparable": "doubtful"}


class AdviceBox(QFrame):
    """A view of what the session's last inspection advises; it never switches by itself."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setObjectName("advice")
        self.setStyleSheet(
            "#advice { border: 1px solid rgba(128, 128, 128, 110); border-radius: 4px; }"
        )
        self.badge = Badge()
        self.sentence = Sentence()
        self.reasons = Sentence()
        self.use = QPushButton("Use this advice")
        self.use.setToolTip("Switch these levels off, and all others on")
        grid = QGridLayout(self)
        grid.setContentsMargins(7, 6, 7, 6)
        grid.setHorizontalSpacing(7)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.badge, 0, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self.sentence, 0, 1)
        grid.addWidget(self.reasons, 1, 1)
        grid.addWidget(self.use, 2, 1, Qt.AlignmentFlag.AlignLeft)
        self.use.clicked.connect(self._on_use)
        watch(self, session.inspection_changed, self._show)
        watch(self, session.levels_changed, self._show)
        self._show()

    def _show(self) -> None:
        look = self._session.inspected
        self.setVisible(look is not None)
        if look is None:
            return
        advice = look.inspection.advice
        self.badge.show_verdict(_BADGES[advice.verdict])
        self.sentence.setText(f"<b>{html.escape(advice.in_words())}</b>")
        self.reasons.setText("<br>".join(html.escape(reason) for reason in advice.reasons))
        self.reasons.setVisible(bool(advice.reasons))
        wanted = {*advice.off, *look.untrained}
        self.use.setVisible(bool(advice.off))
        self.use.setEnabled(wanted != set(self._session.levels_off))

    def _on_use(self) -> None:
        look = self._session.inspected
        if look is not None:
            self._session.switch_levels_off(look.inspection.advice.off)
