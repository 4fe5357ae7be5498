"""Names for files that are written: numbered where another has the name, never over it."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from napari_hdn.core.errors import OutputError
from napari_hdn.io.disk import writing

_SUFFIXES = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ome.zarr", ".zarr")


def free_path(path: Path | str) -> Path:
    """``path`` if nothing is there, else the first free of ``name-2.ome.tif``, ``name-3...``."""
    path = Path(path)
    stem, suffix = split_suffix(path.name)
    free, number = path, 2
    while free.exists():
        free = path.with_name(f"{stem}-{number}{suffix}")
        number += 1
    return free


def free_paths(folder: Path, stem: str, endings: Mapping[str, tuple[str, str]]) -> dict[str, Path]:
    """Paths of files that belong together, none of which exists.

    Parameters
    ----------
    folder : Path
    stem : str
        What all names begin with.
    endings : mapping of str to (str, str)
        By what each file holds: what comes before and behind the number.

    Returns
    -------
    dict of str to Path
        All with the same number, ``STEM-mean-2.ome.tif``, where one of them exists without.
    """
    number = 1
    while True:
        numbered = f"-{number}" if number > 1 else ""
        paths = {k: folder / f"{stem}{a}{numbered}{b}" for k, (a, b) in endings.items()}
        if not any(path.exists() for path in paths.values()):
            return paths
        number += 1


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


def publish_folder(temporary: Path, target: Path, *, numbered: bool = True) -> Path:
    """Give a finished folder its name, or the next free one, without ever replacing another.

    Raises
    ------
    OutputError
        If there is something of that name and it may not be numbered.
    """
    while True:
        free = free_path(target) if numbered else target
        try:
            free.mkdir()  # ours alone now; a rename would replace anybody's empty folder
        except FileExistsError:
            if numbered:
                continue
            raise OutputError(f"{target} was made by another program meanwhile.") from None
        try:
            if os.name == "nt":  # which renames to names that are free alone
                free.rmdir()
            temporary.rename(free)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and numbered:
                continue
            with contextlib.suppress(OSError):
                free.rmdir()
            raise
        return free


def write_new(path: Path, content: bytes) -> Path:
    """Write a file that appears when it is whole, under the next free name; return that.

    Raises
    ------
    OutputError
        If it cannot be written; then nothing is left behind.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
            return publish(beside, path, numbered=True)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
