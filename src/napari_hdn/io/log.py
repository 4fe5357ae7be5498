"""The log file: what happened, for whoever answers a bug report. It never leaves this computer.

Several programs write to one file, each line with its process number. Nothing that goes wrong with the
file, such as a full disk, reaches the work.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from platformdirs import user_log_path

FOLDER_VARIABLE = "NAPARI_HDN_LOG"
FILES, MOST_BYTES = 3, 2_000_000  # the file and two older ones
BEGINS = "begins: "  # before what a job does, as JSON
_MOST_CHARACTERS = 20_000  # of one record
_STALE_S = 10.0  # after which a lock is that of a program that died
_SECRET = re.compile(r"(?<=://)[^/\s@\"']+(?=@)")  # of an address with a password

_logger = logging.getLogger("napari_hdn")


def log_path() -> Path:
    """The file, in ``$NAPARI_HDN_LOG`` or the user's folder of logs."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    folder = Path(chosen) if chosen else user_log_path("napari-hdn", appauthor=False)
    return folder / "napari-hdn.log"


def attach_log(program: str) -> None:
    """Write down from now on what this process does; safe to call often.

    Parameters
    ----------
    program : str
        What runs: ``napari`` or ``terminal``.
    """
    if any(isinstance(handler, LogFile) for handler in _logger.handlers):
        return
    _logger.addHandler(LogFile())
    _logger.setLevel(logging.INFO)
    from napari_hdn.io.diagnostics import versions

    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    _logger.info("%s, process %d: %s; %s", program, os.getpid(), told, sys.platform)


class LogFile(logging.Handler):
    """Appends each record in one piece, and lets the file not grow beyond `MOST_BYTES`."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, and indented ones for a traceback."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        when = (
            datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        )
        text = _SECRET.sub("***", shortened(text)).replace("\n", "\n    ")
        return f"{when} {record.process} {record.levelname} {record.name}: {text}\n"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record down, if that is possible."""
        # whatever it is: no log is worth a job
        with contextlib.suppress(Exception):
            line = self.format(record).encode("utf-8", "backslashreplace")
            path = log_path()
            path.parent.mkdir(parents=True, exist_ok=True)
            if _size(path) + len(line) > MOST_BYTES:
                _rotate(path)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            handle = os.open(path, flags, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)


def shortened(text: str) -> str:
    """A text with its middle left out where it is too long."""
    over = len(text) - _MOST_CHARACTERS
    if over <= 0:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]} ... {over} characters ... {text[-half:]}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _rotate(path: Path) -> None:
    """Number the files anew; only one of several programs does it, the others write on."""
    with _locked(path.with_name(f"{path.name}.lock")) as ours:
        if not ours or _size(path) < MOST_BYTES // 2:  # somebody was faster
            return
        names = [path, *(path.with_name(f"{path.name}.{i}") for i in range(1, FILES))]
        for older, newer in zip(names[::-1], names[-2::-1], strict=False):
            with contextlib.suppress(OSError):  # Windows: somebody reads it
                os.replace(newer, older)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def last_lines(number: int) -> list[str]:
    """The end of the log, from the older files too where the newest holds too little."""
    lines: list[str] = []
    for path in _files():
        if len(lines) >= number:
            break
        lines = [*_lines(path), *lines]
    return lines[-number:]


def last_job() -> str | None:
    """What was begun last, in JSON, by whichever program."""
    for path in _files():
        for line in reversed(_lines(path)):
            _, found, job = line.partition(f": {BEGINS}")
            if found:
                return job
    return None


def _files() -> list[Path]:
    path = log_path()
    return [path, *(path.with_name(f"{path.name}.{i}") for i in range(1, FILES))]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
