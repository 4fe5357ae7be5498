"""What bad input gets: a word in the dock at once or on the click, nothing begun, nothing lost."""

import numpy as np
import pytest

from napari_hdn import api


def hint_of(dock):
    return dock.source.hint.text()


def test_rgb_layer(viewer, session, train_dock, errors):
    viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="picture")
    assert "RGB" in hint_of(train_dock)
    assert train_dock.source.hint.warns
    train_dock.train.click()
    assert "RGB" in errors[0]
    assert session.job is None


def test_labels_layer(viewer, session, train_dock, errors):
    viewer.add_labels(np.zeros((64, 64), int), name="cells")
    assert "labels layer" in hint_of(train_dock)
    train_dock.train.click()
    assert "labels layer" in errors[0]
    assert session.job is None


@pytest.mark.parametrize(
    ("axes", "word"), [("QYX", "'Q'"), ("YX", "3 axes"), ("TTX", "twice"), ("TZX", "lack Y")]
)
def test_wrong_axes(viewer, session, train_dock, errors, noisy, axes, word, qtbot):
    viewer.add_image(noisy, name="noisy")
    train_dock.source.axes.clear()
    qtbot.keyClicks(train_dock.source.axes, axes)
    assert word in hint_of(train_dock)
    assert train_dock.source.hint.warns
    train_dock.train.click()
    assert word in errors[0]
    assert session.job is None


def test_axes_are_remembered_for_the_layer(viewer, session, train_dock, open_dock, noisy, qtbot):
    viewer.add_image(noisy, name="noisy")
    train_dock.source.axes.clear()
    qtbot.keyClicks(train_dock.source.axes, "ZYX")
    restore = open_dock("Restore images")
    assert "axes ZYX" in restore.targets.hint.text()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda a: np.where(a == a.max(), np.nan, a.astype(np.float32)), "NaN"),
        (lambda a: np.where(a == a.max(), np.inf, a.astype(np.float32)), "infinite"),
        (lambda a: np.full_like(a, 7), "constant"),
        (lambda a: a[:, :10, :10], "10"),
    ],
)
def test_pixels_that_cannot_be_used(
    viewer, session, train_dock, tiny, errors, until_free, noisy, spoil, word
):
    viewer.add_image(spoil(noisy), name="noisy", contrast_limits=(0, 500))
    tiny(train_dock, steps=2)
    train_dock.train.click()
    until_free()
    assert word.lower() in errors[0].lower()
    assert train_dock.progress.line.warns
    assert session.model_folder is None
    assert api.list_models() == []


def test_folders_without_images(viewer, session, train_dock, errors, qtbot, tmp_path):
    dock = train_dock
    dock.train.click()
    assert "Choose an image layer, or a folder" in errors.pop()
    dock.source.folder.edit.setText(str(tmp_path))
    qtbot.waitUntil(lambda: "has no images" in hint_of(dock))
    dock.train.click()
    qtbot.waitUntil(lambda: len(errors) == 1)
    assert "has no images" in errors[0]


def test_a_truncated_tiff(viewer, session, train_dock, errors, qtbot, tmp_path, noisy):
    path = tmp_path / "cut.ome.tif"
    api.write_ome_tiff(path, noisy, "TYX")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    train_dock.source.images.choose("folder")
    train_dock.source.folder.edit.setText(str(tmp_path))
    qtbot.waitUntil(lambda: "cut.ome.tif" in hint_of(train_dock))
    assert train_dock.source.hint.warns


def test_settings_that_do_not_go_together(viewer, train_dock, errors, noisy):
    viewer.add_image(noisy, name="noisy")
    train_dock.expert.fields["patch_px"].setValue(50)
    assert "Patch 50 is not a multiple" in train_dock.check.text()
    train_dock.train.click()
    assert "Patch 50 is not a multiple" in errors[0]
    train_dock.noise.source.choose("file")
    train_dock.expert.fields["patch_px"].setValue(64)
    train_dock.train.click()
    assert "Choose the noise model file" in errors[1]


def test_continue_needs_a_model(viewer, train_dock, errors, noisy):
    viewer.add_image(noisy, name="noisy")
    train_dock.resume.click()
    assert "Choose the model to go on with" in errors[0]


def test_a_broken_model_folder(viewer, session, open_dock, errors, trained, qtbot, noisy):
    (trained / "weights.safetensors").write_bytes(b"not weights")
    viewer.add_image(noisy, name="noisy")
    dock = open_dock("Restore images")
    choice = dock.models.models
    choice.setCurrentIndex(choice.findText("tiny"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: dock.models.summary.warns)
    assert "weights.safetensors" in dock.models.summary.text()
    dock.restore.click()
    assert "weights.safetensors" in errors[0]
    assert session.job is None


def test_restoring_needs_model_layers_and_outputs(
    viewer, session, open_dock, errors, trained, qtbot, noisy
):
    dock = open_dock("Restore images")
    dock.restore.click()
    assert "Choose a model" in errors.pop()
    session.choose_model(trained)
    qtbot.waitUntil(lambda: session.model is not None)
    dock.restore.click()
    assert "Tick at least one image layer" in errors.pop()
    viewer.add_image(noisy, name="noisy")
    dock.outputs.mean.setChecked(False)
    dock.restore.click()
    assert "Tick what to make" in errors.pop()
    dock.outputs.std.setChecked(True)
    dock.samples.setValue(2)
    assert dock.samples_hint.warns
    dock.restore.click()
    assert "at least 3 samples" in errors.pop()
