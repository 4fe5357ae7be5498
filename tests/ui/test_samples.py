"""Samples in a layer that draws them when they are looked at."""

import threading

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.api import ImageStack, RestorationConfig
from napari_hdn.cli import main
from napari_hdn.ui.samples import LazySamples

CONFIG = {"samples": 5, "device": "cpu"}


@pytest.fixture
def expected(trained, noisy) -> np.ndarray:
    """(S, T, Y, X)."""
    return api.load_model(trained).restore(noisy, "TYX", outputs=("samples",), **CONFIG).samples


@pytest.fixture
def lazy(viewer, trained, noisy) -> LazySamples:
    config = RestorationConfig(outputs=("samples",), **CONFIG)
    return LazySamples(api.load_model(trained), ImageStack(noisy, "TYX", "noisy"), config)


def in_a_thread(function):
    got = []
    thread = threading.Thread(target=lambda: got.append(function()))
    thread.start()
    thread.join(60)
    return got[0]


def test_another_thread_gets_them_on_the_spot(lazy, expected):
    keys = [
        (2, 3), (2, 3, slice(5, 20), slice(None, None, 2)), (slice(1, 4, 2), 0), (-1, -1),
        (..., 7), (slice(None), slice(0, 2), 4, slice(3, 9)),
    ]  # fmt: skip
    for key in keys:
        got = in_a_thread(lambda key=key: lazy[key])
        np.testing.assert_allclose(got, expected[key], rtol=1e-2, atol=0.1, err_msg=str(key))
        assert got.shape == expected[key].shape
    whole = in_a_thread(lambda: np.asarray(lazy))
    np.testing.assert_allclose(whole, expected, rtol=1e-2, atol=0.1)


def test_the_main_thread_does_not_wait_and_gets_them_later(lazy, expected, qtbot):
    drawn = []
    lazy.drawn.connect(lambda: drawn.append(1))
    assert np.isnan(lazy[3, 1]).all()
    qtbot.waitUntil(lambda: len(drawn) == 1)
    first = lazy[3, 1]
    np.testing.assert_allclose(first, expected[3, 1], rtol=1e-2, atol=0.1)
    np.testing.assert_array_equal(lazy[3, 1], first)
    lazy._cache.clear()
    np.testing.assert_array_equal(in_a_thread(lambda: lazy[3, 1]), first)


def test_what_was_asked_for_last_comes_first(lazy, qtbot):
    drawn = []
    lazy.drawn.connect(lambda: drawn.append(list(lazy._cache)[-1]))
    for sample in (0, 1, 2, 4):  # as when a slider is dragged
        lazy[sample, 0]
    qtbot.waitUntil(lambda: (4, (0,)) in drawn)
    qtbot.wait(200)
    assert drawn == [(0, (0,)), (4, (0,))]


def test_few_are_kept(lazy, expected, monkeypatch):
    monkeypatch.setattr("napari_hdn.ui.samples.KEPT_BYTES", 3 * expected[0, 0].nbytes)
    in_a_thread(lambda: np.asarray(lazy))
    assert len(lazy._cache) == 3


@pytest.mark.parametrize("axes", ["TYX", "YXT", "XTY"])
def test_axes_in_any_order(viewer, trained, noisy, axes):
    image = noisy.transpose(["TYX".index(a) for a in axes])
    model = api.load_model(trained)
    config = RestorationConfig(outputs=("samples",), **CONFIG)
    lazy = LazySamples(model, ImageStack(image, axes), config)
    expected = model.restore(image, axes, outputs=("samples",), **CONFIG).samples
    got = in_a_thread(lambda: np.asarray(lazy))
    np.testing.assert_allclose(got, expected, rtol=1e-2, atol=0.1)


def test_a_layer_of_samples(viewer, session, dock, until_free, qtbot, expected):
    dock.outputs.boxes["samples"].click()
    dock.outputs.mean.click()
    dock.samples.setValue(5)
    dock.device.choose("cpu")
    viewer.scene.camera.zoom = 33.0
    dock.restore.click()
    until_free()
    assert viewer.scene.camera.zoom == pytest.approx(33.0)
    layers = viewer.__wrapped__.layers
    layer, source = layers["noisy [HDN samples]"], layers["noisy"]
    assert layer.data.shape == (5, 4, 96, 80) and layer.ndim == 4
    assert tuple(layer.axis_labels) == ("sample", "t", "y", "x")
    assert tuple(layer.scale) == (1, *source.scale)
    assert tuple(layer.contrast_limits) == tuple(source.contrast_limits)
    assert layer.metadata["napari-hdn"]["product"] == "samples"
    assert dock.progress.line.text() == "The samples are drawn when you look at them."
    assert layer.colormap.nan_color[3] == 1  # nothing shines through
    viewer.dims.set_current_step(0, 3)
    viewer.dims.set_current_step(1, 2)

    def shown():
        seen = np.asarray(layer._slice.image.view)
        return seen.shape == (96, 80) and np.isfinite(seen).all()

    qtbot.waitUntil(shown)
    np.testing.assert_allclose(layer._slice.image.view, expected[3, 2], rtol=1e-2, atol=0.1)


def test_a_damaged_plane_is_told_once(viewer, trained, noisy, qtbot, monkeypatch):
    told = []
    monkeypatch.setattr("napari_hdn.ui.samples.show_error", told.append)
    damaged = noisy.astype(np.float32)
    damaged[1, 0, 0] = np.nan
    config = RestorationConfig(outputs=("samples",), **CONFIG)
    lazy = LazySamples(api.load_model(trained), ImageStack(damaged, "TYX", "noisy"), config)
    assert np.isnan(lazy[0, 1]).all()
    qtbot.waitUntil(lambda: bool(told))
    assert "noisy, plane 1: 1 of 7680 pixels" in told[0] and len(told) == 1


def test_they_are_saved_whole(
    viewer, session, dock, until_free, expected, tmp_path, monkeypatch, noisy, capsys
):
    dock.outputs.boxes["samples"].click()
    dock.samples.setValue(5)
    dock.device.choose("cpu")
    dock.restore.click()
    until_free()
    dock.exporting.layers.choose(viewer.__wrapped__.layers["noisy [HDN samples]"])
    path = tmp_path / "samples.ome.tif"
    monkeypatch.setattr(
        "napari_hdn.ui.parts.exporting.QFileDialog.getSaveFileName", lambda *a, **k: (str(path), "")
    )
    dock.exporting.save.click()
    until_free()
    (saved,) = api.open_images([path])
    order = [saved.axes.index(a) for a in "STYX"]
    np.testing.assert_allclose(
        np.asarray(saved.array).transpose(order), expected, rtol=1e-2, atol=0.1
    )
    # samples alone have their recipe, too, which the terminal repeats
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "a.tif", noisy, photometric="minisblack")
    command = ["run", str(tmp_path / "samples-recipe.json"), "--data", str(tmp_path / "raw")]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert "The samples are identical to the recorded ones" in capsys.readouterr().out
