"""A file that is ours as long as it is open; the system lets go of it when the program dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

_FAR = 2**40  # Windows locks bytes: one that nobody reads

if sys.platform == "win32":
    import msvcrt

    def _try_to_lock(file: IO[bytes]) -> None:
        at = file.tell()
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(at)

else:
    import fcntl

    def _try_to_lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class NoLocksError(OSError):
    """The file system knows no locks, as some network drives."""


def lock(path: Path) -> IO[bytes] | None:
    """Open a file for appending, made where it is missing, and lock it; None if another has.

    Raises
    ------
    NoLocksError
        If nobody can lock files there.
    OSError
        If it cannot be opened.
    """
    while True:
        file = path.open("ab", buffering=0)
        try:
            if not is_free(file):
                file.close()
                return None
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            same = False
        except OSError:
            file.close()
            raise
        if same:
            return file
        file.close()  # the one that held it removed it meanwhile


def is_free(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False if another program has.

    Raises
    ------
    NoLocksError
        If nobody can lock files there.
    """
    try:
        _try_to_lock(file)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise NoLocksError(error.errno, error.strerror) from error
    return True
