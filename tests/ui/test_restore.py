"""The dock Restore images, driven as a user drives it."""

import threading
import time
from types import SimpleNamespace

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


def test_a_new_layer_that_is_removed_while_it_grows(viewer, dock, until_free, qtbot, monkeypatch):
    removed = threading.Event()

    def restore(model, stack, config, *, stop=None):
        for number, index in enumerate(stack.indices()):
            yield restored(index, stack.plane(index))
            if number == 0:
                removed.wait(60)
        yield ev.RestorationFinished(len(stack), len(stack), False)

    monkeypatch.setattr(api, "restore", restore)
    dock.restore.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    viewer.layers.remove("noisy [HDN mean]")
    removed.set()
    until_free()
    said = "Restored 4 planes. The new layer was removed from napari meanwhile."
    assert dock.progress.line.text() == said and len(viewer.layers) == 1


def test_stopped_before_anything_was_restored(viewer, dock, until_free, qtbot, monkeypatch):
    began = threading.Event()

    def restore(model, stack, config, *, stop=None):
        began.set()
        while not stop.requested:
            time.sleep(0.01)
        yield ev.RestorationFinished(0, len(stack), True)

    monkeypatch.setattr(api, "restore", restore)
    dock.restore.click()
    qtbot.waitUntil(began.is_set)
    dock.stop.click()
    until_free()
    assert dock.progress.line.text() == "Stopped before the first of 4 planes was restored."
    assert len(viewer.layers) == 1


def test_without_layers_the_dock_says_what_to_do_and_what_was_refused_goes(
    viewer, dock, errors, noisy
):
    viewer.layers.clear()
    assert "There is no image layer yet: open images" in dock.targets.hint.text()
    dock.restore.click()
    assert "Tick at least one image layer" in errors.pop()
    assert dock.progress.line.warns
    viewer.add_image(noisy, name="noisy")
    assert dock.progress.line.text() == "" and "planes to restore" in dock.targets.hint.text()


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


def test_all_outputs_become_layers(viewer, session, dock, until_free, trained, noisy):
    for output, box in dock.outputs.boxes.items():
        if output not in ("mean", "samples"):
            box.click()
    dock.outputs.quantiles.setText("10; 90 %")
    dock.outputs.first.setValue(4)
    assert dock.samples.value() == 20
    dock.samples.setValue(5)
    dock.device.choose("cpu")
    dock.restore.click()
    until_free()
    assert dock.progress.line.text() == "Restored 4 planes."
    expected = api.load_model(trained).restore(
        noisy, "TYX", outputs=[o for o in api.OUTPUTS if o != "samples"], samples=5,
        quantiles=(0.1, 0.9), difference=(4, 2), device="cpu",
    )  # fmt: skip
    images = {
        "mean": expected.mean, "median": expected.median, "MAP": expected.map,
        "std": expected.std, "cv": expected.cv, "q10": expected.quantiles[0],
        "q90": expected.quantiles[1], "difference": expected.difference,
        "mean − MAP": expected.mean - expected.map,
    }  # fmt: skip
    made = {x.name for x in viewer.layers} - {"noisy"}
    assert made == {f"noisy [HDN {name}]" for name in images}
    for name, image in images.items():
        np.testing.assert_allclose(
            viewer.layers[f"noisy [HDN {name}]"].data, image, rtol=1e-2, atol=0.1
        )
    assert [x.name for x in viewer.layers][-2:] == ["noisy [HDN mean]", "noisy [HDN mean − MAP]"]
    assert viewer.layers["noisy [HDN q10]"].metadata["napari-hdn"]["product"] == "quantiles"
    listed = [dock.targets.layers.item(i).text() for i in range(dock.targets.layers.count())]
    assert listed == ["noisy"]  # nobody restores what is restored
    overlay = viewer.layers["noisy [HDN mean − MAP]"]
    low, high = overlay.contrast_limits
    assert low == -high and overlay.colormap.map(0.5)[..., 3] == pytest.approx(0, abs=0.02)
    (notice,) = session.last["restoration"].notices
    assert notice.text.startswith("Mean of 2 antithetic pairs: within")


