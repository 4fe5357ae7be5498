"""What most calibrations leave to the program: background, kind of model, number of curves."""

from __future__ import annotations

from typing import Any

from napari.layers import Shapes

from napari_hdn.api import HDNError
from napari_hdn.ui.background import Background, background_of
from napari_hdn.ui.parts.forms import Choice, Form, Hint
from napari_hdn.ui.parts.layer_pick import LayerPick
from napari_hdn.ui.parts.section import Section
from napari_hdn.ui.parts.source import ImageSource
from napari_hdn.ui.session import Session

_FOUND = "The flattest dark places are looked for. Or draw rectangles there in a Shapes layer."


class NoiseSettings(Section):
    """Folded away at first.

    Parameters
    ----------
    session : Session
    images : ImageSource
        On whose layer the background is drawn.
    """

    def __init__(self, session: Session, images: ImageSource) -> None:
        super().__init__("Background, model and curves")
        self._images = images
        self._fits = True
        self.background = LayerPick(
            session, "found by itself", lambda layer: isinstance(layer, Shapes)
        )
        self.background.setToolTip("Where there is nothing but noise: there its structure shows")
        self.background_hint = Hint()
        self.model = Choice(
            [
                ("automatic", "auto"),
                ("Gaussian", "gaussian"),
                ("Poisson-Gaussian", "poisson_gaussian"),
                ("Gaussian mixture (GMM)", "gmm"),
                ("histogram", "histogram"),
            ]
        )
        self.curves = Choice(
            [
                ("automatic", "auto"),
                ("one for all images", "shared"),
                ("one per image", "per_image"),
            ]
        )
        self.curves.setToolTip(
            "Images that were scaled apart, by auto-contrast or 8-bit export, need a curve each"
        )
        self.form = Form()
        self.form.add("Background", self.background)
        self.form.addRow(self.background_hint)
        self.form.add("Model", self.model)
        self.form.add("Curves", self.curves)
        self.inside.addLayout(self.form)
        self.background.edited.connect(self._explain_background)
        images.changed.connect(self._explain_background)
        self._explain_background()

    def offer(self, source: str) -> None:
        """Show what a source of calibrations leaves open: a file has its model already."""
        self._fits = source != "file"
        self.form.setRowVisible(self.model, self._fits)
        self.form.setRowVisible(self.curves, self._fits)

    def settings(self) -> dict[str, Any]:
        """The fields of a `CalibrationConfig` that are chosen here.

        Raises
        ------
        HDNError
            If the chosen background is none.
        """
        drawn = self._drawn()
        fitted = {"model": self.model.value(), "curves": self.curves.value()}
        return {
            "background": () if drawn is None else drawn.boxes,
            **(fitted if self._fits else {}),
        }

    def _drawn(self) -> Background | None:
        shapes, layer = self.background.layer, self._images.layer
        if shapes is None:
            return None
        if layer is None:
            raise HDNError(
                f"{shapes.name} lies on the viewer's images, and files are chosen: choose a layer "
                "under Images, or let the background be found."
            )
        return background_of(shapes, layer, self._images.snapshot().stack)

    def _explain_background(self) -> None:
        try:
            drawn = self._drawn()
            self.background_hint.say(_FOUND if drawn is None else drawn.words)
        except HDNError as error:
            self.background_hint.say(str(error), warning=True)
