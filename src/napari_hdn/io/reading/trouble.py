"""What to say of files that are damaged, gone, or other than they were."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from napari_hdn.core.errors import ImageFileError, ImageLostError


def truncated(path: Path, detail: str) -> ImageFileError:
    """Say that a file is damaged and what can be done."""
    return ImageFileError(
        f"{path.name} is truncated or damaged ({detail}); copy it again from where it was "
        "recorded, or leave it out."
    )


def damaged(path: Path, error: Exception, place: str = "") -> ImageFileError:
    """Say the same of whatever the reader of a damaged file ran into."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return ImageFileError(
            f"{path.name} does not fit in memory ({place}{reason:.160}), or is damaged; copy it "
            "again from where it was recorded, or leave it out."
        )
    return truncated(path, f"{place}{reason:.160}")


def unreadable(path: Path, error: OSError) -> ImageFileError:
    """Say that a file cannot be opened."""
    todo = ""
    if isinstance(error, PermissionError):
        todo = " Ask its owner for the permission, or leave it out."
    return ImageFileError(f"{path} cannot be read: {error.strerror or error}.{todo}")


def gone(path: Path, error: OSError) -> ImageFileError:
    """Say that a file that was opened before cannot be reached now.

    Where only a place in it cannot be read, as on a worn disk, the rest of it is not lost.
    """
    kind = ImageFileError if error.errno == errno.EIO and _opens(path) else ImageLostError
    if isinstance(error, PermissionError):
        place = error.filename or path
        return kind(
            f"{place} cannot be read: {error.strerror}. Ask its owner for the permission, then repeat "
            "what is missing."
        )
    return kind(
        f"{path} cannot be read any more: {error.strerror or error}. Was it moved, or is its drive "
        "or network folder gone? Make it available again, and repeat what is missing."
    )


def _opens(path: Path) -> bool:
    try:
        if path.is_dir():
            os.listdir(path)
        else:
            path.open("rb").close()
    except OSError:
        return False
    return True


def changed(path: Path, detail: str) -> ImageLostError:
    """Say that another program wrote to a file since it was opened."""
    return ImageLostError(
        f"{path.name} was changed by another program while it was in use ({detail}); nothing of "
        "it is read any more, since its pixels may be of two images. Wait until it is written, and "
        "open it again."
    )


@dataclass(frozen=True)
class FileState:
    """What tells that a file is the one that was opened.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        When it was written to.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileState:
        """Take it from what the system tells."""
        return cls(stat.st_size, stat.st_mtime_ns)

    def since(self, before: FileState) -> str:
        """What differs from before, in words."""
        if self.size != before.size:
            return f"it had {before.size:,} bytes, now {self.size:,}"
        return f"it still has {self.size:,} bytes, but was written to"


class SameFile:
    """Knows whether a file is still the one that was opened.

    One that only became longer is the same, since live recordings are appended to, if what is at
    some places in it is as it was; a few pixels of camera noise are as good as a fingerprint.

    Parameters
    ----------
    path : Path
    places : sequence of (int, int)
        Where, and how many bytes; without places it may not become longer either.

    Raises
    ------
    ImageFileError
        If it cannot be read.
    """

    def __init__(self, path: Path, places: Sequence[tuple[int, int]]) -> None:
        self._path = path
        self._places = tuple(places)
        try:
            with path.open("rb", buffering=0) as file:
                self._state = FileState.of(os.fstat(file.fileno()))
                self._print = self._fingerprint(file)
        except OSError as error:
            raise unreadable(path, error) from error

    def check(self, file: BinaryIO) -> None:
        """Look at the file, which is open.

        Raises
        ------
        ImageFileError
            If another program wrote to it.
        OSError
            If the system cannot tell.
        """
        now = FileState.of(os.fstat(file.fileno()))
        if now == self._state:
            return
        # zeros are no fingerprint
        known = bool(self._print) and all(len(set(piece)) > 1 for piece in self._print)
        if now.size > self._state.size and known and self._fingerprint(file) == self._print:
            self._state = now
            return
        raise changed(self._path, now.since(self._state))

    def _fingerprint(self, file: BinaryIO) -> tuple[bytes, ...]:
        pieces = []
        for start, count in self._places:
            file.seek(start)
            pieces.append(file.read(count))
        return tuple(pieces)
