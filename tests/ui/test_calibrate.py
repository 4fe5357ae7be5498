"""The dock Calibrate noise model, driven as a user drives it."""

import json

import numpy as np
import pytest

from calibrated import BAD, make_calibration
from napari_hdn import api
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.ui.calibrate import CalibrateDock


@pytest.fixture
def dock(viewer, calibrate_dock, noisy):
    viewer.add_image(noisy, name="noisy")
    return calibrate_dock


def calibrate(dock, until_free):
    dock.calibrate.click()
    until_free()


def visible_rows(dock):
    form = dock.method.form
    rows = {"dark": dock.method.dark, "clean": dock.method.clean, "frames": dock.method.frames}
    shown = {name for name, field in rows.items() if form.isRowVisible(field)}
    return shown | ({"file"} if dock.method.path.isVisible() else set())


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ("auto", set()),
        ("repeats", {"frames"}),
        ("flat_field", {"dark"}),
        ("pair", {"clean"}),
        ("series", set()),
        ("images", set()),
        ("file", {"file"}),
    ],
)
def test_rows_appear_only_where_they_are_needed(dock, source, rows):
    dock.method.source.choose(source)
    assert visible_rows(dock) == rows
    assert dock.method.hint.text()
    fitted = dock.settings.form.isRowVisible(dock.settings.model)
    assert fitted == (source != "file")


def test_from_the_click_to_a_saved_noise_model(
    dock, session, held_calibration, until_free, qtbot, noisy
):
    assert not dock.view.isVisible()
    assert dock.name.text() == "noisy noise"
    held_calibration.go_on.clear()
    dock.calibrate.click()
    qtbot.waitUntil(lambda: dock.progress.bar.value() == 250)
    assert "1 min 15 s left" in dock.progress.bar.format()
    assert dock.progress.line.text() == "Measuring the variance ..."
    assert dock.stop.isEnabled() and not dock.calibrate.isEnabled()
    held_calibration.go_on.set()
    until_free()

    (call,) = held_calibration.calls
    assert call.config == api.CalibrationConfig()
    assert call.dark is call.clean is call.meant_for is None
    np.testing.assert_array_equal(call.images[0].array, noisy)
    path = api.noise_models_folder() / "noisy noise.json"
    assert session.calibration is held_calibration.calibration
    assert session.calibration_path == path
    kept = api.load_calibration(path)
    assert kept.source == "repeats"
    assert [c.name for c in kept.checks] == [c.name for c in session.calibration.checks]
    assert dock.view.isVisible()
    assert dock.progress.line.text() == "Calibrated; saved as noisy noise."
    assert "All 5 checks passed" in dock.view.verdict.text()
    assert "repeats of a static field: the same scene repeats" in dock.view.facts.text()
    # what was found is in sight
    qtbot.waitUntil(lambda: not dock.view.badge.visibleRegion().isEmpty())


def test_nothing_is_overwritten(dock, session, held_calibration, until_free):
    for expected in ("noisy noise", "noisy noise-2", "noisy noise-3"):
        calibrate(dock, until_free)
        assert session.calibration_path == api.noise_models_folder() / f"{expected}.json"
    assert len(api.list_noise_models()) == 3
    dock.name.setText("../../etc: mine")
    calibrate(dock, until_free)
    assert session.calibration_path.parent == api.noise_models_folder()


def test_a_name_that_is_none(dock, session, held_calibration, errors):
    dock.name.setText(" ... ")
    dock.calibrate.click()
    assert "cannot be the name" in errors[0]
    assert session.job is None


