"""What switching levels off removes: how much, how it is correlated, and layers to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.ui.parts.checks import Sentence
from napari_hdn.ui.parts.forms import Hint, watch
from napari_hdn.ui.parts.plots.structure import StructureView
from napari_hdn.ui.session import Session

if TYPE_CHECKING:
    from napari_hdn.core.artefacts import Structure
    from napari_hdn.ui.live import Switched

_CROWDED = "Off at first, since more than two other layers are in sight: each would have a place."
_LINES = 4  # times as far along one axis as along the other


class RemovedView(QWidget):
    """A view of the session's live preview."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.words = Sentence()
        self.structure = StructureView()
        self.side_by_side = QCheckBox("Side by side in the viewer")
        self.side_by_side.setToolTip(
            "Show before, without and what was removed beside each other, in napari's grid; unticking "
            "puts the grid back as it was. Every visible layer has a place: hide those in the way."
        )
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.side_by_side)
        layout.addWidget(self.hint)
        layout.addWidget(self.words)
        layout.addWidget(self.structure)
        grid = session.live.layers.side_by_side
        self.side_by_side.clicked.connect(grid.want)
        watch(self, grid.changed, self._on_grid)
        watch(self, session.live.changed, self._show)
        self._on_grid()
        self._show()

    def _on_grid(self) -> None:
        grid = self._session.live.layers.side_by_side
        self.side_by_side.setChecked(grid.wanted)
        self.hint.say(_CROWDED if grid.only_offered else "")

    def _show(self) -> None:
        live = self._session.live
        shown = live.shown
        there = shown is not None and bool(shown.switched)
        self.structure.setVisible(there and shown.structure is not None)
        if live.error:
            self.words.setText(live.error)
        elif shown is None:
            self.words.setText(
                "Decoding ..."
                if live.busy
                else "Switch a level off to see the image without it, and what that removes."
            )
        else:
            self.words.setText(removed_in_words(shown))
        if there and shown.structure is not None:
            self.structure.show_structure(shown.structure, structure_in_words(shown.structure))


def removed_in_words(shown: Switched) -> str:
    """How much goes with the levels."""
    if not shown.switched:
        return "All levels are on that the model was trained with: nothing is removed."
    levels = api.spoken_levels(shown.switched)
    return (
        f"Without {levels}: {shown.rms:.3g} counts (RMS) are removed, {shown.share:.1%} of the restored "
        "image's variance. This is a preview: the levels take what the model expects. Restoring does "
        "the same; retraining may do better."
    )


def structure_in_words(structure: Structure) -> str:
    """What the correlation of what was removed looks like."""
    if structure.verdict == "white":
        return "What was removed is not correlated: it looks like pixel noise."
    reaches = {"x": structure.reach_x, "y": structure.reach_y}
    along = [f"along {axis} over {reach} px" for axis, reach in reaches.items() if reach]
    if not along:
        return f"What was removed is correlated at a slant over {structure.reach} px."
    shorter, longer = sorted(reaches.values())
    told = f"What was removed is correlated {' and '.join(along)}{' only' * (len(along) == 1)}"
    if longer >= _LINES * shorter:
        way = max(reaches, key=lambda axis: reaches[axis])
        return f"{told}: lines along {way}, as an artefact makes them and structures seldom do."
    return f"{told}: look whether it shows structures of the image."
