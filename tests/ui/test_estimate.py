"""The line above the buttons: in the background, once choices have settled, never while a job runs."""

import threading

from napari_hdn import api
from napari_hdn.api import Estimate
from napari_hdn.ui.jobs import Job


def _settle(line, qtbot):
    line.look()
    line.look()
    qtbot.waitUntil(lambda: line._stop is None)


def test_what_a_restoration_will_take(viewer, dock, qtbot):
    line = dock.estimate
    dock.device.choose("cpu")
    assert line.text() == ""
    line.look()
    assert line._stop is None  # perhaps the user is not done yet
    _settle(line, qtbot)
    assert "of memory." in line.text() and not line.warns and line.isVisible()
    dock.samples.setValue(3)
    line.look()
    assert line.text() == ""  # it was about something else
    _settle(line, qtbot)
    assert "of memory." in line.text()


def test_files_are_estimated_by_what_they_take_on_disk(viewer, dock, qtbot, tmp_path, noisy):
    import tifffile

    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", noisy, photometric="minisblack")
    dock.targets.kind.choose("folder")
    dock.targets.folder.edit.setText(str(tmp_path / "in"))
    dock.targets.output.edit.setText(str(tmp_path / "out"))
    qtbot.waitUntil(lambda: dock.targets.folder.stacks() is not None)
    _settle(dock.estimate, qtbot)
    assert "memory, 120 kB on disk" in dock.estimate.text()
    dock.batch.format.choose("ome-zarr")
    dock.batch.dtype.choose("input")
    _settle(dock.estimate, qtbot)
    assert "at most 61 kB on disk" in dock.estimate.text()


def test_what_will_not_fit_is_a_warning(viewer, dock, qtbot, monkeypatch):
    told = Estimate(100, 9e9, free_memory=4e9, advice="Choose fewer outputs.")
    monkeypatch.setattr(api, "estimate_restoration", lambda *a, **k: told)
    _settle(dock.estimate, qtbot)
    assert dock.estimate.warns
    assert dock.estimate.text() == (
        "About 1.5 min, 9.0 GB of memory. This needs about 9.0 GB of memory, but 4.0 GB are free. "
        "Choose fewer outputs."
    )


def test_nothing_is_probed_while_a_job_runs_and_a_probe_gives_way(
    viewer, dock, session, until_free, qtbot, monkeypatch
):
    go_on, asked = threading.Event(), []

    class Waiting(Job):
        def work(self):
            go_on.wait(60)
            yield from ()

    def slow(*args, stop, **kwargs):
        asked.append(stop)
        while not stop.requested:
            stop._event.wait(0.01)

    monkeypatch.setattr(api, "estimate_restoration", slow)
    line = dock.estimate
    line.look()
    line.look()
    qtbot.waitUntil(lambda: len(asked) == 1)
    session.start(Waiting("waiting"))
    qtbot.waitUntil(lambda: line._stop is None)
    assert asked[0].requested and line.text() == ""
    line.look()
    line.look()
    assert len(asked) == 1
    go_on.set()
    until_free()
    line.look()
    line.look()
    qtbot.waitUntil(lambda: len(asked) == 2)
    asked[1].request()
    qtbot.waitUntil(lambda: line._stop is None)


def test_a_dock_that_is_not_seen_asks_nothing(viewer, dock, monkeypatch, qtbot):
    asked = []
    monkeypatch.setattr(api, "estimate_restoration", lambda *a, **k: asked.append(1))
    dock.hide()
    dock.estimate.look()
    dock.estimate.look()
    assert asked == [] and dock.estimate._seen is None


def test_what_a_training_will_take(viewer, train_dock, qtbot, noisy, tiny):
    line = train_dock.estimate
    line.look()
    line.look()
    assert line._stop is None  # there is no image to train on
    viewer.add_image(noisy, name="noisy", axis_labels=("t", "y", "x"))
    tiny(train_dock, 500)
    _settle(line, qtbot)
    assert ", 500 steps, " in line.text() and "on disk" in line.text()
