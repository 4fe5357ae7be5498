"""The paper's Figure 3: images drawn at one level after another, a row a level."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hdn.ui.inspection import SAMPLES
from napari_hdn.ui.parts.forms import Choice, Hint, row, watch
from napari_hdn.ui.parts.plots.thumbnail import Thumbnail, limits_of, middle_of
from napari_hdn.ui.session import Session

_SIDE = 57
_MEANING = (
    "In a row, the levels above are held, six images are drawn at this level, and what is below stays "
    "at its mean: what differs within a row is what this level may hold."
)


class DrawnLevels(QWidget):
    """A view of the images that the session has drawn."""

    wanted = Signal(str)  # "image" or "prior"
    layers_wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.origin = Choice([("of this image", "image"), ("from the prior, of no image", "prior")])
        self.draw = QPushButton("Draw")
        self.draw.setToolTip("Draw six images at each level")
        self.as_layers = QPushButton("Add as layers")
        self.as_layers.setToolTip("All images in full, as one layer with the axes sample and level")
        self.hint = Hint(_MEANING)
        self.thumbnails: dict[tuple[int, int], Thumbnail] = {}  # level, sample
        self._grid_holder: QWidget | None = None
        layout = self._layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(row(self.origin, self.draw, self.as_layers, stretch=0))
        layout.addWidget(self.hint)
        self.draw.clicked.connect(lambda: self.wanted.emit(self.origin.value()))
        self.as_layers.clicked.connect(self.layers_wanted.emit)
        watch(self, session.drawn_changed, self._show)
        self._show()

    def _show(self) -> None:
        drawn = self._session.drawn
        self.as_layers.setEnabled(drawn is not None)
        if self._grid_holder is not None:
            self._layout.removeWidget(self._grid_holder)
            self._grid_holder.hide()
            self._grid_holder.deleteLater()
            self._grid_holder = None
        self.thumbnails = {}
        if drawn is None:
            self.hint.say(_MEANING)
            return
        of = "Of the prior" if drawn.origin == "prior" else f"Of {drawn.piece.in_words()}"
        self.hint.say(f"{of}. {_MEANING}")
        holder = self._grid_holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        pictures = middle_of(drawn.images)
        limits = limits_of(pictures)
        levels, samples = drawn.images.shape[:2]
        grid.setColumnStretch(samples + 1, 1)
        for at, level in enumerate(reversed(range(1, levels + 1))):
            grid.addWidget(QLabel(f"{level}"), at, 0, Qt.AlignmentFlag.AlignVCenter)
            for sample in range(samples):
                picture = Thumbnail(_SIDE)
                picture.setToolTip(f"Level {level}, sample {sample + 1} of {SAMPLES}")
                picture.show_picture(pictures[level - 1, sample], limits)
                grid.addWidget(picture, at, 1 + sample)
                self.thumbnails[level, sample] = picture
        self._layout.addWidget(holder)
