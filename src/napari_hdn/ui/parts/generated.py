"""Real images next to generated ones, as small pictures in one contrast."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_hdn.ui.generation import COMPARED, Generated
from napari_hdn.ui.parts.forms import Hint, row
from napari_hdn.ui.parts.plots.thumbnail import CROP_PX, Thumbnail, limits_of, middle_of

_SIDE = 94


class GeneratedView(QWidget):
    """A view of what a job has generated."""

    layers_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.generated: Generated | None = None
        self.real_label, self.generated_label = QLabel(), QLabel()
        self.real_label.setWordWrap(True)  # a long name of a layer must not widen the dock
        self.real_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.real = [Thumbnail(_SIDE) for _ in range(COMPARED)]
        self.pictures = [Thumbnail(_SIDE) for _ in range(COMPARED)]
        self.likeness = Hint()
        self.shown = Hint()
        self.as_layers = QPushButton("Add as layers")
        self.as_layers.setToolTip(
            "All generated images in full, as a layer with an axis sample, right of the real image"
        )
        grid_holder = QWidget()
        grid = QGridLayout(grid_holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        grid.addWidget(self.real_label, 0, 0, 1, COMPARED + 1)
        grid.addWidget(self.generated_label, 2, 0, 1, COMPARED + 1)
        for column in range(COMPARED):
            grid.addWidget(self.real[column], 1, column)
            grid.addWidget(self.pictures[column], 3, column)
        grid.setColumnStretch(COMPARED, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(grid_holder)
        layout.addWidget(self.likeness)
        layout.addWidget(self.shown)
        layout.addWidget(row(self.as_layers))
        self.as_layers.clicked.connect(self.layers_wanted.emit)
        self.setVisible(False)

    def show_generated(self, generated: Generated | None) -> None:
        """Show what was generated, or nothing."""
        if generated is self.generated:
            return
        self.generated = generated
        self.setVisible(generated is not None)
        if generated is None:
            return
        pieces = generated.pieces
        limits = limits_of(middle_of(generated.images if pieces is None else pieces))
        noise = generated.config.camera_noise
        self.generated_label.setText(
            f"Generated{', with simulated camera noise' if noise else ''} (no real images)"
        )
        _fill(self.pictures, generated.images, limits)
        _fill(self.real, pieces, limits)
        self.real_label.setVisible(pieces is not None)
        if pieces is not None and generated.real is not None:
            how = "raw" if noise else "restored, one posterior sample each"
            self.real_label.setText(f"{generated.real.name}, {how}{_few(generated)}")
        found = generated.likeness
        self.likeness.say("" if found is None else found.in_words(generated.top_px))
        height, width = (min(n, CROP_PX) for n in generated.images.shape[1:])
        self.shown.say(
            f"Middles of {height} × {width} pixels, all in the contrast of "
            f"{'the generated' if pieces is None else 'the real'} ones; by {generated.model}, "
            f"seed {generated.config.seed}."
        )


def _few(generated: Generated) -> str:
    """How many pieces there are, if not as many as generated images are shown."""
    found = 0 if generated.pieces is None else len(generated.pieces)
    if found >= min(len(generated.images), COMPARED):
        return ""
    return f" ({found} piece{'' if found == 1 else 's'}: the image has no room for more)"


def _fill(
    thumbnails: list[Thumbnail], images: np.ndarray | None, limits: tuple[float, float]
) -> None:
    for number, thumbnail in enumerate(thumbnails):
        there = images is not None and number < len(images)
        thumbnail.setVisible(there)
        thumbnail.show_picture(middle_of(images[number]) if there else None, limits)
