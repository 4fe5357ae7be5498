"""Makes the pictures of README and docs by driving the real program as a user does.

Usage, on a virtual screen of 1600 x 1000: python docs/make_pictures.py [--minutes 5]
[--only training]
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
from qtpy.QtWidgets import QApplication, QWidget

from napari_hdn import api
from napari_hdn.ui.session import Session, session_of

IMAGES = Path(__file__).parent / "images"
LINE_LEVELS = (1, 2)


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let Qt work until something holds, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.02)


def picture(viewer: napari.Viewer, name: str) -> None:
    """Take a picture of the whole window."""
    wait(2)
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)


def calibration() -> None:
    """Calibrate on repeats, and on stripes; show plots, checks and structure."""
    for sample, name, sections in (
        ("cells_with_pixel_noise", "calibrate", ("variance", "density")),
        ("cells_with_pixel_noise", "calibrate-checks", ("checks",)),
        ("cells_with_stripes", "calibrate-structure", ("structure",)),
    ):
        calibrate(sample, name, sections)


def calibrate(sample: str, name: str, sections: tuple[str, ...]) -> None:
    """Calibrate on a sample and take a picture with some sections open."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1560, 940)
    session = session_of(viewer)
    viewer.open_sample("napari-hdn", sample)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hdn", "Calibrate noise model")
    wait(2)
    dock.calibrate.click()
    wait(120, lambda: session.calibration is not None and session.job is None)
    wait(1)
    for key, section in dock.view.sections.items():
        (section.expand if key in sections else section.collapse)()
    wait(1)
    dock.scroll.verticalScrollBar().setValue(dock.view.y())
    viewer.reset_view()
    picture(viewer, name)
    viewer.close()
    wait(1)


def levels(session: Session, viewer: napari.Viewer) -> None:
    """Inspect the model that the session has just trained, follow the advice, retrain, compare."""
    dock, inspect = viewer.window.add_plugin_dock_widget("napari-hdn", "Inspect latent levels")
    viewer.layers["cells with stripes (truth)"].visible = False
    viewer.reset_view()
    wait(2)

    def show(part: QWidget, name: str) -> None:
        wait(1)
        inspect.scroll.verticalScrollBar().setValue(part.y())
        picture(viewer, name)

    inspect.inspect.click()
    wait(120, lambda: session.inspected is not None and session.job is None)
    show(inspect.advice, "inspect")
    inspect.advice.use.click()
    wait(8)
    show(inspect.removed_section, "inspect-off")
    inspect.drawn_section.expand()
    inspect.drawn.draw.click()
    wait(300, lambda: session.drawn is not None and session.job is None)
    show(inspect.drawn_section, "inspect-drawn")
    inspect.drawn_section.collapse()
    inspect.retraining_section.expand()
    whole = session.model_folder
    inspect.retraining.retrain.click()
    wait(600, lambda: session.model_folder != whole and session.job is None)
    wait(60, lambda: session.job is None and session.inspected is not None)
    for layer in [layer for layer in viewer.layers if "[HDN" in layer.name]:
        viewer.layers.remove(layer)
    inspect.retraining_section.collapse()
    session.choose_model(whole)
    wait(30, lambda: session.model is not None)
    inspect.inspect.click()
    wait(120, lambda: session.job is None and session.inspected is not None)
    inspect.advice.use.click()
    wait(8)
    inspect.variants.compare.click()
    wait(120, lambda: session.job is None)
    show(inspect.variants_section, "inspect-variants")
    viewer.window.remove_dock_widget(dock)
    for layer in [layer for layer in viewer.layers if "[HDN" in layer.name]:
        viewer.layers.remove(layer)
    session.switch_levels_off(())
    wait(2)


def training(minutes: float) -> None:
    """Open the striped sample, train, inspect the levels, restore."""
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
    picture(viewer, "training")
    wait(60 * minutes + 120, lambda: session.job is None)
    viewer.window.remove_dock_widget(dock)
    viewer.layers.remove("cells with stripes [HDN preview]")
    levels(session, viewer)

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
    picture(viewer, "napari-hdn")
    viewer.close()


def segmenting(minutes: float) -> None:
    """Train on the cells with pixel noise, and segment 20 samples of them."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1560, 940)
    session = session_of(viewer)
    viewer.open_sample("napari-hdn", "cells_with_pixel_noise")
    noisy = viewer.layers["cells with pixel noise"]
    folder = api.reserve_model_folder("cells with pixel noise")
    stack = api.ImageStack(noisy.data, "TYX", noisy.name)
    for _ in api.train([stack], api.preset("fast", minutes=minutes), folder=folder):
        pass
    _, dock = viewer.window.add_plugin_dock_widget("napari-hdn", "Segment with diversity")
    session.choose_model(folder)
    wait(30, lambda: session.model is not None)
    for layer in viewer.layers:
        layer.visible = layer is noisy
    viewer.reset_view()
    wait(2)
    dock.piece.part.choose("plane")
    dock.recipe.recipe.choose("bright")
    dock.segment.click()
    wait(600, lambda: session.job is None)
    viewer.reset_view()
    picture(viewer, "segmenting")
    viewer.close()


def main() -> None:
    """Make all pictures, or some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", choices=("calibration", "training", "segmenting"))
    arguments = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    if arguments.only in (None, "calibration"):
        calibration()
    if arguments.only in (None, "training"):
        training(arguments.minutes)
    if arguments.only in (None, "segmenting"):
        segmenting(arguments.minutes)


if __name__ == "__main__":
    main()
