"""Hidden files that killed processes left of OME-TIFFs they were writing."""

from __future__ import annotations

import contextlib
import glob
import re
import time
from pathlib import Path

from napari_hdn.core.lock import is_free

_TEMPORARY = re.compile(r"\.[0-9a-f]{8}(\.partial)?\.tmp$")
_QUIET_S = 3600.0  # an older version, which holds no lock, may still write


def remove_leftovers(folder: Path, stem: str) -> list[Path]:
    """Remove the hidden files that killed processes left of files whose names begin with ``stem``.

    Only those that no process holds and that nobody has written to for an hour.

    Returns
    -------
    list of Path
        Those that are gone.
    """
    removed = []
    for path in folder.glob(f".{glob.escape(stem)}-*.tmp") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if not _TEMPORARY.search(path.name) or time.time() - path.stat().st_mtime < _QUIET_S:
                continue
            with path.open("r+b") as file:
                if not is_free(file):
                    continue
            path.unlink()
            removed.append(path)
    return removed
