"""Models in the docks: kept when they cannot be saved, and written to by one job only."""

import time
from types import SimpleNamespace

import pytest

from napari_hdn import api
from napari_hdn.core import checkpoint
from napari_hdn.core.errors import OutputError
from napari_hdn.ui.parts.models.choice import summarise
from napari_hdn.ui.session import session_of


def test_a_model_that_could_not_be_saved_is_kept_and_saved_later(
    viewer, session, train_dock, open_dock, tiny, until_free, noisy, monkeypatch, answer, errors
):
    def full(model, folder):
        raise OutputError("weights.safetensors could not be written: no space left on device.")

    viewer.add_image(noisy, name="noisy")
    tiny(train_dock, steps=3)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(checkpoint, "save", full)
        train_dock.train.click()
        until_free()
        model = session.model
        assert model.summary.steps == 3
        assert session.model_folder is None
        assert "Save as ..." in train_dock.progress.line.text()
        choice = train_dock.models
        assert choice.models.currentText() == "not saved"
        assert choice.rename.text() == "Save as ..."
        assert "2 levels" in choice.summary.text()
        answer("kept")
        choice.rename.click()  # the disk is still full
        assert "no space left" in errors.pop()
        assert list(api.models_folder().iterdir()) == []
    train_dock.resume.click()
    assert "not saved" in errors.pop()

    restore = open_dock("Restore images")  # it can be used
    restore.restore.click()
    until_free()
    assert "noisy [HDN mean]" in viewer.layers

    choice.rename.click()
    assert session.model_folder == api.models_folder() / "kept"
    assert api.load_model(session.model_folder).summary.steps == 3
    assert choice.models.currentText() == "kept"
    assert choice.rename.text() == "Rename"
    assert choice.models.findText("not saved") == -1


def test_an_unsaved_model_can_be_chosen_again(session, train_dock, trained, qtbot):
    model = api.load_model(trained)
    model.folder = None
    session.unsaved = model
    session.choose_unsaved()
    choice = train_dock.models.models
    for text in ("tiny", "not saved"):
        choice.setCurrentIndex(choice.findText(text))
        choice.activated.emit(choice.currentIndex())
        qtbot.waitUntil(lambda: session.model is not None)
    assert session.model is model


@pytest.fixture
def second_dock(second_viewer):
    return second_viewer.window.add_plugin_dock_widget("napari-hdn", "Train HDN")[1]


def test_two_windows_train_into_two_folders(
    viewer, session, train_dock, second_viewer, second_dock, held_training, until_free, noisy, qtbot
):
    for one, dock in ((viewer, train_dock), (second_viewer, second_dock)):
        one.add_image(noisy, name="noisy")
        dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.calls) == 2)
    folders = [call.folder for call in held_training.calls]
    assert sorted(f.name for f in folders) == ["noisy fast", "noisy fast-2"]
    assert all(f.is_dir() for f in folders)  # taken for other programs, too
    held_training.go_on.set()
    until_free()
    qtbot.waitUntil(lambda: session_of(second_viewer).job is None)


def test_a_model_in_use_in_another_window(
    viewer,
    session,
    train_dock,
    second_viewer,
    second_dock,
    held_training,
    until_free,
    noisy,
    qtbot,
    errors,
    answer,
):
    for one in (viewer, second_viewer):
        one.add_image(noisy, name="noisy")
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.calls) == 1)
    session_of(second_viewer).set_model(session.job.folder, None)
    second_dock.resume.click()
    assert "The model noisy fast is in use: training noisy fast" in errors.pop()
    answer("other")
    second_dock.models.rename.click()
    assert "The model noisy fast is in use" in errors.pop()
    assert session.job.folder.is_dir()
    assert session_of(second_viewer).job is None
    held_training.go_on.set()
    until_free()
    second_dock.resume.click()
    assert session_of(second_viewer).job is not None  # free again


def test_a_training_that_saves_nothing_leaves_no_folder(
    viewer, session, train_dock, held_training, errors, until_free, noisy
):
    held_training.error = api.HDNError("Nothing to learn.")
    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    until_free()
    assert list(api.models_folder().iterdir()) == []


def test_the_clock_on_the_wall(monkeypatch, trained):
    model = api.load_model(trained)
    summary = model.summary.model_copy(update={"created": "2026-01-02T23:04:05+00:00"})
    model = SimpleNamespace(
        config=model.config, summary=summary, parameters=9, noise_model=model.noise_model
    )
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "2026-01-03 08:04." in summarise(model)
    finally:
        monkeypatch.undo()
        time.tzset()
