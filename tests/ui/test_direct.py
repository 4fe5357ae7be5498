"""A direct network, taught and used in the dock Restore images."""

import numpy as np
import pytest

from napari_hdn import api


@pytest.fixture
def quick(monkeypatch):
    """Teach for a few steps, with a tiny network."""
    tiny = api.DirectNetworkConfig(unshuffle=2, widths=(8, 8))
    real = api.DirectConfig

    def config(**chosen):
        changes = {"minutes": None, "steps": 5, "network": tiny, "patch_px": 16, "batch_size": 2}
        return real(**{**chosen, **changes})

    monkeypatch.setattr("napari_hdn.ui.restore.DirectConfig", config)


def test_taught_and_used(viewer, session, dock, until_free, trained, noisy, quick):
    dock.device.choose("cpu")
    dock.direct.teach.click()
    until_free()
    assert dock.progress.line.text() == "Taught: direct network mean. It gives no uncertainty."
    (folder,) = api.list_direct_folders(trained)
    assert "pieces held out it loses" in session.last["distillation"].notices[-1].text
    dock.direct.use.click()
    dock.restore.click()
    until_free()
    layer = viewer.layers["noisy [HDN mean, one pass]"]
    assert "by the direct network mean: " in session.last["restoration"].notices[0].text
    assert not dock.samples.isEnabled() and "without uncertainty" in dock.samples_hint.text()
    model, student = api.load_model(trained), api.load_direct(folder)
    config = api.RestorationConfig(device="cpu", deactivated_levels=())
    planes = [
        e.planes["mean"]
        for e in api.restore_direct(model, student, api.ImageStack(noisy, "TYX"), config)
        if isinstance(e, api.PlaneRestored)
    ]
    np.testing.assert_allclose(layer.data, planes, rtol=1e-3, atol=0.05)
    assert layer.metadata["napari-hdn"]["direct_network"] == "mean"


def test_refused_in_words(session, dock, errors, until_free, quick):
    dock.direct.use.click()
    dock.restore.click()
    assert "has no direct network of the mean yet. Teach one first: in the dock" in errors.pop()
    dock.direct.teach.click()
    until_free()
    dock.outputs.std.click()
    dock.restore.click()
    until_free()
    assert "no uncertainty" in errors.pop()
    dock.outputs.std.click()
    dock.levels.boxes[0].click()
    dock.restore.click()
    assert "no level off, but level 1 shall be off here" in errors.pop()


def test_stopped_it_keeps_what_it_has(session, dock, until_free, trained, qtbot):
    dock.direct.minutes.setValue(10)
    dock.device.choose("cpu")
    dock.direct.teach.click()
    qtbot.waitUntil(lambda: (session.job.fraction or 0) > 0.001)
    qtbot.wait(500)
    dock.stop.click()
    until_free()
    text = dock.progress.line.text()
    kept = api.list_direct_folders(trained)
    assert text.startswith("Stopped") and bool(kept) == ("kept" in text)
    assert [p.is_dir() for p in (trained / "direct").iterdir()] == [True] * len(kept)
