"""The dock Restore images, driven as a user drives it."""

import time

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_hdn import api
from napari_hdn.core import events as ev


@pytest.fixture
def dock(viewer, session, open_dock, trained, qtbot, noisy):
    viewer.add_image(
        noisy,
        name="noisy",
        scale=(1, 0.2, 0.3),
        translate=(0, 5, 6),
        units=("second", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    dock = open_dock("Restore images")
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("tiny"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: session.model is not None)
    return dock


def tick(dock, name, ticked=True):
    (item,) = dock.targets.layers.findItems(name, Qt.MatchFlag.MatchExactly)
    item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


def test_mean_and_std_lie_on_their_source(viewer, session, dock, trained, until_free, noisy):
    assert "2 levels" in dock.models.summary.text()
    assert dock.samples.value() == 2
    dock.std.click()
    assert dock.samples.value() == 16
    dock.samples.setValue(4)
    dock.restore.click()
    until_free()
    assert dock.progress.line.text() == "Restored 4 planes."
    expected = api.load_model(trained).restore(noisy, "TYX", samples=4, std=True)
    source = viewer.layers["noisy"]
    for product in ("mean", "std"):
        layer = viewer.layers[f"noisy [HDN {product}]"]
        np.testing.assert_allclose(layer.data, getattr(expected, product), rtol=1e-3, atol=0.05)
        for name in ("scale", "translate", "units", "axis_labels"):
            assert tuple(getattr(layer, name)) == tuple(getattr(source, name))
        identity = layer.metadata["napari-hdn"]
        assert (identity["model"], identity["product"]) == ("tiny", product)
        assert identity["restoration"]["samples"] == 4
        assert identity["model_steps"] == 4
    mean = viewer.layers["noisy [HDN mean]"]
    assert tuple(mean.contrast_limits) == tuple(source.contrast_limits)
    np.testing.assert_array_equal(source.data, noisy)


def test_levels_are_switched_off(viewer, session, dock, trained, until_free, noisy):
    one, top = dock.levels.boxes
    assert one.isChecked() and top.isChecked() and not top.isEnabled()
    one.click()
    dock.flips.click()
    dock.restore.click()
    until_free()
    layer = viewer.layers["noisy [HDN mean]"]
    choices = {"deactivated_levels": (1,), "flips": True}
    expected = api.load_model(trained).restore(noisy, "TYX", **choices)
    np.testing.assert_allclose(layer.data, expected.mean, rtol=1e-3, atol=0.05)
    assert layer.metadata["napari-hdn"]["restoration"]["deactivated_levels"] == [1]


def test_several_layers_and_one_channel(viewer, session, dock, until_free, noisy):
    both = np.stack([noisy, noisy], axis=1)
    viewer.add_image(both, name="two", axis_labels=("t", "c", "y", "x"))
    tick(dock, "two")
    dock.targets.channel.choose(1)
    dock.restore.click()
    until_free()
    assert viewer.layers["two [HDN mean]"].data.shape == noisy.shape
    np.testing.assert_allclose(
        viewer.layers["two [HDN mean]"].data, viewer.layers["noisy [HDN mean]"].data, atol=1e-3
    )


def test_preview_restores_what_is_in_view(viewer, session, dock, until_free, qtbot):
    viewer.reset_view()
    viewer.dims.set_current_step(0, 2)
    qtbot.wait(100)
    dock.preview.click()
    until_free()
    layer = viewer.layers["noisy [HDN preview]"]
    assert layer.data.shape == (1, 96, 80)
    np.testing.assert_allclose(layer.translate, (2, 5, 6))
    assert dock.progress.line.text() == "Previewed 96 × 80 pixels of noisy."


def test_stop_keeps_what_is_restored(viewer, session, dock, until_free, qtbot, monkeypatch, noisy):
    def restore(model, stack, config, *, stop=None):
        for number, index in enumerate(stack.indices()):
            if stop.requested:
                break
            yield ev.PlaneRestored(index, stack.plane(index) / 2, None)
            yield ev.RestorationProgress((number + 1) / len(stack), 1.0, 3.0)
            while number == 1 and not stop.requested:
                time.sleep(0.01)
        yield ev.RestorationFinished(number, len(stack), stop.requested)

    monkeypatch.setattr(api, "restore", restore)
    dock.restore.click()
    qtbot.waitUntil(lambda: session.job is not None and session.job.fraction == 0.5)
    assert "3 s left" in dock.progress.bar.format()
    dock.stop.click()
    until_free()
    assert dock.progress.line.text() == "Stopped: 2 of 4 planes are restored; the others are 0."
    data = viewer.layers["noisy [HDN mean]"].data
    np.testing.assert_allclose(data[:2], noisy[:2] / 2)
    assert not data[2:].any()


def test_a_range_far_from_the_training_is_told(viewer, session, dock, until_free, noisy):
    viewer.add_image(noisy.astype(np.float32) * 1000, name="bright")
    tick(dock, "noisy", False)
    tick(dock, "bright")
    dock.restore.click()
    until_free()
    warnings = [n for n in session.last["restoration"].notices if n.severity == "warning"]
    assert len(warnings) == 1
    assert warnings[0].text in dock.notices.toPlainText()


def test_a_folder_into_a_folder(viewer, session, dock, until_free, noisy, tmp_path, trained):
    source, target = tmp_path / "in", tmp_path / "out"
    for i in range(2):
        api.write_ome_tiff(
            source / f"n{i}.ome.tif", noisy[:2], "TYX", pixel_size_um={"Y": 0.2, "X": 0.3}
        )
    dock.targets.kind.choose("folder")
    dock.targets.folder.edit.setText(str(source))
    dock.targets.output.edit.setText(str(target))
    dock.restore.click()
    until_free()
    dock.restore.click()  # nothing is overwritten: numbered
    until_free()
    assert sorted(p.name for p in target.iterdir()) == [
        "n0_HDN_mean-2.ome.tif",
        "n0_HDN_mean.ome.tif",
        "n1_HDN_mean-2.ome.tif",
        "n1_HDN_mean.ome.tif",
    ]
    (written,) = api.open_images([target / "n1_HDN_mean.ome.tif"])
    assert written.axes == "TYX"
    assert written.array.dtype == np.float32
    assert written.pixel_size_um == pytest.approx({"Y": 0.2, "X": 0.3})
    expected = api.load_model(trained).restore(noisy[:2], "TYX").mean
    np.testing.assert_allclose(np.asarray(written.array[:]), expected, rtol=1e-3, atol=0.05)


class TestExport:
    @pytest.fixture
    def ask(self, monkeypatch):
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

    def test_float_with_pixel_size_and_axes(self, viewer, session, dock, until_free, ask, tmp_path):
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

    def test_the_inputs_type_says_what_it_clips(
        self, viewer, session, dock, until_free, ask, qtbot, tmp_path
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
        self, viewer, session, dock, until_free, ask, tmp_path, noisy
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
