"""The Train dock takes a calibrated noise model, and asks where its checks failed."""

import pytest
from qtpy.QtWidgets import QMessageBox

from calibrated import BAD, make_calibration
from napari_hdn import api

YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


@pytest.fixture
def question(monkeypatch):
    """Answers the question whether to go on; ``asked`` has what was said."""

    class Question:
        answer = NO
        asked: list[str] = []  # noqa: RUF012
        default = None

        def __call__(self, parent, title, text, buttons, default):
            self.asked.append(text)
            self.default = default
            return self.answer

    question = Question()
    question.asked = []
    monkeypatch.setattr("napari_hdn.ui.parts.noise.QMessageBox.question", question)
    return question


def save(name, *checks):
    return api.save_calibration(make_calibration(*checks), api.free_noise_model_path(name))


def listed(choice):
    return [choice.calibrated.itemText(i) for i in range(choice.calibrated.count())]


def test_none_yet(viewer, session, train_dock, errors, noisy):
    viewer.add_image(noisy, name="noisy")
    assert train_dock.noise.source.value() == "auto"
    train_dock.noise.source.choose("calibrated")
    assert listed(train_dock.noise) == ["none yet"]
    assert "no calibrated noise model yet" in train_dock.noise.hint.text()
    train_dock.train.click()
    assert "no calibrated noise model yet" in errors[0]
    assert session.job is None


def test_what_was_just_calibrated_is_taken(
    viewer, session, open_dock, held_calibration, held_training, until_free, noisy, qtbot
):
    viewer.add_image(noisy, name="noisy")
    old = save("older")
    train = open_dock("Train HDN")
    assert train.noise.source.value() == "auto"  # saved ones are offered, not imposed
    assert listed(train.noise) == ["older"]
    calibrate = open_dock("Calibrate noise model")
    calibrate.calibrate.click()
    until_free()
    path = session.calibration_path
    assert train.noise.source.value() == "calibrated"
    assert set(listed(train.noise)) == {"noisy noise", "older"}
    assert train.noise.calibrated.currentText() == "noisy noise"
    assert "All 5 checks passed" in train.noise.hint.text()
    assert train.config().noise == api.NoiseConfig(source="file", path=path)
    held_training.go_on.set()
    train.train.click()
    until_free()
    assert held_training.calls[0].config.noise.path == path

    # the user's other choice stays as long as nothing new is calibrated
    train.noise.calibrated.choose(old)
    qtbot.waitUntil(lambda: "variance = 2 s" in train.noise.hint.text())
    session.models_changed.emit()
    assert train.noise.file == old
    train.noise.source.choose("auto")
    session.models_changed.emit()
    assert train.noise.source.value() == "auto"
    calibrate.calibrate.click()
    until_free()
    assert train.noise.calibrated.currentText() == "noisy noise-2"
    assert train.noise.source.value() == "calibrated"


def test_a_dock_opened_later_takes_it_too(
    viewer, session, calibrate_dock, open_dock, held_calibration, until_free, noisy
):
    viewer.add_image(noisy, name="noisy")
    calibrate_dock.calibrate.click()
    until_free()
    train = open_dock("Train HDN")
    assert train.noise.file == session.calibration_path


def test_failed_checks_are_asked_about_once_a_file(
    viewer, session, train_dock, held_training, until_free, question, noisy
):
    viewer.add_image(noisy, name="noisy")
    save("smoothed", BAD)
    train_dock.noise.refresh()
    train_dock.noise.source.choose("calibrated")
    held_training.go_on.set()
    train_dock.train.click()
    assert len(question.asked) == 1 and question.default == NO
    assert "Processing: Neighbouring pixels agree by 0.31" in question.asked[0]
    assert "Take the raw images" in question.asked[0]
    assert session.job is None and held_training.calls == []
    assert not (api.models_folder() / train_dock.name.text()).exists()
    assert "Not begun" in train_dock.progress.line.text()

    question.answer = YES
    train_dock.train.click()
    until_free()
    assert len(question.asked) == 2 and len(held_training.calls) == 1
    train_dock.train.click()
    until_free()
    assert len(question.asked) == 2 and len(held_training.calls) == 2


def test_another_file_is_asked_about_anew(
    viewer, train_dock, held_training, until_free, question, noisy, tmp_path
):
    viewer.add_image(noisy, name="noisy")
    question.answer = YES
    held_training.go_on.set()
    for i in range(2):
        path = api.save_calibration(make_calibration(BAD), tmp_path / f"{i}.json")
        train_dock.noise.source.choose("file")
        train_dock.noise.path.setText(str(path))
        train_dock.train.click()
        until_free()
    assert len(question.asked) == 2


def test_good_and_doubtful_ones_are_not_asked_about(
    viewer, train_dock, held_training, until_free, question, noisy
):
    viewer.add_image(noisy, name="noisy")
    save("fine")
    train_dock.noise.refresh()
    train_dock.noise.source.choose("calibrated")
    held_training.go_on.set()
    train_dock.train.click()
    until_free()
    assert question.asked == []
    assert len(held_training.calls) == 1


def test_a_damaged_file_is_told(viewer, session, train_dock, errors, qtbot, noisy):
    viewer.add_image(noisy, name="noisy")
    path = save("broken")
    path.write_text("{")
    train_dock.noise.refresh()
    train_dock.noise.source.choose("calibrated")
    qtbot.waitUntil(lambda: train_dock.noise.hint.warns)
    assert "not valid JSON" in train_dock.noise.hint.text()
    train_dock.train.click()
    assert "not valid JSON" in errors[0]
    assert session.job is None


def test_files_of_both_kinds_are_browsed_for(train_dock, monkeypatch, tmp_path):
    asked = []

    def ask(*args):
        asked.append(args)
        return str(tmp_path / "gmm.npz"), ""

    monkeypatch.setattr("napari_hdn.ui.parts.noise.QFileDialog.getOpenFileName", ask)
    train_dock.noise.source.choose("file")
    train_dock.noise.browse.click()
    assert "*.json *.npz" in asked[0][-1]
    assert train_dock.config().noise.path == tmp_path / "gmm.npz"


def test_its_shape_may_be_refitted_during_training(train_dock):
    choice = train_dock.noise
    assert not choice.config().bootstrap and not choice.bootstrap.isHidden()
    choice.bootstrap.click()
    assert choice.config().bootstrap
    choice.source.choose("gaussian")
    assert choice.bootstrap.isHidden() and not choice.config().bootstrap
