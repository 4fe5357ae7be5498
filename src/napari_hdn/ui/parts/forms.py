"""Helpers that make forms look alike and let views die before what they watch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_hdn.ui.deletion import on_deleted
from napari_hdn.ui.parts.theme import quiet_colour, theme_changed, warning_colour

# napari's theme draws no edge around fields of several lines
FRAMED = "QPlainTextEdit { border: 1px solid rgba(128, 128, 128, 130); border-radius: 3px; }"


def watch(widget: QWidget, signal: Any, slot: Callable[..., Any]) -> None:
    """Connect a widget's method to a psygnal or napari signal until Qt deletes the widget."""
    signal.connect(slot)
    method = weakref.WeakMethod(slot)

    def forget() -> None:
        if (alive := method()) is not None:
            signal.disconnect(alive)

    on_deleted(widget, forget)


class Form(QFormLayout):
    """Labels on the left, in line with those of the other forms, and fields as wide as the dock."""

    _LABEL_PX = 92

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setContentsMargins(0, 0, 0, 0)
        self.setVerticalSpacing(5)
        self.setHorizontalSpacing(8)
        self.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def add(self, label: str, field: QWidget) -> None:
        """Add a field with its label."""
        text = QLabel(label)
        text.setMinimumWidth(self._LABEL_PX)
        self.addRow(text, field)


class Hint(QLabel):
    """A line or two under a field: quiet where all is well, else a warning; hidden when empty."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.warns = False
        self.say(text)
        watch(self, theme_changed(), self._colour)

    def say(self, text: str, *, warning: bool = False) -> None:
        """Show a text, or nothing."""
        self.warns = warning and bool(text)
        self._colour()
        self.setText(text)
        self.setVisible(bool(text))

    def _colour(self) -> None:
        colour = warning_colour() if self.warns else quiet_colour()
        self.setStyleSheet(f"color: {colour}; font-size: 8pt;")


class Choice(QComboBox):
    """A combo box of (label, value) that never widens the dock for a long label."""

    def __init__(self, items: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for label, value in items:
            self.addItem(label, value)

    def value(self) -> Any:
        """The value behind the chosen label."""
        return self.currentData()

    def choose(self, value: Any) -> None:
        """Choose by value; nothing happens if there is none such."""
        for i in range(self.count()):
            if self.itemData(i) == value:
                self.setCurrentIndex(i)
                return


def row(*widgets: QWidget, stretch: int | None = None) -> QWidget:
    """Widgets side by side; ``stretch`` is the index of the one that takes the room."""
    box = QWidget()
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(5)
    for i, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if i == stretch else 0)
    return box


def heading(text: str) -> QLabel:
    """A small title above a group of fields."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; margin-top: 4px;")
    return label


class DockBody(QWidget):
    """A scrolling part for what may be long, and below it a part that always stays in sight."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(6, 4, 6, 6)
        outer.setSpacing(6)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = self._inside = QWidget()
        self.body = QVBoxLayout(inside)
        self.body.setContentsMargins(0, 0, 6, 0)
        self.body.setSpacing(6)
        self.scroll.setWidget(inside)
        outer.addWidget(self.scroll, 1)
        self.footer = QVBoxLayout()
        self.footer.setSpacing(5)
        outer.addLayout(self.footer)

    def minimumSizeHint(self) -> QSize:
        """Wide enough that nothing is cut off, with the scroll bar shown; low enough to stack."""
        bar = self.scroll.verticalScrollBar().sizeHint().width()
        return QSize(max(self._inside.minimumSizeHint().width() + bar + 14, 424), 260)

    def sizeHint(self) -> QSize:
        """As wide as needed; the height comes from the window."""
        return QSize(self.minimumSizeHint().width(), super().sizeHint().height())
