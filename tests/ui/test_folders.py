"""Folders of TIFF images in both docks, and channels and axes of what is chosen."""

import threading

import numpy as np
import pytest
import tifffile

from commands import images_in
from napari_hdn import api
from napari_hdn.io.metadata import ImageMetadata
from ngff import write_image


@pytest.fixture
def two_channels(noisy):
    return np.stack([noisy + 1000, noisy], axis=1)  # (T, C, Y, X)


def write(folder, name, array, axes):
    api.write_ome_tiff(folder / name, array, axes, metadata=ImageMetadata({"Y": 0.2, "X": 0.3}))


def test_a_folder_into_a_folder(viewer, session, dock, until_free, noisy, tmp_path, trained):
    source, target = tmp_path / "in", tmp_path / "out"
    for i in range(2):
        api.write_ome_tiff(
            source / f"n{i}.ome.tif", noisy[:2], "TYX", metadata=ImageMetadata({"Y": 0.2, "X": 0.3})
        )
    dock.targets.kind.choose("folder")
    dock.targets.folder.edit.setText(str(source))
    dock.targets.output.edit.setText(str(target))
    dock.restore.click()
    until_free()
    dock.restore.click()  # nothing is done twice
    until_free()
    assert "2 of 2 images restored (2 of them before)" in session.last["restoration"].outcome
    dock.batch.again.setChecked(True)
    dock.restore.click()  # nothing is overwritten: numbered
    until_free()
    assert images_in(target) == [
        "n0_hdn-mean-2.ome.tif",
        "n0_hdn-mean.ome.tif",
        "n1_hdn-mean-2.ome.tif",
        "n1_hdn-mean.ome.tif",
    ]
    (written,) = api.open_images([target / "n1_hdn-mean.ome.tif"])
    assert written.axes == "TYX"
    assert written.array.dtype == np.float32
    assert written.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.3})
    expected = api.load_model(trained).restore(noisy[:2], "TYX").mean
    np.testing.assert_allclose(np.asarray(written.array[:]), expected, rtol=1e-3, atol=0.05)


def test_files_say_which_levels_are_off(dock, until_free, noisy, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    write(source, "n.ome.tif", noisy[:2], "TYX")
    dock.targets.kind.choose("folder")
    dock.targets.folder.edit.setText(str(source))
    dock.targets.output.edit.setText(str(target))
    dock.levels.boxes[0].click()
    dock.restore.click()
    until_free()
    with tifffile.TiffFile(target / "n_hdn-mean.ome.tif") as file:
        assert "with model tiny, level 1 off</Description>" in file.ome_metadata


def test_files_of_several_images_are_named_by_their_stem(dock, until_free, noisy, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    with tifffile.TiffWriter(source / "pair.tif") as file:
        file.write(noisy[0], photometric="minisblack")
        file.write(noisy[0, :64, :64], photometric="minisblack")
    dock.targets.kind.choose("folder")
    dock.targets.folder.edit.setText(str(source))
    dock.targets.output.edit.setText(str(target))
    dock.restore.click()
    until_free()
    assert images_in(target) == [
        "pair-0_hdn-mean.ome.tif",
        "pair-1_hdn-mean.ome.tif",
    ]


def test_a_models_channel_of_a_folder(
    session, dock, until_free, qtbot, tmp_path, trained, noisy, two_channels
):
    model = api.load_model(trained)
    model.config = model.config.model_copy(update={"channel": 1})
    session.set_model(trained, model)
    source, target = tmp_path / "in", tmp_path / "out"
    write(source, "a.ome.tif", two_channels[:2], "TCYX")
    write(source, "b.ome.tif", noisy[:2], "TYX")
    targets = dock.targets
    targets.kind.choose("folder")
    targets.folder.edit.setText(str(source))
    targets.output.edit.setText(str(target))
    assert targets.chosen_channel() == 1  # before the folder was looked into
    qtbot.waitUntil(lambda: "channel 1" in targets.hint.text())
    assert targets.form.isRowVisible(targets.channel)
    assert targets.channel.value() == 1
    assert targets.hint.text() == "2 images, 4 planes to restore, axes TCYX, TYX, channel 1"
    dock.restore.click()
    until_free()
    assert not session.last["restoration"].failed
    (a,) = api.open_images([target / "a_hdn-mean.ome.tif"])
    assert a.axes == "TYX"
    expected = model.restore(two_channels[:2, 1], "TYX").mean
    np.testing.assert_allclose(np.asarray(a.array[:]), expected, rtol=1e-3, atol=0.05)
    assert (target / "b_hdn-mean.ome.tif").exists()

    targets.channel.choose(0)  # the user may want another
    assert targets.chosen_channel() == 0
    assert "channel 0" in targets.hint.text()


def test_a_channel_that_the_next_layer_lacks(
    viewer, session, train_dock, held_training, errors, until_free, noisy, two_channels, qtbot
):
    viewer.add_image(noisy, name="one", axis_labels=("t", "y", "x"))
    viewer.add_image(two_channels, name="two", axis_labels=("t", "c", "y", "x"))
    source = train_dock.source
    source.images.setCurrentIndex(source.images.findText("two"))
    source.channel.choose(1)
    assert "channel 1" in source.hint.text()
    source.images.setCurrentIndex(source.images.findText("one"))
    assert not source.hint.warns
    assert not source.form.isRowVisible(source.channel)
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.calls) == 1)
    held_training.go_on.set()
    until_free()
    assert errors == []
    assert held_training.calls[0].config.channel is None


