"""The only place that starts workers: one long job a viewer, and short look-ups.

A job's `Job.work` is a generator that runs in a thread and touches neither Qt nor layers; what it
yields arrives on the main thread. Two ways to end it early, both by `Stop`, after which the
work returns what it has: the user's Stop button, and napari closing the viewer, which cancels the
worker by `JobWorker.quit`. A model folder belongs to one job at a time, whatever the viewer.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.qt.threading import GeneratorWorker
from napari.utils.task_status import Status
from qtpy.QtCore import QCoreApplication, QObject, QThread
from superqt.utils import create_worker

from napari_hdn import api
from napari_hdn.api import HDNError, Notice, Stop
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.ui.deletion import on_deleted
from napari_hdn.ui.failures import in_words

_log = logging.getLogger(__name__)
_running: set[Job] = set()  # of all viewers
_folders: dict[Path, Job] = {}  # the model folders that jobs write to, whatever their viewer


class BusyError(HDNError, RuntimeError):
    """A job was asked for while another one runs on the same viewer."""


@dataclass(frozen=True)
class Failed:
    """The last event of a job that ended with a message for the user."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The last event of a job that was stopped before it had anything to keep."""

    text: str


class Job:
    """One long piece of work and what is known of it; a subclass adds what it shows.

    Everything but `events` and `work` belongs to the main thread.
    """

    kind = "job"
    folder: Path | None = None  # the model folder that it writes to, if any

    def __init__(self, title: str) -> None:
        self.title = title
        self.stop = Stop()
        self.fraction: float | None = None
        self.remaining_s: float | None = None
        self.notices: list[Notice] = []
        self.outcome: str | None = None  # one line once it is over
        self.failed = False
        self.abandoned = False  # the viewer is gone: nothing more may be shown

    def __str__(self) -> str:
        return self.title

    @property
    def has_result(self) -> bool:
        """Whether it came to something that is looked at until a later job does."""
        return False

    @property
    def running(self) -> bool:
        """Whether the job is not over yet."""
        return self.outcome is None

    @property
    def status(self) -> str:
        """One line about where the job is."""
        if self.outcome is not None:
            return self.outcome
        if self.stop.requested:
            return f"Stopping {self.title} ..."
        return f"{self.title[:1].upper()}{self.title[1:]} ..."

    def work(self) -> Iterator[Any]:
        """Do the work in a thread, yielding events; look at `stop` at every step."""
        raise NotImplementedError

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        match event:
            case Notice():
                self.notices.append(event)
                _log.info("%s: %s: %s", self.title, event.severity, event.text)
            case Ended(text=text):
                self.end(text)
            case Failed(text=text):
                self.failed = True
                self.notices.append(Notice(text, "warning"))
                self.end(f"{self.title[:1].upper()}{self.title[1:]} ended: {text}")

    def end(self, outcome: str) -> None:
        """Note how the job ended; the first word counts."""
        if self.outcome is None:
            self.outcome = outcome

    def next(self) -> Job | None:
        """What is to be done as soon as this job is over, if anything; asked before `close`."""
        return None

    def close(self) -> None:
        """Leave what was made in order and let go of all that is large; called when it is over.

        What a dock shows of a job that is over stays: outcome, notices, losses.
        """

    def events(self) -> Iterator[Any]:
        """`work`, with errors that can be put in words turned into a last event."""
        began = time.monotonic()
        _log.info("%s begins", self.title)
        try:
            with api.chosen_threads():
                yield from self.work()
        except StoppedEarly as error:
            yield Ended(str(error))
        except Exception as error:
            _log.exception(
                "%s ended by an error after %.1f s", self.title, time.monotonic() - began
            )
            text = in_words(error)
            if text is None:
                raise
            yield Failed(text)
        else:
            _log.info("%s is over after %.1f s", self.title, time.monotonic() - began)