def test_what_is_chosen_arrives(viewer, dock, held_calibration, until_free, noisy, tmp_path):
    two = np.stack([noisy, noisy + 7], axis=1)
    viewer.add_image(two, name="two", axis_labels=("t", "c", "y", "x"))
    viewer.add_image(noisy[0] // 4, name="dark")
    viewer.add_image(noisy + 1, name="others", axis_labels=("z", "y", "x"))
    dock.source.images.choose(viewer.layers["two"].__wrapped__)
    dock.source.channel.choose(1)
    dock.method.source.choose("flat_field")
    dock.method.dark.setCurrentText("dark")
    dock.meant_for.setCurrentText("others")
    dock.settings.expand()
    dock.settings.model.choose("gmm")
    dock.settings.curves.choose("per_image")
    calibrate(dock, until_free)
    call = held_calibration.calls[-1]
    assert call.config == api.CalibrationConfig(
        source="flat_field", model="gmm", curves="per_image", channel=1
    )
    assert call.images[0].channel == 1
    assert (call.dark.name, call.dark.axes) == ("dark", "YX")
    assert call.clean is None
    assert [(s.name, s.axes) for s in call.meant_for] == [("others", "ZYX")]

    dock.method.source.choose("pair")
    dock.method.clean.setCurrentText("two")
    calibrate(dock, until_free)
    call = held_calibration.calls[-1]
    assert call.dark is None
    assert (call.clean.name, call.clean.channel) == ("two", 1)

    dock.method.source.choose("repeats")
    dock.method.frames.choose("exclude")
    calibrate(dock, until_free)
    assert held_calibration.calls[-1].config.frames == "exclude"

    dock.method.source.choose("file")
    dock.method.path.setText(str(tmp_path / "gmm.npz"))
    calibrate(dock, until_free)
    config = held_calibration.calls[-1].config
    assert (config.source, config.path) == ("file", tmp_path / "gmm.npz")
    assert (config.model, config.curves) == ("auto", "auto")


def test_a_file_is_browsed_for(dock, monkeypatch, tmp_path):
    asked = []

    def ask(*args):
        asked.append(args)
        return str(tmp_path / "a.npz"), ""

    monkeypatch.setattr("napari_hdn.ui.parts.method.QFileDialog.getOpenFileName", ask)
    dock.method.source.choose("file")
    dock.method.browse.click()
    assert dock.method.path.text() == str(tmp_path / "a.npz")
    assert "*.json *.npz" in asked[0][-1]


def test_what_is_missing_is_told(dock, session, errors):
    dock.method.source.choose("pair")
    dock.calibrate.click()
    dock.method.source.choose("file")
    dock.calibrate.click()
    assert errors == [
        "Choose the clean image that belongs to the noisy one.",
        "Choose the noise model file to load.",
    ]
    assert dock.progress.line.text() == errors[-1]
    assert session.job is None


def test_lists_of_layers_follow_the_viewer(viewer, dock, noisy):
    clean = dock.method.clean
    assert [clean.itemText(i) for i in range(clean.count())] == ["choose the clean image", "noisy"]
    viewer.add_image(noisy[0], name="long")
    clean.setCurrentText("long")
    viewer.layers["long"].name = "long exposure"
    assert clean.currentText() == "long exposure"
    viewer.layers.remove("noisy")
    assert clean.currentText() == "long exposure"
    viewer.layers.remove("long exposure")
    assert clean.layer is None


def test_stop_keeps_what_was_there(dock, session, held_calibration, until_free, qtbot, errors):
    calibrate(dock, until_free)
    before = session.calibration
    held_calibration.calibration = make_calibration(BAD)
    held_calibration.go_on.clear()
    dock.calibrate.click()
    qtbot.waitUntil(lambda: dock.progress.bar.value() == 250)
    dock.stop.click()
    assert not dock.stop.isEnabled()
    until_free()
    assert session.calibration is before
    assert len(api.list_noise_models()) == 1
    assert dock.progress.line.text().startswith("Stopped")
    assert dock.calibrate.isEnabled()
    assert errors == []


def test_an_error_is_told_in_words(dock, session, held_calibration, until_free, errors):
    held_calibration.error = NoiseModelError("One frame is no repeat; choose at least 2.")
    calibrate(dock, until_free)
    assert errors == ["One frame is no repeat; choose at least 2."]
    assert errors[0] in dock.progress.line.text()
    assert errors[0] in dock.notices.toPlainText() and dock.notices.isVisible()
    assert session.calibration is None and not dock.view.isVisible()


def test_a_full_disk_loses_no_measurement(
    dock, session, held_calibration, until_free, monkeypatch, tmp_path
):
    real = api.save_calibration
    monkeypatch.setattr(api, "save_calibration", _disk_is_full)
    calibrate(dock, until_free)
    assert session.calibration is held_calibration.calibration
    assert session.calibration_path is None
    assert "disk is full" in dock.notices.toPlainText()
    assert dock.view.saved.warns

    monkeypatch.setattr(api, "save_calibration", real)
    target = tmp_path / "elsewhere.json"
    monkeypatch.setattr(
        "napari_hdn.ui.parts.calibration_view.QFileDialog.getSaveFileName",
        lambda *a, **k: (str(target), "Noise model (*.json)"),
    )
    dock.view.save.click()
    assert session.calibration_path == target
    assert json.loads(target.read_text())["kind"] == "poisson_gaussian"


def _disk_is_full(calibration, path):
    raise OSError(28, "No space left on device", str(path))


@pytest.fixture
def save_as(dock, monkeypatch):
    """Answer the file dialog, and see what it offered."""
    offered = []

    def save(name, kind="Noise model (*.json)"):
        def ask(*args, **kwargs):
            offered.append(args[3])
            return str(name), kind

        monkeypatch.setattr("napari_hdn.ui.parts.calibration_view.QFileDialog.getSaveFileName", ask)
        dock.view.save.click()
        return offered[-1]

    return save


def test_save_as(
    dock, session, held_calibration, until_free, save_as, errors, tmp_path, monkeypatch
):
    calibrate(dock, until_free)
    own = session.calibration_path
    assert "npz" not in save_as(tmp_path / "mine")  # a file of earlier tools holds a GMM only
    written = tmp_path / "mine.json"
    assert api.load_calibration(written).noise_model.kind == "poisson_gaussian"
    assert session.calibration_path == own

    text = written.read_text()
    save_as(written)
    assert "exists already" in errors[-1]
    assert written.read_text() == text

    def refuse(calibration, path):
        raise NoiseModelError("Only a GMM can be written as .npz.")

    monkeypatch.setattr(api, "save_calibration", refuse)
    save_as(tmp_path / "mine.npz")
    assert errors[1:] == ["Only a GMM can be written as .npz."]


def test_a_gmm_is_offered_for_other_tools(
    dock, held_calibration, until_free, save_as, monkeypatch, tmp_path
):
    written = []
    calibrate(dock, until_free)
    monkeypatch.setattr(type(held_calibration.calibration.noise_model), "kind", "gmm")
    monkeypatch.setattr(api, "save_calibration", lambda c, p: written.append(p) or p)
    assert "*.npz" in save_as(tmp_path / "mine", "GMM for other tools (*.npz)")
    assert written == [tmp_path / "mine.npz"]


def test_docks_are_views_of_one_session(
    viewer, dock, session, open_dock, held_calibration, until_free, qtbot
):
    second = CalibrateDock(viewer)
    viewer.window.add_dock_widget(second, name="second")
    held_calibration.go_on.clear()
    dock.calibrate.click()
    qtbot.waitUntil(lambda: second.progress.bar.value() == 250)
    assert not second.calibrate.isEnabled() and second.stop.isEnabled()
    held_calibration.go_on.set()
    until_free()
    for view in (dock.view, second.view):
        assert "All 5 checks passed" in view.verdict.text()
        assert len(view.checks.rows) == 5
    viewer.window.remove_dock_widget(second)  # closing a dock loses nothing
    second.deleteLater()
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qtbot.wait(50)
    again = CalibrateDock(viewer)
    viewer.window.add_dock_widget(again, name="again")
    qtbot.waitUntil(again.view.isVisible)
    assert again.progress.line.text() == "Calibrated; saved as noisy noise."
    assert "All 5 checks passed" in again.view.verdict.text()
    # a calibration that ends after docks went must not touch them
    held_calibration.calibration = make_calibration(BAD)
    calibrate(again, until_free)
    assert "1 check failed (processing)" in again.view.verdict.text()


def test_one_job_at_a_time(dock, open_dock, held_calibration, until_free, errors):
    held_calibration.go_on.clear()
    dock.calibrate.click()
    open_dock("Train HDN").train.click()
    assert errors[0].startswith("One job at a time: calibrating on noisy is still running")
    held_calibration.go_on.set()
    until_free()


def test_the_real_calibration_of_repeats(viewer, calibrate_dock, session, until_free):
    y, x = np.mgrid[:128, :128]
    photons = 40 + 35 * np.sin(y / 19) * np.cos(x / 17)
    rng = np.random.default_rng(1)
    counts = rng.poisson(photons, (8, 128, 128)) * 2 + 100 + rng.normal(0, 3, (8, 128, 128))
    viewer.add_image(counts.round().astype(np.uint16), name="cells")
    calibrate(calibrate_dock, until_free)
    calibration = session.calibration
    assert calibration.source == "repeats"
    signal = np.array([120.0, 180.0, 240.0])
    fitted = calibration.noise_model.variance_curve(signal)
    np.testing.assert_allclose(fitted, 2 * (signal - 100) + 9, rtol=0.05)
    measured = calibration.measured[0]
    x, y = calibrate_dock.view.variance.points.getData()
    np.testing.assert_array_equal(x, measured.signal)
    assert api.load_calibration(session.calibration_path).source == "repeats"


def test_constant_images_get_their_message(viewer, calibrate_dock, until_free, errors):
    viewer.add_image(np.full((3, 64, 64), 7, np.uint16), name="flat")
    calibrate(calibrate_dock, until_free)
    assert len(errors) == 1 and "constant" in errors[0]
