"""The manifest, the samples and napari's own save dialogue."""

import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from npe2 import PluginManifest

import napari_hdn
from napari_hdn import api
from napari_hdn.core.errors import ImageError
from napari_hdn.ui.contributions import write_image

MANIFEST = Path(napari_hdn.__file__).with_name("napari.yaml")


def test_manifest_is_valid_and_everything_it_names_is_there():
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.display_name == manifest.name == "napari-hdn"
    names = [w.display_name for w in manifest.contributions.widgets]
    assert names == ["Train HDN", "Restore images"]
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


def test_saving_through_napari(viewer, tmp_path, noisy):
    layer = viewer.add_image(
        noisy.astype(np.float32) + 0.25,
        name="n",
        scale=(1, 200, 300),
        units=("second", "nm", "nm"),
        axis_labels=("z", "y", "x"),
    )
    (path,) = layer.save(str(tmp_path / "n.ome.tif"))
    (back,) = api.open_images([path])
    assert back.axes == "ZYX"
    np.testing.assert_array_equal(np.asarray(back.array[:]), layer.data)
    assert {a: back.pixel_size_um[a] for a in "YX"} == pytest.approx({"Y": 0.2, "X": 0.3})


def test_the_writer_keeps_integers_replaces_what_was_agreed_and_reads_lazily(tmp_path):
    path = tmp_path / "a.ome.tiff"
    path.write_bytes(b"old")
    fine = da.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    attributes = {"name": "a", "multiscale": True, "scale": (1, 1, 1), "units": ("pixel",) * 3}
    assert write_image(str(path), [fine, fine[:, ::2, ::2]], attributes) == [str(path)]
    back = tifffile.imread(path)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, fine.compute())
    assert list(tmp_path.iterdir()) == [path]


def test_the_writer_refuses_pictures(tmp_path):
    with pytest.raises(ImageError, match="RGB"):
        write_image(str(tmp_path / "p.tif"), np.zeros((4, 4, 3), np.uint8), {"rgb": True})


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
for name in ("Train HDN", "Restore images"):
    viewer.window.add_plugin_dock_widget("napari-hdn", name)
    QApplication.processEvents()
assert importers == [], importers
deadline = time.time() + 30
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
        [sys.executable, "-c", _OPENING], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip().endswith("fine"), done.stderr[-3000:]
