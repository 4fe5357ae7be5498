"""A model folder as one .zip: the same bytes for the same model, with a checksum of every file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from napari_hdn.core.errors import (
    ConfigurationError,
    ModelFolderError,
    RecipeError,
    StoppedEarly,
)
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.recipes.looks import read_look
from napari_hdn.io.disk import check_room, check_writable, writing
from napari_hdn.io.models.library import usable_name
from napari_hdn.io.naming import publish
from napari_hdn.io.recipes.files import read_model_recipe, read_recipe
from napari_hdn.io.sharing.contents import CHECKSUMS, LEVELS, RECIPE, RESUME, files_of
from napari_hdn.io.sharing.events import Exported, SharingEvent, SharingProgress
from napari_hdn.io.sharing.places import without_places

CHUNK = 2**20
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that a .zip knows: the bytes tell no time
_TEXT = (".json", ".txt")


def export_zip(
    folder: Path, target: Path, *, training_state: bool = False, stop: Stop | None = None
) -> Iterator[SharingEvent]:
    """Pack a model folder; the file appears when it is whole, numbered where another has its name.

    Parameters
    ----------
    folder : Path
        Of the model, with its direct networks, notes and recipe.
    target : Path
        A file that ends in ``.zip``, or a folder.
    training_state : bool
        Whether what is needed to train on goes along; five times as large as the weights.

    Yields
    ------
    SharingProgress, Notice
    Exported
        Last.

    Raises
    ------
    ModelFolderError
        If the model cannot be read, or changed while it was packed.
    OutputError
        If the file cannot be written.
    StoppedEarly
        If it was stopped; nothing is left behind.
    """
    from napari_hdn.core import checkpoint

    target = zip_target(target, folder)
    checkpoint.load(folder)  # who gets it should be able to use it
    files, others = files_of(folder, training_state=training_state)
    yield from leave_out_damaged(folder, files)
    if others:
        yield Notice(f"Left out, as they do not belong to a model: {_listed(others)}.")
    if (folder / RESUME).exists() and not training_state:
        yield Notice(f"Left out: {RESUME}, which only training on needs.")
    check_writable(target.parent, f"{target.name} cannot be written to {target.parent}")
    check_room(target.parent, sum(p.stat().st_size for p in files.values()), target.name)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield from write_zip(folder.name, files, beside, stop)
            yield Exported(publish(beside, target, numbered=True))
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def leave_out_damaged(folder: Path, files: dict[str, Path]) -> Iterator[Notice]:
    """Take what only tells of the model out of ``files`` where it cannot be read; the model can."""
    for inside, read in ((RECIPE, read_model_recipe), (LEVELS, read_look)):
        if inside in files:
            try:
                read(folder)
            except RecipeError as error:
                del files[inside]
                yield Notice(f"Left out: {inside}. {error}", "warning")
    for inside in [name for name in files if name.endswith(f"/{RECIPE}")]:  # of direct networks
        try:
            read_recipe(files[inside])
        except RecipeError as error:
            del files[inside]
            yield Notice(f"Left out: {inside}. {error}", "warning")


def zip_target(target: Path, folder: Path) -> Path:
    """The file that is meant.

    Raises
    ------
    ConfigurationError
        If it does not end in ``.zip``.
    """
    if target.is_dir():
        return target / f"{folder.name}.zip"
    if target.suffix.lower() != ".zip":
        raise ConfigurationError(f"A model is exported to a .zip file; {target.name} is none.")
    return target


def write_zip(
    name: str | None, files: dict[str, Path], target: Path, stop: Stop | None
) -> Iterator[SharingProgress]:
    """Write files into a .zip, the same bytes for the same files.

    Parameters
    ----------
    name : str or None
        Of a model folder that they lie in, with a list of their checksums; the files of a model do not
        tell where things lie on this computer. None for files alone.
    files : dict of str to Path
        By their names in the .zip, ``/`` between folders.
    target : Path
        A file that does not exist.

    Raises
    ------
    ModelFolderError
        If a file changed meanwhile.
    StoppedEarly
        If it was stopped.
    """
    top = "" if name is None else f"{usable_name(name)}/"
    before = {path: _written(path) for path in files.values()}
    total, done = sum(size for size, _ in before.values()), 0
    about = {}
    with zipfile.ZipFile(target, "x") as packed:
        for inside, path in files.items():
            digest, size = hashlib.sha256(), 0
            entry = _entry(f"{top}{inside}")
            with (
                _opened(path, private=name is not None) as source,
                packed.open(entry, "w", force_zip64=True) as out,
            ):
                while chunk := source.read(CHUNK):
                    if stop is not None and stop.requested:
                        raise StoppedEarly("Stopped; nothing was exported.")
                    out.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    done += len(chunk)  # about: where places are left out a file is shorter
                    yield SharingProgress(min(1.0, done / max(total, 1)), f"packing {inside}")
            about[inside] = {"bytes": size, "sha256": digest.hexdigest()}
        if name is not None:
            listed = {"format": "napari-hdn model archive", "schema_version": 1, "files": about}
            packed.writestr(_entry(f"{top}{CHECKSUMS}"), json.dumps(listed, indent=1))
    if changed := [path.name for path, was in before.items() if _written(path) != was]:
        raise ModelFolderError(
            f"{changed[0]} of {name or target.name} was written while it was packed, perhaps by a "
            "training that still runs. Export the model again when that is over."
        )
    _flush(target)


def _opened(path: Path, *, private: bool) -> BinaryIO:
    """A file as it is sent."""
    if private and path.suffix == ".json":
        return io.BytesIO(without_places(path.read_bytes()))
    return path.open("rb")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.create_system = 3  # on every system the same
    entry.external_attr = 0o100644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if name.endswith(_TEXT) else zipfile.ZIP_STORED
    return entry


def _written(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
