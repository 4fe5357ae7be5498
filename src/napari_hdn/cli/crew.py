"""One of several processes that train together: what it says, and whom it listens to."""

from __future__ import annotations

import _thread
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_hdn.api import Rank, TrainingFinished
from napari_hdn.cli.commands.shared import INTERRUPTED, LOST, OK, USER_ERROR
from napari_hdn.cli.launch import REPORT, SECONDS_TO_SAVE
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import HDNError, ProcessLostError

if TYPE_CHECKING:
    from napari_hdn.api import Stop, TrainingEvent

STANDARD_INPUT = 0
SECONDS_TO_HEAR = 2.0  # who is lost


def launched(rank: Rank) -> bool:
    """Whether our own command began this process as one of several."""
    return rank.of > 1 and rank.begun_by == "napari-hdn"


class Crew:
    """What this process knows of the others.

    Parameters
    ----------
    rank : Rank
    """

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self.joined = False
        self._lost: int | None = None
        self._advice = ""
        self._heard = threading.Event()
        self._report = os.environ[REPORT] if launched(rank) else None
        if self._report is not None:
            self.listener = threading.Thread(target=self._listen, daemon=True)
            self.listener.start()

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let one process say what went wrong, and the others end without a word.

        Before they have joined, all of a machine fail alike, and its first one speaks; afterwards the
        one that failed, and the leading one that has lost it.
        """
        try:
            yield
        except ProcessLostError as error:
            if not self.rank.leads:
                if self._report is not None:
                    os._exit(LOST)  # Python's way out ends gloo's waiting threads, which C++ tells
                raise SystemExit(LOST) from error
            raise ProcessLostError(f"{self._with_name(str(error))}{self._advice}") from error
        except (HDNError, ValidationError, OSError) as error:
            if self.rank.local > 0 and not self.joined:
                raise SystemExit(USER_ERROR) from error
            if not self.rank.leads:
                error.add_note(f"({self.rank})")
            raise

    def follow(self, begin: Callable[[Stop], Iterator[TrainingEvent]]) -> int:
        """Train with the leading process, which tells about it and writes the model."""
        with stop_on_interrupt(Progress(io.StringIO())) as stop:
            for event in begin(stop):
                self.joined = True
                finished = event
        assert isinstance(finished, TrainingFinished), "a training ends with TrainingFinished"
        return INTERRUPTED if finished.stopped else OK

    def has_begun(self, folder: Path, advice: str) -> None:
        """Tell who began us where the model will be, and what to do if a process is lost."""
        self._advice = f" {advice}"
        if self._report is not None:
            beside = Path(f"{self._report}.part")
            told = json.dumps({"folder": str(folder.absolute()), "advice": advice})
            beside.write_text(told, encoding="utf-8")
            os.replace(beside, self._report)

    def _with_name(self, text: str) -> str:
        if self._report is not None:
            self._heard.wait(SECONDS_TO_HEAR)
        if self._lost is None:
            return text
        name = f"Process {self._lost + 1} of {self.rank.of}"
        return text.replace(f"Another of the {self.rank.of} processes", name)

    def _listen(self) -> None:
        # not through sys.stdin, whose lock a thread must not hold when Python ends
        while words := os.read(STANDARD_INPUT, 4096).decode():
            for word, *about in map(str.split, words.splitlines()):
                if word == "lost":
                    self._lost = int(about[0])
                    self._heard.set()
                elif word == "stop":
                    _thread.interrupt_main()
        # who began us is gone: keep what there is, and do not stay behind
        _thread.interrupt_main()
        time.sleep(SECONDS_TO_SAVE)
        os._exit(USER_ERROR)
