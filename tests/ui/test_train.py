"""The dock Train HDN, driven as a user drives it."""

import numpy as np
import pytest

from napari_hdn import api
from napari_hdn.core.errors import StoppedEarly, TrainingError
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.ui.train import TrainDock


def see_all(viewer, qtbot):
    """Look at the first frame, all of it, once the canvas has its size beside the dock."""
    qtbot.wait(200)
    viewer.dims.set_current_step(0, 0)
    viewer.reset_view()
    qtbot.wait(100)


def test_from_the_sample_to_a_model_and_on(
    viewer, session, train_dock, tiny, until_free, qtbot, monkeypatch
):
    viewer.open_sample("napari-hdn", "cells_with_pixel_noise")
    dock = train_dock
    noisy = viewer.layers["cells with pixel noise"]
    before = noisy.data.copy()
    assert dock.source.layer.name == noisy.name
    assert dock.source.axes.text() == "TYX"
    assert dock.name.text() == "cells with pixel noise fast"
    tiny(dock, steps=6)
    dock.train.click()
    assert dock.stop.isEnabled()
    assert not dock.train.isEnabled()
    until_free()

    job = session.last["training"]
    assert not job.failed, job.notices
    assert job.training_loss.steps[-1] == 6
    assert np.isfinite(job.training_loss.reconstruction).all()
    x, y = dock.plot.curves["training", "kl"].getData()
    assert list(x) == job.training_loss.steps
    np.testing.assert_allclose(y, job.training_loss.kl)
    assert len(dock.plot.curves["validation", "reconstruction"].getData()[0])
    assert dock.progress.bar.value() == 1000
    assert "Trained after 6 steps" in dock.progress.line.text()
    assert "parameters" in dock.notices.toPlainText()
    preview = viewer.layers["cells with pixel noise [HDN preview]"]
    assert preview.data.shape == (1, 256, 256)
    np.testing.assert_array_equal(noisy.data, before)

    folder = api.models_folder() / "cells with pixel noise fast"
    assert session.model_folder == folder
    assert api.load_model(folder).summary.steps == 6
    assert "2 levels" in dock.models.summary.text()

    # renamed afterwards
    monkeypatch.setattr(
        "napari_hdn.ui.parts.models.choice.QInputDialog.getText", lambda *a, **k: ("my cells", True)
    )
    dock.models.rename.click()
    assert session.model_folder == api.models_folder() / "my cells"
    assert not folder.exists()
    assert dock.models.models.currentText() == "my cells"
    qtbot.waitUntil(lambda: session.model is not None)

    # continued for 4 more steps
    dock.duration.setValue(10)
    dock.resume.click()
    until_free()
    job = session.last["training"]
    assert not job.failed, job.notices
    assert api.load_model(session.model_folder).summary.steps == 10
    assert job.training_loss.steps[0] <= 6  # the plot shows what was before, too
    assert session.model.summary.steps == 10


def test_stop_keeps_a_model_that_continues_after_a_restart(
    viewer, session, train_dock, tiny, until_free, qtbot, noisy
):
    viewer.add_image(noisy, name="noisy")
    dock = train_dock
    tiny(dock, steps=100_000)
    dock.train.click()
    qtbot.waitUntil(lambda: session.job is None or session.job.step > 2)
    dock.stop.click()
    assert not dock.stop.isEnabled()
    until_free()
    folder = session.model_folder
    assert "Stopped after" in dock.progress.line.text()
    stopped_at = api.load_model(folder).summary.steps
    assert 2 < stopped_at < 100_000

    # as after a restart: nothing in hand, the model chosen from the list
    session.set_model(None, None)
    assert dock.models.models.currentText() == "none chosen"
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText(folder.name))
    choice.activated.emit(choice.currentIndex())
    assert session.model_folder == folder
    dock.resume.click()
    qtbot.waitUntil(lambda: session.job is None or session.job.step > stopped_at + 2)
    dock.stop.click()
    until_free()
    assert api.load_model(folder).summary.steps > stopped_at + 2


def test_losses_preview_and_progress_appear_while_it_runs(
    viewer, session, train_dock, held_training, until_free, qtbot, noisy
):
    viewer.add_image(noisy, name="noisy", scale=(1, 0.2, 0.2))
    see_all(viewer, qtbot)
    dock = train_dock
    dock.train.click()
    qtbot.waitUntil(lambda: "noisy [HDN preview]" in viewer.layers)
    assert dock.progress.bar.value() == 250
    assert "1 min 15 s left" in dock.progress.bar.format()
    assert "reconstruction 5 + KL 0.5" in dock.progress.line.text()
    assert dock.plot.isVisible()
    curve = dock.plot.curves["validation", "kl"]
    qtbot.waitUntil(lambda: curve.getData()[1] is not None)  # drawn about once a second
    assert list(curve.getData()[1]) == [0.75]
    preview = viewer.layers["noisy [HDN preview]"]
    np.testing.assert_allclose(preview.data[0], noisy[0] / 2)

    viewer.dims.set_current_step(0, 3)  # the preview follows the user
    qtbot.waitUntil(lambda: preview.translate[0] == 3)
    np.testing.assert_allclose(preview.data[0], noisy[3] / 2)
    held_training.go_on.set()
    until_free()


