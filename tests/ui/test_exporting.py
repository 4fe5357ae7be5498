"""Saving a layer from the dock Restore images."""

import threading

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QMessageBox

from napari_hdn import api
from napari_hdn.ui import export


@pytest.fixture
def ask(monkeypatch):
    """Answer the file dialogue and the question whether to replace a file."""
    answers = {"path": "", "replace": QMessageBox.StandardButton.Yes, "asked": 0}

    def question(*args):
        answers["asked"] += 1
        return answers["replace"]

    where = "napari_hdn.ui.parts.exporting."
    monkeypatch.setattr(
        where + "QFileDialog.getSaveFileName", lambda *a, **k: (str(answers["path"]), "")
    )
    monkeypatch.setattr(where + "QMessageBox.question", question)
    return answers


def test_float_with_pixel_size_and_axes(viewer, session, dock, until_free, ask, tmp_path):
    dock.restore.click()
    until_free()
    layer = viewer.layers["noisy [HDN mean]"]
    assert dock.exporting.layer.name == layer.name  # what was just restored
    ask["path"] = tmp_path / "out.tif"
    dock.exporting.save.click()
    until_free()
    (back,) = api.open_images([tmp_path / "out.ome.tif"])
    assert back.axes == "TYX"
    np.testing.assert_array_equal(np.asarray(back.array[:]), layer.data)
    assert back.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.3})
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert 'PhysicalSizeXUnit="µm"' in file.ome_metadata
    assert ask["asked"] == 0


def test_the_file_says_which_levels_are_off(viewer, dock, until_free, ask, tmp_path):
    dock.levels.boxes[0].click()
    dock.restore.click()
    until_free()
    layer = viewer.layers["noisy [HDN mean]"]
    assert layer.metadata["napari-hdn"]["levels_off"] == [1]
    ask["path"] = tmp_path / "out.ome.tif"
    dock.exporting.save.click()
    until_free()
    layer.save(str(tmp_path / "other.ome.tif"))
    viewer.layers["noisy"].save(str(tmp_path / "raw.ome.tif"))
    for name in ("out", "other"):
        with tifffile.TiffFile(tmp_path / f"{name}.ome.tif") as file:
            assert "with model tiny, level 1 off</Description>" in file.ome_metadata
    with tifffile.TiffFile(tmp_path / "raw.ome.tif") as file:
        assert "Description" not in file.ome_metadata


def test_the_inputs_type_says_what_it_clips(
    viewer, session, dock, until_free, ask, qtbot, tmp_path
):
    data = np.full((3, 40, 40), 50.4, np.float32)
    data[0, :2, :5] = -3.0
    data[2, 0, 0] = 70_000.0
    layer = viewer.add_image(data, name="x", metadata={"napari-hdn": {"product": "mean"}})
    exporting = dock.exporting
    assert exporting.layer.name == layer.name
    exporting.dtype.setCurrentIndex(exporting.dtype.findData("uint16"))
    qtbot.waitUntil(lambda: exporting.hint.warns)
    assert exporting.hint.text().startswith("11 of 4,800 pixels (0.23%) would be clipped")
    ask["path"] = tmp_path / "x.ome.tif"
    exporting.save.click()
    until_free()
    back = tifffile.imread(tmp_path / "x.ome.tif")
    assert back.dtype == np.uint16
    assert (back[0, 0, 0], back[1, 0, 0], back[2, 0, 0]) == (0, 50, 65535)
    assert "11 pixels were clipped" in dock.notices.toPlainText()


def test_a_file_is_replaced_only_when_agreed(
    viewer, session, dock, until_free, ask, tmp_path, noisy
):
    path = tmp_path / "there.ome.tif"
    path.write_bytes(b"precious")
    ask.update(path=path, replace=QMessageBox.StandardButton.No)
    dock.exporting.save.click()
    assert (session.job, path.read_bytes(), ask["asked"]) == (None, b"precious", 1)
    ask["replace"] = QMessageBox.StandardButton.Yes
    dock.exporting.save.click()
    until_free()
    np.testing.assert_array_equal(tifffile.imread(path), noisy)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["there.ome.tif"]


def test_ome_zarr_with_its_recipe_never_over_a_folder(
    viewer, dock, until_free, ask, tmp_path, qtbot
):
    dock.restore.click()
    until_free()
    layer, exporting = viewer.layers["noisy [HDN mean]"], dock.exporting
    exporting.format.choose("ome-zarr")
    there = tmp_path / "mean.ome.zarr"
    there.mkdir()
    (there / "thesis.docx").write_bytes(b"precious")
    ask.update(path=tmp_path / "mean", replace=QMessageBox.StandardButton.No)
    exporting.save.click()
    assert ask["asked"] == 1 and [p.name for p in there.iterdir()] == ["thesis.docx"]
    ask["replace"] = QMessageBox.StandardButton.Yes
    exporting.save.click()
    until_free()
    assert [p.name for p in there.iterdir()] == ["thesis.docx"]
    (back,) = api.open_images([tmp_path / "mean-2.ome.zarr"])
    assert back.axes == "TYX" and back.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.3})
    np.testing.assert_array_equal(np.asarray(back.array[:]), layer.data)
    recipe = api.read_recipe(tmp_path / "mean-2-recipe.json")
    (result,) = recipe.restoration.results
    assert (result.product, result.file) == ("mean", "mean-2.ome.zarr") and result.sha256
    assert "Recipe: mean-2-recipe.json" in dock.notices.toPlainText()
    layer.data = layer.data * 1e9
    exporting.dtype.choose("uint16")
    ask["path"] = tmp_path / "whole"
    exporting.save.click()
    until_free()
    (whole,) = api.open_images([tmp_path / "whole.ome.zarr"])
    assert whole.array.dtype == np.uint16 and np.asarray(whole.array[:]).min() == 65535
    assert "pixels were clipped to uint16" in dock.notices.toPlainText()