@pytest.mark.parametrize(
    ("output", "set_up", "says"),
    [
        ("quantiles", lambda o: o.quantiles.setText("low"), "'low' is not"),
        ("quantiles", lambda o: o.quantiles.setText("105"), "0 to 100 %"),
        ("quantiles", lambda o: o.quantiles.setText(""), "such as 5, 95; '' is not"),
        ("quantiles", lambda o: o.quantiles.setText("0.05, 0.95"), "If you meant 95 %, write 95"),
        ("difference", lambda o: o.first.setValue(40), "samples 1 to 20; you chose 40 and 2"),
    ],
)
def test_outputs_that_cannot_be(dock, errors, session, output, set_up, says):
    dock.outputs.boxes[output].click()
    set_up(dock.outputs)
    dock.restore.click()
    assert says in errors.pop() and session.job is None


def test_layers_that_do_not_fit_in_memory_are_refused(viewer, dock, errors, session, monkeypatch):
    dock.outputs.std.click()
    free = 5e8 + 100_000
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))
    dock.restore.click()
    told = errors.pop()
    assert "2 new layers of noisy need 250 kB of memory besides 500 MB for the work" in told
    assert "but 500 MB are free. Restore fewer" in told
    assert session.job is None and len(viewer.layers) == 1


def test_damaged_planes_are_told_and_the_others_are_done(viewer, session, dock, until_free, noisy):
    damaged = noisy.astype(np.float32)
    damaged[2, 5, 5] = np.inf
    viewer.add_image(damaged, name="damaged", axis_labels=("t", "y", "x"))
    tick(dock, "noisy", ticked=False)
    tick(dock, "damaged")
    dock.restore.click()
    until_free()
    said = "Restored 3 of 4 planes; 1 are damaged, and empty (NaN) in the new layers."
    assert dock.progress.line.text() == said
    assert "damaged, plane 2: 1 of 7680 pixels" in session.last["restoration"].notices[0].text
    layer = viewer.layers["damaged [HDN mean] (3 of 4 planes)"]
    assert [bool(np.isnan(plane).all()) for plane in layer.data] == [False, False, True, False]
    assert not np.isnan(layer.data[[0, 1, 3]]).any()


def test_how_many_samples_are_enough(viewer, session, dock, until_free):
    assert not dock.sufficiency.plot.isVisible()
    dock.sufficiency.measure.click()
    until_free()
    law = session.last["sufficiency"].law.convergence
    text = dock.sufficiency.words.text()
    assert (
        text.startswith("noisy with tiny: 2 independent samples: within")
        and "are enough for 0.05 dB" in text
    )
    assert f"{law.spread.enough()} samples in pairs" in text
    x, y = dock.sufficiency.curves["independent, measured"].getOriginalDataset()
    assert list(x) == list(law.counts)
    np.testing.assert_allclose(
        y, [10 * np.log10(1 + e / law.spread.single) for e in law.singles], rtol=1e-6
    )
    dock.samples.setValue(20)
    assert "20 independent samples: within 0.21 dB" in dock.sufficiency.words.text()


def test_how_many_samples_stopped(session, dock, until_free, monkeypatch):
    dock.sufficiency.measure.click()
    until_free()
    before = dock.sufficiency.words.text()

    def measure(model, counts, config, *, stop=None):
        yield 0.1
        while not stop.requested:
            time.sleep(0.01)

    monkeypatch.setattr(api, "measure_convergence", measure)
    dock.sufficiency.measure.click()
    dock.stop.click()
    until_free()
    assert "Stopped before enough samples" in dock.progress.line.text()
    assert not session.last["sufficiency"].failed
    assert dock.sufficiency.words.text() == before and not dock.sufficiency.plot.isHidden()
