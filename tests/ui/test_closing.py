"""The window is closed while a training runs."""

import pytest
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import QTimer
from superqt.utils import WorkerBase

from napari_hdn import api


@pytest.fixture
def answer(monkeypatch):
    """Click a button of napari's question as soon as it is there; keep what it said."""
    asked = []
    original = ConfirmCloseDialog.__init__

    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        asked.append(kwargs.get("extra_info", ""))
        button = self.cancel_btn if len(asked) == 1 else self.close_btn
        QTimer.singleShot(50, button.click)

    monkeypatch.setattr(ConfirmCloseDialog, "__init__", init)
    return asked


def test_closing_asks_first_then_saves(viewer, session, train_dock, tiny, noisy, qtbot, answer):
    viewer.add_image(noisy, name="noisy")
    tiny(train_dock, steps=1_000_000)
    train_dock.train.click()
    qtbot.waitUntil(lambda: session.job is None or session.job.step > 1, timeout=30_000)
    job = session.job
    assert job is not None
    window = viewer.__wrapped__.window._qt_window
    window.windowHandle().close()  # as the window manager does
    assert answer == [
        "napari-worker: Executing training noisy fast (the model is saved if you close)"
    ]
    assert not job.stop.requested
    assert window.isVisible()

    window.windowHandle().close()
    assert job.stop.requested
    WorkerBase.await_workers(30_000)  # what napari does before it exits
    folder = api.models_folder() / "noisy fast"
    model = api.load_model(folder)
    assert model.can_continue
    assert model.summary.stopped
    assert 1 < model.summary.steps < 1_000_000
    qtbot.waitUntil(lambda: session.job is None)
