"""Whether a disk takes a result, known before the work begins; and what it says when it does not."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from napari_hdn.core.errors import OutputError

# what a network drive that vanished, or a disk that was pulled out, says
_GONE = {
    getattr(errno, f"E{name}")
    for name in ["IO", "STALE", "NOTCONN", "HOSTDOWN", "HOSTUNREACH", "TIMEDOUT", "NODEV", "NXIO"]
    if hasattr(errno, f"E{name}")
}
_WORTH_WAITING = 2**20  # bytes


def check_room(folder: Path, needed: int, what: str) -> None:
    """Find out before the work whether a disk has room for its result.

    Raises
    ------
    OutputError
        If it has not, with what is needed and what is free, in bytes.
    """
    free = shutil.disk_usage(existing(folder)).free
    if needed > free:
        raise OutputError(
            f"{what} needs {_size(needed)}, but only {_size(free)} are free in {folder}; make room or "
            "choose another folder."
        )


def check_writable(folder: Path, refusal: str, *, readable: bool = False) -> None:
    """Find out before the work whether its result could be written; makes nothing.

    Parameters
    ----------
    folder : Path
        It need not exist.
    refusal : str
        How the message begins, such as ``A model cannot be saved to PLACE``.
    readable : bool
        Whether it has to be listed, too.

    Raises
    ------
    OutputError
        If the folder, or the first one above it that exists, cannot be written to.
    """
    there = existing(folder)
    try:
        if readable:
            next(there.iterdir(), None)
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OutputError(
            f"{refusal}: {error.strerror} ({there}); choose another folder."
        ) from error


def existing(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    return next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while a file is written into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} could not be written: {_reason(error)}.") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; make room or choose another folder"
    if error.errno == getattr(errno, "EDQUOT", None):
        return "your share of the disk (quota) is used up; make room or choose another folder"
    if error.errno in _GONE:
        return (
            f"the disk or network drive does not answer ({error.strerror}); see that it is connected, "
            "then start again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.strerror}; choose a folder that you may write to"
    if error.errno == errno.EFBIG:
        return f"{error.strerror}; this disk cannot hold files of this size: choose another folder"
    return (error.strerror or str(error)).rstrip(".")


def settle(file: BinaryIO) -> None:
    """Wait until a file is on the disk; not for small ones, which takes longer than restoring them.

    Of those a power cut costs some, which are then empty, and done again.
    """
    file.flush()
    if os.fstat(file.fileno()).st_size >= _WORTH_WAITING:
        os.fsync(file.fileno())
