"""The manifest, the samples, and how the docks open."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest

import napari_hdn

MANIFEST = Path(napari_hdn.__file__).with_name("napari.yaml")


def test_manifest_is_valid_and_everything_it_names_is_there():
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.display_name == manifest.name == "napari-hdn"
    names = [w.display_name for w in manifest.contributions.widgets]
    assert names == [
        "Calibrate noise model",
        "Train HDN",
        "Inspect latent levels",
        "Restore images",
        "Generate images",
        "Segment with diversity",
        "Evaluate",
        "Judge a restoration",
        "Manage models",
    ]
    assert [s.display_name for s in manifest.contributions.sample_data] == [
        "cells with pixel noise",
        "cells with stripes",
    ]


@pytest.mark.parametrize("key", ["cells_with_pixel_noise", "cells_with_stripes"])
def test_samples(viewer, key):
    viewer.open_sample("napari-hdn", key)
    truth, noisy = viewer.layers
    assert noisy.data.dtype == np.uint16
    assert noisy.data.ndim == 3
    assert noisy.axis_labels == ("t", "y", "x")
    assert [str(u) for u in noisy.units] == ["pixel", "micrometer", "micrometer"]
    assert tuple(noisy.scale[1:]) == tuple(truth.scale)
    assert truth.data.shape == noisy.data.shape[1:]
    assert not truth.visible
    residue = noisy.data.mean(axis=0) - truth.data
    assert abs(residue.mean()) < 0.5  # the truth is the mean of the frames


_OPENING = """
import sys, threading, time
importers = []
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            importers.append(threading.current_thread() is threading.main_thread())
sys.meta_path.insert(0, Spy())
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
viewer.open_sample("napari-hdn", "cells_with_pixel_noise")
QApplication.processEvents()
viewer.window.add_plugin_dock_widget("napari-hdn", "Calibrate noise model")
QApplication.processEvents()
time.sleep(0.5)
QApplication.processEvents()
assert importers == [], importers
for name in ("Train HDN", "Restore images"):  # these look for devices soon after they are drawn
    viewer.window.add_plugin_dock_widget("napari-hdn", name)
    QApplication.processEvents()
    assert not any(importers), importers
deadline = time.time() + 120
while "torch" not in sys.modules and time.time() < deadline:
    QApplication.processEvents()
    time.sleep(0.02)
assert importers and not any(importers), importers
from superqt.utils import WorkerBase
WorkerBase.await_workers(20_000)
viewer.close()
print("fine")
"""


def test_docks_open_without_torch_which_comes_on_another_thread():
    done = subprocess.run(
        [sys.executable, "-c", _OPENING], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout.strip().endswith("fine"), done.stderr[-3000:]
