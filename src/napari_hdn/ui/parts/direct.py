"""Large stacks in one cheap pass: use a model's direct network, or teach it one."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hdn.ui.parts.forms import Hint, row


class DirectChoice(QWidget):
    """A box to use it and a button to teach it."""

    def __init__(self) -> None:
        super().__init__()
        self.use = QCheckBox("restore in one pass (mean or median only)")
        self.use.setToolTip(
            "With the newest direct network of this model, for the levels that are on"
        )
        self.teach = QPushButton("Teach on the chosen images")
        self.teach.setToolTip(
            "The model restores a part of these images, and a small network learns to do the same"
        )
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, 600)
        self.minutes.setDecimals(1)
        self.minutes.setValue(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        hint = Hint(
            "A small network taught by the model: many times cheaper than an antithetic pair, and no "
            "uncertainty at all. Restore some planes with samples, too, to know where not to believe."
        )
        for widget in (hint, self.use, row(self.teach, self.minutes, QLabel("min"), stretch=0)):
            layout.addWidget(widget)
