"""A line near the button that begins a job: what it will take, or that it will not fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from qtpy.QtCore import QTimer

from napari_hdn.api import Estimate, HDNError, Stop
from napari_hdn.ui import jobs
from napari_hdn.ui.parts.forms import Hint, watch

if TYPE_CHECKING:
    from napari_hdn.ui.session import Session

LOOK_MS = 1000  # between looks at what is chosen


@dataclass(frozen=True)
class Question:
    """What is to be estimated.

    Attributes
    ----------
    key : hashable
        Two questions with the same key have the same answer.
    answer : callable
        Finds it out, for a worker; may return None where it was stopped.
    """

    key: Hashable
    answer: Callable[[Stop], Estimate | None]


class EstimateLine(Hint):
    """Asks once choices have settled, in the background, and never while a job runs.

    Parameters
    ----------
    session : Session
    ask : callable
        Gives the `Question` as it is now; what it refuses has no estimate.
    """

    def __init__(self, session: Session, ask: Callable[[], Question]) -> None:
        super().__init__()
        self._session = session
        self._ask = ask
        self._seen: Hashable = None  # at the last look
        self._told: Hashable = None  # what the line tells of
        self._stop: Stop | None = None  # of the question that is being answered
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(LOOK_MS)
        watch(self, session.job_changed, self._on_job)

    def look(self) -> None:
        """See what is chosen; ask about it if it is the same as at the last look."""
        around = self.parentWidget()
        if around is None or not around.isVisible() or jobs.running() or self._stop is not None:
            return
        try:
            question = self._ask()
        except (HDNError, ValidationError):  # the dock tells when the job is to begin
            self._seen = self._told = None
            self.say("")
            return
        settled, self._seen = question.key == self._seen, question.key
        if question.key == self._told:
            return
        if self._told is not None:  # it is about something else
            self._told = None
            self.say("")
        if settled:
            self._find_out(question)

    def _find_out(self, question: Question) -> None:
        stop = self._stop = Stop()

        def on_result(estimate: Estimate | None) -> None:
            self._stop = None
            if estimate is None or question.key != self._seen:
                return
            self._told = question.key
            warning = estimate.warning
            told = estimate.in_words()
            self.say(f"{told[:1].upper()}{told[1:]}. {warning}".strip(), warning=bool(warning))

        def on_error(text: str) -> None:
            self._stop = None
            self._told = question.key  # asked again, it would fail again
            self.say("")

        jobs.look_up(lambda: question.answer(stop), on_result, on_error, owner=self)

    def _on_job(self) -> None:
        if self._session.job is not None and self._stop is not None:
            self._stop.request()