class JobWorker(GeneratorWorker):
    """Runs a job to its own end: quitting asks it to stop, so that it can save what it has."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.events)
        self._job = job

    def quit(self) -> None:
        """Ask the job to stop; called by napari when the viewer closes."""
        self._job.abandoned = True
        self._job.stop.request()
        super().quit()

    def work(self) -> None:
        """Exhaust the generator, and close it whatever happens."""
        try:
            for event in self._gen:
                self.yielded.emit(event)
        finally:
            self._gen.close()


def running() -> bool:
    """Whether a job of any viewer runs."""
    return bool(_running)


def check_folder(folder: Path | None) -> None:
    """Say who uses a model folder, if somebody does.

    Raises
    ------
    BusyError
        If a job of any viewer writes to it.
    """
    if folder is not None and (job := _folders.get(folder.resolve())) is not None:
        raise BusyError(
            f"The model {folder.name} is in use: {job.title} is still running, perhaps in another "
            "window. Stop it, or wait until it is done."
        )


def start(
    job: Job, viewer: Any, on_event: Callable[[Any], None], on_finished: Callable[[], None]
) -> JobWorker:
    """Run a job in a thread, known to its viewer's task manager so that closing asks first.

    Unexpected exceptions go to napari's error notification; ``on_finished`` is called in any case.

    Raises
    ------
    BusyError
        If another job writes to the same model folder.
    """
    check_folder(job.folder)
    folder = None if job.folder is None else job.folder.resolve()
    if folder is not None:
        _folders[folder] = job

    def on_over() -> None:
        _running.discard(job)
        if folder is not None:
            _folders.pop(folder, None)
        deregister(Status.FAILED if job.failed else Status.COMPLETED)
        on_finished()

    def on_yielded(event: Any) -> None:
        try:
            on_event(event)
        except Exception:  # napari tells the user; a bug report needs it, too
            _log.exception("%s could not be shown", job.title)
            raise

    worker = create_worker(
        job,
        _worker_class=JobWorker,
        _connect={"yielded": on_yielded, "finished": on_over},
        _start_thread=False,
    )
    deregister = _register(worker, str(job), viewer)
    _running.add(job)
    worker.start()
    return worker


def _register(worker: JobWorker, description: str, viewer: Any) -> Callable[[Status], None]:
    """Make a job known to the task manager of its own window; returns how to say that it is over.

    napari's `create_worker` registers at the viewer that is active, and its manager never forgets
    a task, so that its callback would keep worker, job and all arrays in memory.
    """
    window = getattr(viewer, "window", None)
    if not hasattr(window, "_register_task_status"):  # no window, or an older napari
        return lambda status: None
    running, its_window = weakref.ref(worker), weakref.ref(window)

    def cancel() -> None:
        if (alive := running()) is not None:
            alive.quit()

    task = window._register_task_status("napari-hdn", Status.BUSY, description, cancel)

    def deregister(status: Status) -> None:
        if (alive := its_window()) is not None:
            alive._update_task_status(task, status, description)

    return deregister


def look_up(
    function: Callable[[], Any],
    on_result: Callable[[Any], None],
    on_error: Callable[[str], None],
    *,
    owner: QObject | None = None,
) -> None:
    """Call a short function in a thread, unknown to napari's task manager.

    Reading a model's summary or importing torch is no reason to ask before closing. Nobody is
    called back once Qt has deleted ``owner``. ``on_error`` gets words for the user; an error that
    is a mistake in the program goes to napari's error notification, too.
    """
    gone = threading.Event()
    if owner is not None:
        on_deleted(owner, gone.set)
    # superqt's workers put themselves into `warnings.showwarning` while they run; where two overlap one
    # stays there when it is over, and must not keep what was asked of it
    asked, answers = [function], [(on_result, on_error)]

    def on_returned(value: Any) -> None:
        tell, _ = answers.pop()
        if not gone.is_set():
            tell(value)

    def on_errored(error: Exception) -> None:
        _, tell = answers.pop()
        text = in_words(error)
        _log.warning("a look-up ended by an error", exc_info=error)
        if not gone.is_set():
            tell(text or f"An unexpected error: {error!r}")
            if text is None:
                raise error

    def look() -> Any:
        with api.chosen_threads():
            return asked.pop()()

    create_worker(
        look,
        _connect={"returned": on_returned, "errored": on_errored},
        _ignore_errors=True,
        _start_thread=True,
    )


def on_main_thread() -> bool:
    """Whether the caller may touch widgets and layers."""
    application = QCoreApplication.instance()
    return application is None or QThread.currentThread() is application.thread()
