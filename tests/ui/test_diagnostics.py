"""A job that fails leaves its traceback in the log, and a button that copies all of it."""

import json

from qtpy.QtGui import QGuiApplication

from napari_hdn import api
from napari_hdn.io.log import last_job, log_path


def test_a_failed_job_can_be_reported(
    viewer, dock, session, errors, until_free, monkeypatch, qtbot
):
    told = []
    monkeypatch.setattr("napari_hdn.ui.diagnostics.show_info", told.append)
    assert not dock.progress.diagnostics.isVisible()

    def broken(self, *args, **kwargs):
        raise api.HDNError("The light went out.")

    monkeypatch.setattr("napari_hdn.core.restoring.restorer.Restorer.plane", broken)
    dock.samples.setValue(2)
    dock.restore.click()
    until_free()
    assert "The light went out." in errors.pop()
    assert dock.progress.diagnostics.isVisible()
    QGuiApplication.clipboard().setText("something else")
    dock.progress.diagnostics.click()
    qtbot.waitUntil(lambda: bool(told))
    copied = QGuiApplication.clipboard().text()
    assert "in broken" in copied and "HDNError: The light went out." in copied  # the traceback
    assert "Qt: PyQt" in copied and '"samples": 2' in copied
    assert f"{len(copied.splitlines())} lines" in told[0]


def test_the_log_tells_what_a_dock_did(viewer, dock, session, until_free, qtbot):
    dock.restore.click()
    until_free()
    assert not dock.progress.diagnostics.isVisible()
    text = log_path().read_text()
    begins, over = text.index("restoring noisy begins"), text.index("restoring noisy is over after")
    assert begins < text.rindex("begins: {") < text.index("restore over after") < over
    facts = json.loads(last_job())
    assert facts["job"] == "restore" and facts["stack"]["shape"] == [4, 96, 80]
    assert facts["model"]["name"] == "tiny" and facts["on"].startswith("CPU")


def test_the_command_in_the_menu_copies(viewer, dock, qtbot, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hdn.ui.diagnostics.show_info", told.append)
    from npe2 import PluginManager

    PluginManager.instance().commands.execute("napari-hdn.copy_diagnostics")
    qtbot.waitUntil(lambda: bool(told))
    assert QGuiApplication.clipboard().text().startswith("## Versions\nPython: ")
