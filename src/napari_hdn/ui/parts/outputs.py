"""What to make of each image."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_hdn.api import HDNError
from napari_hdn.ui.parts.forms import row
from napari_hdn.ui.parts.section import Section

_LABELS = {
    "mean": ("restored image (mean)", "The mean of all plausible images: least error"),
    "std": (
        "its uncertainty (standard deviation)",
        "How much plausible images differ at each pixel, in counts",
    ),
    "median": ("median", "Of the samples at each pixel"),
    "map": (
        "most plausible image (MAP)",
        "Where most samples agree, found by mean shift in overlapping windows: sharper than the mean "
        "where there is more than one possibility. Beside the mean, a faint overlay shows where the "
        "two differ",
    ),
    "cv": (
        "coefficient of variation",
        "Standard deviation / mean; the camera's offset counts in the mean",
    ),
    "quantiles": ("quantiles", "Counts that this share of the samples stay below, in percent"),
    "samples": (
        "samples, one by one",
        "A layer with an axis of samples. They are drawn when you look at them, and are the same "
        "whenever you look again",
    ),
    "difference": (
        "difference of two samples",
        "The first minus the second. Sample 1 is the first one, at position 0 of the slider",
    ),
}
_COMMON = ("mean", "std")


class OutputChoice(QWidget):
    """Boxes for all outputs; the rarer ones fold away."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QCheckBox] = {}
        for output, (label, tip) in _LABELS.items():
            box = self.boxes[output] = QCheckBox(label)
            box.setToolTip(tip)
            box.toggled.connect(lambda _: self.changed.emit())
        self.mean, self.std = self.boxes["mean"], self.boxes["std"]
        self.mean.setChecked(True)
        self.quantiles = QLineEdit("5, 95")
        self.quantiles.setMaximumWidth(110)
        self.first, self.second = QSpinBox(), QSpinBox()  # of samples counted from 1
        for number, spin in enumerate((self.first, self.second), 1):
            spin.setRange(1, 10_000)
            spin.setValue(number)
        self.more = Section("More outputs")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for output in _COMMON:
            layout.addWidget(self.boxes[output])
        beside = {
            "quantiles": (self.quantiles, QLabel("%"), QLabel()),
            "difference": (self.first, QLabel("−"), self.second),
        }
        for output, box in self.boxes.items():
            if output not in _COMMON:
                self.more.inside.addWidget(box)
                if extra := beside.get(output):
                    self.more.inside.addWidget(row(QLabel("    "), *extra, QLabel(), stretch=4))
        layout.addWidget(self.more)

    def chosen(self) -> tuple[str, ...]:
        """The outputs that are ticked."""
        return tuple(output for output, box in self.boxes.items() if box.isChecked())

    def chosen_quantiles(self) -> tuple[float, ...]:
        """Between 0 and 1.

        Raises
        ------
        HDNError
            If something else than numbers was typed.
        """
        text = self.quantiles.text().replace("%", "").replace(";", ",")
        if not self.boxes["quantiles"].isChecked():
            return ()
        try:
            percent = [float(part) for part in text.split(",") if part.strip()]
        except ValueError:
            percent = []
        if not percent or min(percent) < 0 or max(percent) > 100:
            raise HDNError(
                "Quantiles are numbers from 0 to 100 % with commas between them, such as 5, 95; "
                f"{text.strip()!r} is not."
            )
        if 0 < max(percent) < 1:
            raise HDNError(
                f"Quantiles are asked for in percent here: {percent[-1]:g} would be {percent[-1]:g} %. "
                f"If you meant {100 * percent[-1]:g} %, write {100 * percent[-1]:g}."
            )
        return tuple(p / 100 for p in percent)

    def chosen_difference(self) -> tuple[int, int]:
        """Two samples, counted from 1."""
        return self.first.value(), self.second.value()
