"""What the terminal shows while work runs, and how Ctrl-C stops it."""

from __future__ import annotations

import logging
import math
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self, TextIO

from napari_hdn.api import Notice, Stop, chosen_threads

SECONDS_BETWEEN_LINES = 10.0  # where lines cannot be rewritten: files, pipes
BAR_CHARACTERS = 20

_log = logging.getLogger(__name__)


class Progress:
    """One line that is rewritten in a terminal; a plain line now and then elsewhere.

    Parameters
    ----------
    stream : text stream, optional
        By default the standard output as it is now.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._rewrites = self._stream.isatty()
        self._open = False  # whether the line at the cursor is ours to rewrite
        self._next = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_line()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._end_line(erase=True)
        print(text, file=self._stream, flush=True)

    def notice(self, notice: Notice) -> None:
        """Write what the core wants the user to read."""
        _log.info("%s: %s", notice.severity, notice.text)
        self.say(f"Warning: {notice.text}" if notice.severity == "warning" else notice.text)

    def update(self, fraction: float, text: str, remaining_s: float) -> None:
        """Show how far the work is."""
        left = f"  {duration(remaining_s)} left" if math.isfinite(remaining_s) else ""
        if self._rewrites:
            full = round(BAR_CHARACTERS * min(1.0, max(0.0, fraction)))
            bar = "█" * full + "░" * (BAR_CHARACTERS - full)
            line = f"{bar} {fraction:4.0%}{left}  {text}"
            width = shutil.get_terminal_size().columns
            print(f"\r{line[: width - 1]}\x1b[K", end="", file=self._stream, flush=True)
            self._open = True
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES
            print(f"{fraction:4.0%}{left}  {text}", file=self._stream, flush=True)

    def _end_line(self, *, erase: bool = False) -> None:
        if self._open:
            print("\r\x1b[K" if erase else "\n", end="", file=self._stream, flush=True)
            self._open = False


@contextmanager
def stop_on_interrupt(progress: Progress) -> Iterator[Stop]:
    """Work until the first Ctrl-C, a request to stop; the second is an end at once.

    So does what ends a job that has run out of its time on a cluster (SIGTERM).
    """
    stop = Stop()

    def interrupted(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.request()
        again = " Press Ctrl-C again to give it up." if number == signal.SIGINT else ""
        progress.say(f"Stopping, and keeping what there is.{again}")

    before = {n: signal.signal(n, interrupted) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with chosen_threads():
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``8 s``, ``2:05 min``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def typed(command: Sequence[str]) -> str:
    """A command as this system's shell takes it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