def test_a_file_that_cannot_be_replaced_stays_and_nothing_else(
    viewer, session, dock, errors, until_free, ask, tmp_path, monkeypatch
):
    def replace(self, target):
        raise PermissionError(13, "Permission denied", str(target))

    path = tmp_path / "open.ome.tif"
    path.write_bytes(b"precious")
    ask["path"] = path
    monkeypatch.setattr(export.Path, "replace", replace)
    dock.exporting.save.click()
    until_free()
    assert "open.ome.tif could not be replaced: Permission denied" in errors[0]
    assert path.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["open.ome.tif"]


def test_a_point_in_a_name_is_no_suffix(viewer, session, dock, until_free, ask, tmp_path):
    ask["path"] = tmp_path / "cells 0.5um"
    dock.exporting.save.click()
    until_free()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["cells 0.5um.ome.tif"]


def test_a_projection_and_a_split_of_a_restored_layer_are_saved(
    viewer, session, dock, until_free, ask, tmp_path
):
    dock.restore.click()
    until_free()
    mean = viewer.layers["noisy [HDN mean]"]
    projected = viewer.add_image(  # as napari's own actions make them: with all the metadata
        mean.data.max(axis=0),
        name="projection",
        metadata=dict(mean.metadata),
        scale=mean.scale[1:],
        units=mean.units[1:],
    )
    dock.exporting.layers.setCurrentIndex(dock.exporting.layers.findText("projection"))
    ask["path"] = tmp_path / "p.ome.tif"
    dock.exporting.save.click()
    until_free()
    (back,) = api.open_images([tmp_path / "p.ome.tif"])
    assert back.axes == "YX"
    np.testing.assert_array_equal(np.asarray(back.array[:]), projected.data)
    assert back.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.3})


def test_axes_typed_small_or_by_half(
    viewer, session, dock, open_dock, until_free, ask, qtbot, tmp_path
):
    train = open_dock("Train HDN")
    train.source.axes.clear()
    qtbot.keyClicks(train.source.axes, "zyx")
    ask["path"] = tmp_path / "z.ome.tif"
    dock.exporting.save.click()
    until_free()
    (back,) = api.open_images([ask["path"]])
    assert back.axes == "ZYX"
    assert back.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.3})

    qtbot.keyClick(train.source.axes, "\b")  # "zy"
    assert train.source.hint.warns
    ask["path"] = tmp_path / "t.ome.tif"
    dock.exporting.save.click()
    until_free()
    (back,) = api.open_images([ask["path"]])
    assert back.axes == "TYX"


def test_all_lengths_are_known():
    units = ("second", "angstrom", "mm")
    sizes = export.pixel_sizes("ZYX", (2, 5, 0.5), units)
    assert sizes == pytest.approx({"Y": 5e-4, "X": 500.0})
    assert export.pixel_sizes("TYX", (1, 1, 1), ("pixel", "pixel", "nonsense")) == {}


def test_what_a_layer_knows_of_time_and_channels():
    noted = {"napari-hdn": {"channel_names": ["actin", "nuclei"]}}
    known = export.metadata_of("TCYX", (250, 1, 2, 2), ("ms", "pixel", "µm", "µm"), noted)
    assert known == api.ImageMetadata({"Y": 2.0, "X": 2.0}, 0.25, ("actin", "nuclei"))
    assert export.metadata_of("TYX", (1, 1, 1), ("pixel",) * 3, {}) == api.NO_METADATA


def test_64_bit_integers_are_offered_as_what_the_file_holds(
    viewer, dock, until_free, ask, tmp_path
):
    viewer.add_image(np.arange(30, dtype=np.int64).reshape(5, 6), name="long")
    exporting = dock.exporting
    exporting.layers.setCurrentIndex(exporting.layers.findText("long"))
    exporting.dtype.setCurrentIndex(1)
    assert exporting.dtype.value() == "int32"
    ask["path"] = tmp_path / "long.ome.tif"
    exporting.save.click()
    until_free()
    np.testing.assert_array_equal(tifffile.imread(ask["path"]), viewer.layers["long"].data)


def test_the_list_follows_names(viewer, dock):
    viewer.add_image(np.zeros((9, 9)), name="new")
    viewer.layers["noisy"].name = "raw"
    viewer.layers["new"].name = "newer"
    layers = dock.exporting.layers
    assert {layers.itemText(i) for i in range(layers.count())} == {"raw", "newer"}


def test_a_dock_opened_meanwhile_shows_the_export(
    viewer, session, dock, until_free, ask, tmp_path, monkeypatch
):
    from napari_hdn.ui.restore import RestoreDock

    dock.restore.click()
    until_free()
    go_on = threading.Event()
    monkeypatch.setattr(export, "write_replacing", lambda *a: go_on.wait(60) and 0)
    ask["path"] = tmp_path / "slow.ome.tif"
    dock.exporting.save.click()
    try:
        second = RestoreDock(viewer)
        viewer.window.add_dock_widget(second, name="second")
        assert second.progress.line.text() == "Saving slow.ome.tif ..."
    finally:
        go_on.set()
    until_free()
    assert second.progress.line.text() == f"Saved {ask['path']}."