def test_docks_are_views_of_one_session(
    viewer, session, train_dock, held_training, until_free, qtbot, noisy
):
    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    qtbot.waitUntil(lambda: "noisy [HDN preview]" in viewer.layers)
    second = TrainDock(viewer)
    viewer.window.add_dock_widget(second, name="second")
    assert not second.train.isEnabled()
    assert second.progress.bar.format() == train_dock.progress.bar.format()
    curve = second.plot.curves["training", "kl"]
    qtbot.waitUntil(lambda: curve.getData()[0] is not None)
    assert len(curve.getData()[0]) == 1

    viewer.window.remove_dock_widget(second)  # closing a dock loses nothing
    second.deleteLater()
    qtbot.wait(50)
    assert session.job is not None
    train_dock.stop.click()
    until_free()
    assert held_training.saved == [session.model_folder]


def test_one_job_at_a_time(viewer, session, train_dock, open_dock, held_training, errors, noisy):
    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    restore = open_dock("Restore images")
    restore.restore.click()
    assert len(errors) == 1
    assert errors[0].startswith("One job at a time: training noisy fast is still running")
    assert restore.progress.line.text() == errors[0]
    assert len(held_training.calls) <= 1


def test_a_message_for_the_user_comes_without_a_traceback(
    viewer, session, train_dock, held_training, errors, until_free, noisy
):
    held_training.error = TrainingError("The loss stayed infinite at step 9.")
    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    until_free()
    assert errors == ["The loss stayed infinite at step 9."]
    assert "The loss stayed infinite at step 9." in train_dock.notices.toPlainText()
    assert train_dock.progress.line.warns
    assert train_dock.train.isEnabled()


def test_a_stop_before_the_first_step_is_no_error(
    viewer, session, train_dock, held_training, errors, until_free, noisy
):
    held_training.error = StoppedEarly("Stopped before the first step; there is nothing to keep.")
    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    until_free()
    assert errors == []
    assert train_dock.progress.line.text().startswith("Stopped before the first step")
    assert not train_dock.progress.line.warns


def test_an_unexpected_error_goes_to_napari_once(
    viewer, session, train_dock, held_training, errors, until_free, noisy, qtbot
):
    held_training.error = ZeroDivisionError("oops")
    viewer.add_image(noisy, name="noisy")
    with qtbot.captureExceptions() as received:  # napari's notifications take them from here
        train_dock.train.click()
        until_free()
    assert [str(e[1]) for e in received] == ["oops"]
    assert errors == []
    assert "unexpected error" in train_dock.progress.line.text()
    assert train_dock.train.isEnabled()


def test_a_folder_of_tiffs(viewer, session, train_dock, tiny, until_free, qtbot, noisy, tmp_path):
    folder = tmp_path / "raw"
    for i in range(2):
        api.write_ome_tiff(
            folder / f"n{i}.ome.tif", noisy, "TYX", metadata=ImageMetadata({"Y": 0.2, "X": 0.2})
        )
    dock = train_dock
    dock.source.images.choose("folder")
    dock.source.folder.edit.setText(str(folder))
    qtbot.waitUntil(lambda: "first of 2 images" in dock.source.hint.text())
    assert dock.source.axes.text() == "TYX"
    assert dock.name.text() == "raw fast"
    tiny(dock, steps=3)
    dock.train.click()
    until_free()
    job = session.last["training"]
    assert not job.failed, job.notices
    preview = viewer.layers["n0.ome.tif [HDN preview]"]
    assert tuple(preview.scale) == (1, 0.2, 0.2)
    assert preview.data.shape == (1, 96, 80)


def test_one_channel(viewer, session, train_dock, held_training, until_free, qtbot, noisy):
    both = np.stack([noisy, noisy + 1000], axis=1)
    viewer.add_image(both, name="two", axis_labels=("t", "c", "y", "x"))
    dock = train_dock
    assert dock.source.axes.text() == "TCYX"
    assert dock.source.channel.count() == 3
    dock.source.channel.choose(1)
    see_all(viewer, qtbot)
    assert "4 images" in dock.source.hint.text()
    dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.requests) > 0)
    held_training.go_on.set()
    until_free()
    (call,) = held_training.calls
    assert call.config.channel == 1
    assert call.images[0].channel == 1
    np.testing.assert_array_equal(held_training.requests[0].image, noisy[0] + 1000)
    assert tuple(viewer.layers["two [HDN preview]"].translate) == (0, 1, 0, 0)


def test_device_choice_says_what_auto_is(train_dock, qtbot):
    qtbot.waitUntil(lambda: train_dock.device.count() > 1)
    assert train_dock.device.itemText(0).startswith("auto: CPU (")
    assert train_dock.config().device == "auto"


@pytest.mark.parametrize("name", api.PRESETS)
def test_presets_fill_the_form(train_dock, name):
    train_dock.preset.choose(name)
    config = train_dock.config()
    assert config == api.PRESETS[name].model_copy(update={"noise": config.noise})


def test_minutes_become_about_as_many_steps(train_dock):
    dock = train_dock
    dock.unit.choose("minutes")
    dock.duration.setValue(10)
    dock.unit.choose("steps")
    assert dock.config().steps == 2500
    dock.duration.setValue(500)
    dock.unit.choose("minutes")
    assert dock.config().minutes == 2
