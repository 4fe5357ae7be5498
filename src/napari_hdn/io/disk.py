"""Room on a disk, known before the work begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from napari_hdn.core.errors import OutputError


def check_room(folder: Path, needed: int, what: str) -> None:
    """Find out before the work whether a disk has room for its result.

    Raises
    ------
    OutputError
        If it has not, with what is needed and what is free, in bytes.
    """
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise OutputError(
            f"{what} needs {_size(needed)}, but only {_size(free)} are free in {folder}; make room or "
            "choose another folder."
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
