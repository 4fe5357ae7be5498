"""What docks that begin jobs share: words where one is refused, and which job they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import ValidationError

from napari_hdn.api import HDNError
from napari_hdn.ui.failures import explain
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.parts.forms import DockBody
from napari_hdn.ui.parts.progress import Progress
from napari_hdn.ui.session import Session


class JobDock(DockBody):
    """A dock over the jobs of a session.

    Parameters
    ----------
    session : Session
    """

    kinds: ClassVar[tuple[str, ...]] = ()  # of jobs that are shown while they run
    kinds_over: ClassVar[tuple[str, ...]] = ()  # that a dock opened later shows, the first there is

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.progress = Progress()
        self._shown = self._latest_job()

    def _begin(self, make: Callable[[], Job]) -> None:
        try:
            self._session.check_free()
            self._session.start(make())
        except ValidationError as error:
            self._refuse(explain(error))
        except HDNError as error:
            self._refuse(str(error))

    def _refuse(self, message: str) -> None:
        self.progress.line.say(message, warning=True)
        self._session.report(message)

    def _latest_job(self) -> Job | None:
        running, last = self._session.job, self._session.last
        if running is not None and running.kind in self.kinds:
            return running
        return next((last[k] for k in self.kinds_over if k in last), None)

    def _on_job_changed(self) -> None:
        if self._session.job is not None and self._session.job.kind in self.kinds:
            self._shown = self._session.job
        self._show_job()

    def _on_job_updated(self, job: Job) -> None:
        if job is self._shown:
            self._show_job()

    def _show_job(self) -> None:
        raise NotImplementedError
