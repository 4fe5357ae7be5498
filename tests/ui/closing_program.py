"""napari as a user runs it: train, close the window, cancel, close again. Run by test_closing."""

import json

import napari
import numpy as np
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import QTimer
from x11 import ask_to_close

from napari_hdn.ui.session import session_of

told = {"questions": [], "visible_after_cancel": None, "stopped_after_cancel": None}
original = ConfirmCloseDialog.__init__


def init(self, *args, **kwargs):
    """Click a button of napari's question as soon as it is there; keep what it said."""
    original(self, *args, **kwargs)
    told["questions"].append(kwargs.get("extra_info", ""))
    button = self.cancel_btn if len(told["questions"]) == 1 else self.close_btn
    QTimer.singleShot(50, button.click)


ConfirmCloseDialog.__init__ = init
viewer = napari.Viewer()
window = viewer.window._qt_window
rng = np.random.default_rng(0)
viewer.add_image(rng.poisson(50, (4, 96, 80)).astype(np.uint16), name="noisy")
dock = viewer.window.add_plugin_dock_widget("napari-hdn", "Train HDN")[1]
for key, value in {
    "network.levels": 2,
    "network.channels": 8,
    "network.latent_channels": 4,
    "batch_size": 2,
    "patch_px": 16,
}.items():
    dock.expert.fields[key].setValue(value)
dock.unit.choose("steps")
dock.duration.setValue(1_000_000)
dock.device.choose("cpu")
dock.train.click()
session = session_of(viewer)
job = session.job


def look():
    """Close once the training runs; once more when the first question was cancelled."""
    if not told["questions"] and job.step > 1:
        ask_to_close(int(window.winId()))
        QTimer.singleShot(1500, close_again)
    else:
        QTimer.singleShot(100, look)


def close_again():
    """The first question was answered with Cancel: nothing may have changed."""
    told["visible_after_cancel"] = window.isVisible()
    told["stopped_after_cancel"] = job.stop.requested
    ask_to_close(int(window.winId()))


QTimer.singleShot(100, look)
napari.run()
print(json.dumps(told))
