"""What remains of a job that is over, and which window knows of it."""

import gc
import weakref

import numpy as np
from superqt.utils import WorkerBase

from napari_hdn.ui.jobs import Job, JobWorker


def test_nothing_large_is_kept_of_a_job_that_is_over(viewer, session, dock, until_free, qtbot):
    dock.restore.click()
    (worker,) = [weakref.ref(w) for w in WorkerBase._worker_set if isinstance(w, JobWorker)]
    until_free()
    layer = viewer.layers["noisy [HDN mean]"]
    pixels = weakref.ref(layer.data)
    job = session.last["restoration"]
    assert job.outcome == "Restored 4 planes."
    viewer.layers.remove(layer)
    del layer

    def gone():
        gc.collect()
        return worker() is None and pixels() is None

    qtbot.waitUntil(gone)
    assert (job.model, job.sources, job.arrays) == (None, [], {})


def test_nothing_large_is_kept_of_a_training_that_is_over(
    viewer, session, train_dock, held_training, until_free, noisy, qtbot
):
    layer = viewer.add_image(noisy.copy(), name="noisy")
    pixels = weakref.ref(layer.data)
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.requests) > 0)
    held_training.go_on.set()
    until_free()
    viewer.layers.clear()
    held_training.calls.clear()
    del layer

    def gone():
        gc.collect()
        return pixels() is None

    qtbot.waitUntil(gone)
    assert train_dock.plot.isVisible()  # the losses are still there
    assert session.last["training"].training_loss.steps == [1]


def test_a_job_is_known_to_its_own_window(
    viewer, session, second_viewer, train_dock, held_training, until_free, noisy
):
    def tasks(one):
        return one.__wrapped__.window._task_status_manager.get_status()

    viewer.add_image(noisy, name="noisy")
    train_dock.train.click()
    told = "napari-hdn: training noisy fast (the model is saved if you close)"
    assert tasks(viewer) == [told]
    assert tasks(second_viewer) == []
    held_training.go_on.set()
    until_free()
    assert tasks(viewer) == []


def test_closing_another_window_stops_nothing(
    viewer, session, second_viewer, train_dock, held_training, until_free, noisy, qtbot
):
    viewer.add_image(np.array(noisy), name="noisy")
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.requests) > 0)
    second_viewer.__wrapped__.window._task_status_manager.cancel_all()  # as closing it does
    qtbot.wait(100)
    assert session.job is not None
    assert not session.job.stop.requested
    held_training.go_on.set()
    until_free()


def test_what_cannot_be_shown_stands_in_the_log(session, until_free, qtbot, caplog):
    class Odd(Job):
        def work(self):
            yield "event"

        def show(self, event):
            raise KeyError("no such layer")

    job = Odd("looking at an odd thing")
    with qtbot.capture_exceptions():
        session.start(job)
        until_free()
    assert job.outcome == "Looking at an odd thing ended by an unexpected error."
    assert "looking at an odd thing could not be shown" in caplog.text
    assert "KeyError: 'no such layer'" in caplog.text