def test_corrected_axes_of_a_folder_stay(viewer, train_dock, open_dock, qtbot, tmp_path, noisy):
    write(tmp_path, "a.ome.tif", noisy, "TYX")
    source = train_dock.source
    source.folder.edit.setText(str(tmp_path))
    qtbot.waitUntil(lambda: "one image" in source.hint.text())
    source.axes.clear()
    qtbot.keyClicks(source.axes, "zyx")
    layer = viewer.add_image(noisy, name="n")
    layer.name = "m"
    viewer.layers.remove(layer)
    assert source.images.value() == "folder"
    assert source.axes.text() == "zyx"
    assert "Z 4" in source.hint.text()
    source.folder.edit.setText(str(tmp_path) + "/")  # the same folder
    assert source.axes.text() == "zyx"

    restore = open_dock("Restore images")  # knows, too
    restore.targets.kind.choose("folder")
    restore.targets.folder.edit.setText(str(tmp_path))
    qtbot.waitUntil(lambda: "axes ZYX" in restore.targets.hint.text())


def test_a_folder_is_looked_into_once_it_is_typed(train_dock, qtbot, tmp_path, noisy, monkeypatch):
    write(tmp_path, "a.ome.tif", noisy, "TYX")
    asked, open_images = [], api.open_images
    monkeypatch.setattr(api, "open_images", lambda p, **k: asked.append(p) or open_images(p, **k))
    qtbot.keyClicks(train_dock.source.folder.edit, str(tmp_path))
    qtbot.waitUntil(lambda: "one image" in train_dock.source.hint.text())
    assert asked == [[tmp_path]]


@pytest.mark.parametrize("name", ["Train HDN", "Restore images"])
def test_a_folder_without_permission(open_dock, qtbot, tmp_path, monkeypatch, name):
    def refuse(paths, **choices):
        raise PermissionError(13, "Permission denied", str(paths[0]))

    monkeypatch.setattr(api, "open_images", refuse)
    dock = open_dock(name)
    part = dock.source if name == "Train HDN" else dock.targets
    if name == "Restore images":
        part.kind.choose("folder")
    part.folder.edit.setText(str(tmp_path))
    assert "Looking into" in part.hint.text()
    qtbot.waitUntil(lambda: part.hint.warns)
    assert f"{tmp_path}: permission denied" in part.hint.text()


def test_an_ome_zarr_is_chosen_as_a_folder(train_dock, qtbot, tmp_path, noisy):
    counts = noisy[:, None].repeat(2, 1)
    write_image(tmp_path / "cells.ome.zarr", counts, scale=[1, 1, 0.1, 0.1], names=("GFP", "DAPI"))
    source = train_dock.source
    source.images.choose("folder")
    source.folder.edit.setText(str(tmp_path / "cells.ome.zarr"))
    qtbot.waitUntil(lambda: "one image" in source.hint.text())
    assert source.axes.text() == "TCYX"
    assert source.channel.itemText(2) == "channel 1: DAPI"
    assert train_dock.name.text() == "cells fast"
    source.channel.choose(1)
    (stack,) = source.snapshot().open()
    np.testing.assert_array_equal(stack.plane((3,)), counts[3, 1])


def test_how_far_a_look_into_a_folder_has_come(train_dock, qtbot, tmp_path, noisy, monkeypatch):
    for number in range(3):
        write(tmp_path, f"{number}.ome.tif", noisy, "TYX")
    go_on, open_images = threading.Event(), api.open_images

    def slow(paths, *, on_image, **options):
        def on_one(count: int) -> None:
            on_image(count)
            go_on.wait(60)

        return open_images(paths, on_image=on_one, **options)

    monkeypatch.setattr(api, "open_images", slow)
    source = train_dock.source
    source.images.choose("folder")
    source.folder.edit.setText(str(tmp_path))
    qtbot.waitUntil(lambda: source.hint.text() == "Looking into the folder ... 1 images")
    go_on.set()
    qtbot.waitUntil(lambda: "first of 3 images" in source.hint.text())
