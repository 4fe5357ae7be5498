"""The dock Restore images, driven as a user drives it."""

import time

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_hdn import api
from napari_hdn.core import events as ev


def restored(index, plane):
    return ev.PlaneRestored(index, {"mean": plane}, slice(0, len(plane)))


def tick(dock, name, ticked=True):
    (item,) = dock.targets.layers.findItems(name, Qt.MatchFlag.MatchExactly)
    item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


def test_mean_and_std_lie_on_their_source(viewer, session, dock, trained, until_free, noisy):
    assert "2 levels" in dock.models.summary.text()
    assert dock.samples.value() == 2
    dock.outputs.std.click()
    assert dock.samples.value() == 20
    dock.samples.setValue(4)
    dock.restore.click()
    until_free()
    assert dock.progress.line.text() == "Restored 4 planes."
    expected = api.load_model(trained).restore(noisy, "TYX", samples=4, outputs=("mean", "std"))
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
    restored, source = viewer.layers["two [HDN mean]"], viewer.layers["two"]
    assert restored.data.shape == (4, 1, 96, 80)
    np.testing.assert_allclose(
        restored.data[:, 0], viewer.layers["noisy [HDN mean]"].data, atol=1e-3
    )
    np.testing.assert_allclose(restored.data_to_world((3, 0, 5, 6)), [3, 1, 5, 6])
    viewer.dims.set_point((0, 1), (3, 1))  # at the time and the channel both are seen
    for layer in (source, restored):
        assert np.nanmax(layer.get_value((3, 1, 5, 6), world=True)) > 0


def test_preview_restores_what_is_in_view(viewer, session, dock, until_free, qtbot):
    viewer.reset_view()
    viewer.dims.set_current_step(0, 2)
    qtbot.wait(100)
    assert "at most 512 × 512 pixels" in dock.preview.toolTip()
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
            yield restored(index, stack.plane(index) / 2)
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
    layer = viewer.layers["noisy [HDN mean] (2 of 4 planes)"]
    np.testing.assert_allclose(layer.data[:2], noisy[:2] / 2)
    assert not layer.data[2:].any()
    assert layer.metadata["napari-hdn"]["planes"] == [2, 4]


def test_stop_between_two_layers(viewer, session, dock, until_free, qtbot, monkeypatch, noisy):
    def restore(model, stack, config, *, stop=None):
        for index in stack.indices():
            yield restored(index, stack.plane(index))
        while not stop.requested:  # after it has looked at Stop for the last time
            time.sleep(0.01)
        yield ev.RestorationFinished(len(stack), len(stack), False)

    monkeypatch.setattr(api, "restore", restore)
    viewer.add_image(noisy, name="other")
    tick(dock, "other")
    dock.restore.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    dock.stop.click()
    until_free()
    assert dock.progress.line.text() == "Stopped: 4 of 8 planes are restored; the others are 0."
    assert not session.last["restoration"].failed
    (made,) = [x for x in viewer.layers if "HDN" in x.name]
    assert made.metadata["napari-hdn"]["planes"] == [4, 4]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 3.1 GiB for an array"), "Unable to allocate 3.1 GiB"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."), "memory does not"),
        (PermissionError(13, "Permission denied", "/data/n.tif"), "/data/n.tif: permission denied"),
    ],
)
def test_a_failure_is_told_and_what_was_restored_is_marked(
    viewer, session, dock, errors, until_free, monkeypatch, noisy, error, words
):
    def restore(model, stack, config, *, stop=None):
        yield restored((0,), stack.plane((0,)) / 2)
        yield restored((1,), stack.plane((1,)) / 2)
        raise error

    monkeypatch.setattr(api, "restore", restore)
    dock.restore.click()
    until_free()
    assert words in errors[0]
    assert words in dock.progress.line.text()
    layer = viewer.layers["noisy [HDN mean] (2 of 4 planes)"]
    np.testing.assert_allclose(layer.data[1], noisy[1] / 2)
    assert layer.metadata["napari-hdn"]["planes"] == [2, 4]


def test_a_range_far_from_the_training_is_told(viewer, session, dock, until_free, noisy):
    viewer.add_image(noisy.astype(np.float32) * 1000, name="bright")
    tick(dock, "noisy", False)
    tick(dock, "bright")
    dock.restore.click()
    until_free()
    warnings = [n for n in session.last["restoration"].notices if n.severity == "warning"]
    assert len(warnings) == 1
    assert warnings[0].text in dock.notices.toPlainText()
