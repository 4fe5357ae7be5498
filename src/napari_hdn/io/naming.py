"""Names for files that are written: numbered where another has the name, never over it."""

from __future__ import annotations

import os
from pathlib import Path

from napari_hdn.core.errors import OutputError

_SUFFIXES = (".ome.tif", ".ome.tiff", ".tif", ".tiff")


def free_path(path: Path | str) -> Path:
    """``path`` if nothing is there, else the first free of ``name-2.ome.tif``, ``name-3...``."""
    path = Path(path)
    stem, suffix = split_suffix(path.name)
    free, number = path, 2
    while free.exists():
        free = path.with_name(f"{stem}-{number}{suffix}")
        number += 1
    return free


def split_suffix(name: str) -> tuple[str, str]:
    """Split a file name before ``.ome.tif`` and its like: ``cells.ome.tif`` -> ``cells``, ..."""
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    path = Path(name)
    return path.stem, path.suffix


def publish(temporary: Path, target: Path, *, numbered: bool) -> Path:
    """Give a finished file its name, or the next free one, without ever replacing another."""
    while True:
        free = free_path(target) if numbered else target
        try:
            os.link(temporary, free)
        except FileExistsError:
            taken = True
        except OSError:  # a file system without hard links
            taken = free.exists()
            if not taken:
                temporary.rename(free)
        else:
            taken = False
        if not taken:
            return free
        if not numbered:
            raise OutputError(f"{target} was made by another program meanwhile.") from None
