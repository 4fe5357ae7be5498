"""Makes the pictures of the README by driving the real program as a user does.

Usage, on a virtual screen of 1600 x 1000: python docs/make_pictures.py [--minutes 5]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NAPARI_HDN_MODELS", tempfile.mkdtemp(prefix="napari-hdn-pictures-"))

import napari
from qtpy.QtWidgets import QApplication

from napari_hdn.ui.session import session_of

IMAGES = Path(__file__).parent / "images"
LINE_LEVELS = (1, 2)


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let Qt work until something holds, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.02)


def main() -> None:
    """Open the striped sample, train, restore, take pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    minutes = parser.parse_args().minutes
    IMAGES.mkdir(exist_ok=True)
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1560, 940)
    session = session_of(viewer)
    viewer.open_sample("napari-hdn", "cells with stripes".replace(" ", "_"))
    noisy = viewer.layers["cells with stripes"]
    limits = tuple(noisy.contrast_limits)
    dock, train = viewer.window.add_plugin_dock_widget("napari-hdn", "Train HDN")
    wait(2)
    train.unit.choose("minutes")
    train.duration.setValue(minutes)
    train.train.click()
    wait(60 * minutes * 0.6)
    viewer.reset_view()
    wait(2)
    viewer.screenshot(str(IMAGES / "training.png"), canvas_only=False, flash=False)
    wait(60 * minutes + 120, lambda: session.job is None)
    viewer.window.remove_dock_widget(dock)
    viewer.layers.remove("cells with stripes [HDN preview]")

    _, restore = viewer.window.add_plugin_dock_widget("napari-hdn", "Restore images")
    wait(2, lambda: bool(restore.levels.boxes))
    for level in LINE_LEVELS:
        restore.levels.boxes[level - 1].click()
    restore.restore.click()
    wait(300, lambda: session.job is None)
    restored = viewer.layers["cells with stripes [HDN mean]"]
    restored.contrast_limits = limits
    viewer.dims.set_current_step(0, 0)
    viewer.canvas.grid.enabled = True
    viewer.canvas.grid.stride = -1
    viewer.layers.remove("cells with stripes (truth)")
    wait(1)
    viewer.reset_view()
    wait(2)
    viewer.screenshot(str(IMAGES / "napari-hdn.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
