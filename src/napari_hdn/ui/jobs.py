"""The only place that starts workers: one long job a viewer, and short look-ups.

A job's `Job.work` is a generator that runs in a thread and touches neither Qt nor layers; what it
yields arrives on the main thread. Two ways to end it early, both by `Stop`, after which the
work returns what it has: the user's Stop button, and napari closing the viewer, which cancels the
worker by `JobWorker.quit`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from pydantic import ValidationError
from qtpy.QtCore import QCoreApplication, QObject, QThread
from superqt.utils import create_worker as create_unregistered_worker

from napari_hdn.api import HDNError, Notice, Stop


class BusyError(HDNError, RuntimeError):
    """A job was asked for while another one runs on the same viewer."""


@dataclass(frozen=True)
class Failed:
    """The last event of a job that ended with a message for the user."""

    text: str


def explain(error: ValidationError) -> str:
    """Word pydantic's complaints as one line for the user."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        lines.append(text if problem["type"] == "value_error" or not where else f"{where}: {text}")
    return " ".join(lines)


class Job:
    """One long piece of work and what is known of it; a subclass adds what it shows.

    Everything but `events` and `work` belongs to the main thread.
    """

    kind = "job"

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
            case Failed(text=text):
                self.failed = True
                self.notices.append(Notice(text, "warning"))
                self.end(f"{self.title[:1].upper()}{self.title[1:]} ended: {text}")

    def end(self, outcome: str) -> None:
        """Note how the job ended; the first word counts."""
        if self.outcome is None:
            self.outcome = outcome

    def events(self) -> Iterator[Any]:
        """`work`, with errors that are meant for the user turned into a last event."""
        try:
            yield from self.work()
        except HDNError as error:
            yield Failed(str(error))
        except ValidationError as error:
            yield Failed(explain(error))


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


def start(job: Job, on_event: Callable[[Any], None], on_finished: Callable[[], None]) -> JobWorker:
    """Run a job in a thread, known to napari's task manager so that closing asks first.

    Unexpected exceptions go to napari's error notification; ``on_finished`` is called in any case.
    """
    return create_worker(
        job,
        _worker_class=JobWorker,
        _connect={"yielded": on_event, "finished": on_finished},
        _start_thread=True,
    )


def look_up(
    function: Callable[[], Any],
    on_result: Callable[[Any], None],
    on_error: Callable[[Exception], None],
    *,
    owner: QObject | None = None,
) -> None:
    """Call a short function in a thread, unknown to napari's task manager.

    Reading a model's summary or importing torch is no reason to ask before closing. Nobody is
    called back once Qt has deleted ``owner``.
    """
    gone = threading.Event()
    if owner is not None:
        owner.destroyed.connect(lambda: gone.set())

    def unless_gone(callback: Callable[[Any], None]) -> Callable[[Any], None]:
        return lambda value: None if gone.is_set() else callback(value)

    create_unregistered_worker(
        function,
        _connect={"returned": unless_gone(on_result), "errored": unless_gone(on_error)},
        _ignore_errors=True,
        _start_thread=True,
    )


def on_main_thread() -> bool:
    """Whether the caller may touch widgets and layers."""
    application = QCoreApplication.instance()
    return application is None or QThread.currentThread() is application.thread()
