"""Saving a layer as OME-TIFF or OME-Zarr, with a clear word about what an integer type would clip."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_hdn import api
from napari_hdn.api import HDNError
from napari_hdn.ui import jobs
from napari_hdn.ui.export import (
    Clipping,
    ExportJob,
    Picture,
    count_clipping,
    ome_path,
    zarr_path,
)
from napari_hdn.ui.failures import in_words
from napari_hdn.ui.layers import METADATA_KEY, product_of
from napari_hdn.ui.parts.forms import Choice, Form, Hint, row, watch
from napari_hdn.ui.session import Session

_ORDER = {"mean": 0, "std": 0, "preview": 2, "truth": 2}  # what one wants to save comes first
_FILTERS = {
    "ome-tiff": ("OME-TIFF", ".ome.tif", "OME-TIFF (*.ome.tif *.ome.tiff)"),
    "ome-zarr": ("OME-Zarr", ".ome.zarr", "OME-Zarr (*.ome.zarr)"),
}


class Exporting(QWidget):
    """One layer, one format, one type, one button."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.layers = Choice()
        self.format = Choice([("OME-TIFF", "ome-tiff"), ("OME-Zarr", "ome-zarr")])
        self.format.setToolTip(
            "OME-TIFF: one file, read by every program. OME-Zarr 0.5: a folder, with smaller copies of "
            "large planes, for images of many gigabytes"
        )
        self.dtype = Choice()
        self.save = QPushButton("Save ...")
        self.hint = Hint()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        form = Form()
        form.add("Layer", self.layers)
        form.add("Files", self.format)
        form.add("Pixels", row(self.dtype, self.save, stretch=0))
        form.addRow(self.hint)
        layout.addLayout(form)
        events = session.viewer.layers.events
        for event in (events.removed, events.reordered):
            watch(self, event, self.refresh)
        watch(self, events.inserted, self._on_inserted)
        for layer in session.viewer.layers:
            watch(self, layer.events.name, self._on_renamed)
        watch(self, session.job_changed, self._check)
        self.layers.currentIndexChanged.connect(self._on_layer)
        self.dtype.currentIndexChanged.connect(self._check)
        self.save.clicked.connect(self._on_save)
        self.refresh()

    def refresh(self) -> None:
        """List the layers anew: what was restored first."""
        viewer = self._session.viewer
        if viewer is None:
            return
        before = self.layers.value()
        images = [x for x in viewer.layers if isinstance(x, Image) and not x.rgb]
        images.sort(key=lambda x: _ORDER.get(product_of(x), 1))
        self.layers.blockSignals(True)
        self.layers.clear()
        for layer in images:
            self.layers.addItem(layer.name, layer)
        self.layers.choose(before)
        self.layers.blockSignals(False)
        self._on_layer()

    def _on_renamed(self) -> None:
        for i in range(self.layers.count()):
            self.layers.setItemText(i, self.layers.itemData(i).name)

    def _on_inserted(self, event: Any) -> None:
        watch(self, event.value.events.name, self._on_renamed)
        self.refresh()
        if product_of(event.value) == "mean":  # what was just restored is what one wants to save
            self.layers.choose(event.value)

    @property
    def layer(self) -> Image | None:
        """The layer to save."""
        return self.layers.value()

    def _on_layer(self) -> None:
        self.save.setEnabled(self.layer is not None)
        before = self.dtype.value()
        self.dtype.blockSignals(True)
        self.dtype.clear()
        self.dtype.addItem("float32", "float32")
        if self.layer is not None:
            self.dtype.addItem(*_integer_choice(self.layer))
        self.dtype.choose(before)
        self.dtype.blockSignals(False)
        self._check()

    def _check(self) -> None:
        layer, dtype = self.layer, self.dtype.value()
        self.hint.say("")
        if layer is None or dtype == "float32":
            return

        def on_result(clipping: Clipping) -> None:
            if (self.layer, self.dtype.value()) == (layer, dtype):
                self.hint.say(str(clipping), warning=clipping.clipped > 0)

        def on_error(text: str) -> None:
            if (self.layer, self.dtype.value()) == (layer, dtype):
                self.hint.say(text, warning=True)

        try:
            picture = Picture.of(layer, self._session.axes_of(layer))
        except HDNError as error:
            on_error(str(error))
            return
        self.hint.say("Counting what would be clipped ...")
        jobs.look_up(lambda: count_clipping(picture, dtype), on_result, on_error, owner=self)

    def _on_save(self) -> None:
        session, layer = self._session, self.layer
        if layer is None:
            return
        try:
            session.check_free()
            picture = Picture.of(layer, session.axes_of(layer))
            path = self._ask_path(layer)
            if path is not None:
                session.start(ExportJob(picture, path, self.dtype.value()))
        except (HDNError, OSError) as error:
            text = in_words(error) or ""
            session.report(text)
            self.hint.say(text, warning=True)

    def _ask_path(self, layer: Image) -> Path | None:
        suggestion = re.sub(r'[<>:"/\\|?*\[\]]+', "", layer.name).strip().replace(" ", "_")
        spoken, suffix, pattern = _FILTERS[self.format.value()]
        chosen, _ = QFileDialog.getSaveFileName(
            self,
            f"Save as {spoken}",
            f"{suggestion}{suffix}",
            pattern,
            options=QFileDialog.Option.DontConfirmOverwrite,  # asked below, with the full name
        )
        if not chosen:
            return None
        if self.format.value() == "ome-zarr":
            return self._free_folder(zarr_path(Path(chosen)))
        path = ome_path(Path(chosen))
        if path.exists():
            answer = QMessageBox.question(
                self, "Replace?", f"{path.name} exists already in {path.parent}. Replace it?"
            )
            if answer != QMessageBox.StandardButton.Yes:
                return None
        return path

    def _free_folder(self, path: Path) -> Path | None:
        """A folder is not replaced: who knows what else is in it."""
        free = api.free_path(path)
        if free != path:
            answer = QMessageBox.question(
                self,
                "Another name?",
                f"{path.name} exists already in {path.parent}, and folders are not replaced. Save as "
                f"{free.name}?",
            )
            if answer != QMessageBox.StandardButton.Yes:
                return None
        return free


def _integer_choice(layer: Image) -> tuple[str, str]:
    """The integer type of what the layer was made from, or of the layer itself."""
    identity: Any = layer.metadata.get(METADATA_KEY)
    source = identity.get("source_dtype") if isinstance(identity, dict) else None
    dtype = np.dtype(source or layer.dtype)
    if dtype.kind not in "ui":
        return "uint16", "uint16"
    if dtype.itemsize > 4:  # more than OME-TIFF holds
        name = f"{'u' if dtype.kind == 'u' else ''}int32"
        return f"{name} (OME-TIFF has no {dtype.name})", name
    return f"{dtype.name}, as the input", dtype.name
