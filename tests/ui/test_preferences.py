"""The page of Preferences: what is set there holds in the docks and for the command, at once."""

import json
import os

import pytest

from napari_hdn import api
from napari_hdn.api import Settings
from napari_hdn.core.devices import Device
from napari_hdn.io.settings import load_settings, save_settings, settings_path
from napari_hdn.ui.preferences import from_page, preferences, show_on_page

napari_settings = pytest.importorskip("napari.settings")
if not hasattr(napari_settings, "get_plugin_settings"):
    pytest.skip("this napari has no Preferences of plugins", allow_module_level=True)

SET = Settings(device="cpu", threads=2, tile_px=128, memory_limit_gb=2.5)


def _page():
    return napari_settings.get_plugin_settings("napari-hdn")


def test_what_is_set_on_the_page_holds_in_docks_and_for_the_command(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    row = next(
        i for i in range(dialog._list.count()) if dialog._list.item(i).text() == "napari-hdn"
    )
    dialog._list.setCurrentRow(row)
    layout = dialog._stack.currentWidget().widget().layout()
    computing, models = (layout.itemAt(i).widget().widget.widgets for i in range(2))
    computing["device"].setCurrentText("cpu")
    computing["threads"].setValue(2)
    computing["tile_size"].setCurrentText("128")
    computing["memory_limit_gb"].setValue(2.5)
    models["folder"].setText(str(tmp_path / "mine"))
    with qtbot.waitSignal(preferences.changed, timeout=60_000):
        dialog.accept()
    wanted = SET.model_copy(update={"models_folder": tmp_path / "mine"})
    assert api.settings_in_force() == wanted == load_settings()[0]
    assert dock.config().tile_px == 128
    monkeypatch.delenv("NAPARI_HDN_MODELS")
    assert api.models_folder() == tmp_path / "mine"


def test_the_docks_follow(viewer, open_dock, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr("napari_hdn.ui.parts.device._known", [])
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    dock = open_dock("Train HDN")
    qtbot.waitUntil(lambda: dock.device.itemText(0) == "auto: MPS (Apple GPU)")
    dock.device.choose("mps")
    monkeypatch.delenv("NAPARI_HDN_MODELS")
    kept = tmp_path / "mine" / "kept"
    kept.mkdir(parents=True)
    (kept / "config.json").write_text("{}")
    _page().computing.device = "cpu"
    _page().models.folder = str(kept.parent)
    qtbot.waitUntil(lambda: dock.device.itemText(0).startswith("auto: CPU"))
    assert dock.device.value() == "mps"  # what the user chose in the dock stays
    assert dock.models.models.findText("kept") >= 0
    assert str(kept.parent) in dock.name.toolTip()


def test_what_was_written_last_is_taken_over(qtbot):
    page = _page()
    save_settings(SET)  # by hand, on a computer where the page was never touched
    preferences.follow()
    assert api.settings_in_force() == SET == from_page(page)[0]
    page.computing.threads = 3  # saves napari's file, which is newer from now on
    os.utime(settings_path(), (1, 1))
    preferences._page = None  # the next start of napari
    preferences.follow()
    assert api.settings_in_force().threads == 3
    assert json.loads(settings_path().read_text())["threads"] == 3


def test_a_page_holds_all_settings_and_shows_what_it_can(tmp_path):
    page = _page()
    for settings in (SET, Settings(), Settings(models_folder=tmp_path, threads=7)):
        show_on_page(page, settings)
        assert from_page(page) == (settings, [])
    show_on_page(page, Settings(tile_px=100, threads=5))  # 100 is not among the choices
    assert from_page(page)[0].threads == 5


def test_a_wrong_folder_is_told_and_the_rest_holds(qtbot, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hdn.ui.preferences.show_warning", told.append)
    preferences.follow()
    _page().computing.threads = 2
    _page().models.folder = "models"
    qtbot.waitUntil(lambda: bool(told))
    assert "models does not begin at the root of a disk" in told[0] and len(told) == 1
    assert api.settings_in_force() == Settings(threads=2)


def test_a_damaged_file_is_told_and_the_docks_work(monkeypatch):
    told = []
    monkeypatch.setattr("napari_hdn.ui.preferences.show_warning", told.append)
    settings_path().write_text("{")
    preferences.follow()
    assert api.settings_in_force() == Settings() and "cannot be read" in told[0]


def test_without_a_page_the_file_holds(monkeypatch):
    monkeypatch.delattr(napari_settings, "get_plugin_settings")
    save_settings(SET)
    preferences.follow()
    assert api.settings_in_force() == SET


def test_jobs_compute_with_the_threads_that_are_set(viewer, session, until_free, monkeypatch):
    import torch

    from napari_hdn.ui.jobs import Job

    class Counting(Job):
        def work(self):
            self.threads = torch.get_num_threads()
            yield from ()

    monkeypatch.delenv("OMP_NUM_THREADS")
    api.use_settings(Settings(threads=3))
    job = Counting("counting")
    session.start(job)
    until_free()
    assert job.threads == 3


def test_the_memory_limit_refuses_layers_that_do_not_fit(
    viewer, dock, errors, session, monkeypatch
):
    monkeypatch.setattr(Device, "free_bytes", lambda self: 10**9)
    api.use_settings(Settings(memory_limit_gb=0.1))
    dock.restore.click()
    assert "within the limit of 0.1 GB in the settings" in errors.pop()
    assert session.job is None
