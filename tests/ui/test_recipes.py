"""Recipes of layers, and the button that copies the methods text, as a user clicks them."""

import json

import numpy as np
import tifffile
from qtpy.QtWidgets import QApplication

from napari_hdn import api
from napari_hdn.cli import main


def test_a_restored_layer_has_its_recipe_and_tells_it(
    viewer, session, dock, trained, until_free, tmp_path, monkeypatch, noisy
):
    told = []
    monkeypatch.setattr("napari_hdn.ui.parts.methods.show_info", told.append)
    assert dock.methods.isEnabled()
    dock.methods.click()
    assert "was minimised for 4 steps" in QApplication.clipboard().text()
    assert "was restored" not in QApplication.clipboard().text()
    assert told.pop().startswith("Copied: the methods text of the training")
    dock.restore.click()
    until_free()
    layer = viewer.layers["noisy [HDN mean]"]
    recipe = layer.metadata["napari-hdn"]["recipe"]
    assert recipe["restoration"]["tiles"]["samples_at_a_time"] == 4
    assert recipe["restoration"]["planes_done"] == 4 and json.dumps(recipe)
    dock.methods.click()
    told = QApplication.clipboard().text()
    assert "noisy (TYX 4 x 96 x 80" in told and "one antithetic pair" in told
    # saved, and done again in the terminal from an image file with the same pixels
    path = tmp_path / "mean.ome.tif"
    monkeypatch.setattr(
        "napari_hdn.ui.parts.exporting.QFileDialog.getSaveFileName", lambda *a, **k: (str(path), "")
    )
    dock.exporting.save.click()
    until_free()
    assert api.read_recipe(tmp_path / "mean-recipe.json").restoration.image.path is None
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "x.tif", noisy, photometric="minisblack")
    command = ["run", str(tmp_path / "mean-recipe.json"), "--data", str(tmp_path / "raw")]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    again = tifffile.imread(tmp_path / "again" / "x_hdn-mean.ome.tif")
    np.testing.assert_array_equal(again, np.asarray(layer.data))
