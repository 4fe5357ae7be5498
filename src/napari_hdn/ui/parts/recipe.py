"""How each sample is segmented: a recipe, or a function of the user's own."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_hdn.api import HDNError, SegmentationConfig
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row

_RECIPES = (
    ("membranes around cells", "membranes"),
    ("bright objects", "bright"),
    ("a Python function of mine", "own"),
)
_OWN = (
    "FILE.py:FUNCTION or package.module:function. It is given one restored image (y, x) in counts and "
    "returns labels: whole numbers of the same shape, 0 for background."
)


class RecipeChoice(QWidget):
    """A recipe and the two numbers that go with it."""

    def __init__(self) -> None:
        super().__init__()
        self.recipe = Choice(_RECIPES)
        self.recipe.setToolTip(
            "Membranes: the recipe of the paper (A.8), local threshold, skeleton, connected components"
        )
        self.function = QLineEdit()
        self.function.setPlaceholderText("my_cells.py:segment")
        self.browse = QPushButton("Browse")
        self.browse.setToolTip("Choose a Python file")
        self.hint = Hint(_OWN)
        defaults = SegmentationConfig()
        self.least = _pixels(1, 10_000_000, defaults.least_px, " px")
        self.least.setToolTip("Objects of fewer pixels are left out, in samples and consensus")
        self.tolerance = _pixels(0, 20, defaults.tolerance_px, " px")
        self.tolerance.setToolTip("Borders of two samples that are so near to each other agree")
        self._own = row(self.function, self.browse, stretch=0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._form = Form()
        self._form.add("Recipe", self.recipe)
        self._form.add("Function", self._own)
        self._form.addRow(self.hint)
        self._form.add("Least area", self.least)
        self._form.add("Tolerance", self.tolerance)
        layout.addLayout(self._form)
        self.recipe.currentIndexChanged.connect(self._on_recipe)
        self.browse.clicked.connect(self._on_browse)
        self._on_recipe()

    def value(self) -> str:
        """The recipe as `SegmentationConfig` knows it.

        Raises
        ------
        HDNError
            If no function was named.
        """
        chosen = self.recipe.value()
        if chosen != "own":
            return str(chosen)
        text = self.function.text().strip()
        if not text:
            raise HDNError(f"Name the function to segment with: {_OWN}")
        return text

    def _on_recipe(self) -> None:
        own = self.recipe.value() == "own"
        self._form.setRowVisible(self._own, own)
        self._form.setRowVisible(self.hint, own)

    def _on_browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Python file", "", "Python (*.py)")
        if chosen:
            _, _, before = self.function.text().rpartition(":")
            name = before if before.isidentifier() else "segment"
            self.function.setText(f"{chosen}:{name}")
            self.function.setFocus()


def _pixels(least: int, most: int, value: int, suffix: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(least, most)
    box.setValue(value)
    box.setSuffix(suffix)
    return box
