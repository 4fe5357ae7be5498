"""A model from a .zip that somebody sent; nothing of it is run, and nothing is left of one that is bad.

It is unpacked into a temporary folder beside the models, read there as any model is, and gets its place
among them when that went well.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_hdn.core.errors import ArchiveError, HDNError, OutputError, StoppedEarly
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.json_files import read_object
from napari_hdn.core.recipes.looks import read_look
from napari_hdn.io.disk import check_room
from napari_hdn.io.models.library import models_folder, reserve_model_folder, usable_name
from napari_hdn.io.recipes.files import read_model_recipe, read_recipe
from napari_hdn.io.sharing.archive import Archive, opened
from napari_hdn.io.sharing.contents import (
    CHECKSUMS,
    CONFIG,
    DIRECT,
    LEVELS,
    MOST_BYTES,
    NOTES,
    PACKED_MODEL,
    RECIPE,
    REQUIRED,
    RESUME,
    is_clutter,
    most_bytes,
)
from napari_hdn.io.sharing.events import Imported, SharingEvent, SharingProgress

_ASIDE = ".import-"
_FORGOTTEN_S = 2 * 86400  # no import takes as long
_ZOO = ("bioimageio.yaml", "rdf.yaml")  # what describes a package of the BioImage Model Zoo


@dataclass(frozen=True)
class _Plan:
    """Which files of an archive are unpacked, by their names in the model folder."""

    name: str  # of the folder that they lie in
    files: dict[str, str]
    others: list[str]


def import_model(
    path: Path, name: str | None = None, *, stop: Stop | None = None
) -> Iterator[SharingEvent]:
    """Take a model from a .zip in among the saved models.

    The .zip is what `export_zip` wrote, a model folder that somebody packed, or a package for the
    BioImage Model Zoo that napari-hdn made, of which the packed model folder is taken; what such a
    package holds for other programs is never run.

    Parameters
    ----------
    path : Path
    name : str, optional
        Of the model; by default that of its folder. Numbered where another model has it.

    Yields
    ------
    SharingProgress, Notice
    Imported
        Last.

    Raises
    ------
    ArchiveError
        If no model can be taken from the file; nothing is left of it.
    OutputError
        If there is no room, or the folder of models cannot be written.
    StoppedEarly
        If it was stopped; nothing is left of it.
    """
    library = models_folder()
    try:
        library.mkdir(parents=True, exist_ok=True)
        _clear(library)
        aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=library))
    except OSError as error:
        raise OutputError(
            f"Nothing can be imported to {library}: {error.strerror or error}."
        ) from error
    try:
        yield from _import(path, name, aside, stop)
    except OSError as error:
        raise OutputError(
            f"{path.name} could not be imported to {library}: {error.strerror or error}. Nothing of it "
            "was kept."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _clear(library: Path) -> None:
    """Remove what an import left that was ended by force, days ago."""
    for left in library.glob(f"{_ASIDE}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(left, ignore_errors=True)


def _import(path: Path, name: str | None, aside: Path, stop: Stop | None) -> Iterator[SharingEvent]:
    with opened(path) as archive:
        packed = _packed_model(archive)
        if packed is None:
            yield from _take(archive, path.stem, name, aside, stop)
            return
        inner = aside / PACKED_MODEL
        check_room(aside, archive.size([packed]), path.name)
        yield from _unpack(archive, {PACKED_MODEL: packed}, aside, stop, {})
    with opened(inner) as archive:
        yield from _take(archive, path.stem, name, aside, stop)


def _take(
    archive: Archive, stem: str, name: str | None, aside: Path, stop: Stop | None
) -> Iterator[SharingEvent]:
    plan = _plan(archive, stem)
    check_room(aside, archive.size([*plan.files.values()]), archive.name)
    folder = aside / "model" / usable_name(name or plan.name)
    folder.mkdir(parents=True)
    sums: dict[str, str] = {}
    yield from _unpack(archive, plan.files, folder, stop, sums)
    yield SharingProgress(1.0, "checking the model")
    _check_sums(folder, sums, archive.name)
    _check_model(folder, archive.name)
    if plan.others:
        yield Notice(f"Left out, as they do not belong to a model: {_listed(plan.others)}.")
    if not sums.get(CHECKSUMS):
        yield Notice(
            f"{archive.name} was not packed by napari-hdn: whether its files are as they were packed "
            "cannot be told."
        )
    yield Imported(_move_in(folder))


def _packed_model(archive: Archive) -> str | None:
    """The packed model folder in a package for the BioImage Model Zoo."""
    tops = {n.rpartition("/")[2]: n for n in archive.names if n.count("/") <= 1}
    if PACKED_MODEL in tops:
        return tops[PACKED_MODEL]
    if any(n in _ZOO or n.endswith(".bioimageio.yaml") for n in tops):
        raise ArchiveError(
            f"{archive.name} is a package for the BioImage Model Zoo that napari-hdn did not make: it "
            "holds no HDN. Open it in a program that runs such models, as the zoo's page of the model "
            "lists them."
        )
    return None


def _plan(archive: Archive, stem: str) -> _Plan:
    configs = [n for n in archive.names if n.rpartition("/")[2] == CONFIG and not is_clutter(n)]
    tops = sorted({n.removesuffix(CONFIG) for n in configs if n.count("/") <= 1})
    if not tops:
        raise ArchiveError(f"{archive.name} holds no model: there is no {CONFIG} in it.")
    if len(tops) > 1:
        names = ", ".join(repr(t.rstrip("/")) for t in tops[:5])
        raise ArchiveError(
            f"{archive.name} holds {len(tops)} models ({names}); pack them one by one."
        )
    top = tops[0]
    files, others = {}, []
    for full in archive.names:
        inside = full.removeprefix(top) if full.startswith(top) else None
        if inside is None or most_bytes(inside) is None or not _is_portable(inside):
            if not is_clutter(full):
                others.append(full)
        else:
            files[inside] = full
    if missing := [n for n in REQUIRED if n not in files]:
        raise ArchiveError(f"{archive.name} holds no complete model: {missing[0]} is missing.")
    return _Plan(top.rstrip("/") or stem, files, others)


def _is_portable(name: str) -> bool:
    """Whether every system can have a file of that name."""
    return all(usable_name(part) == part for part in name.split("/"))


def _unpack(
    archive: Archive, files: dict[str, str], folder: Path, stop: Stop | None, sums: dict[str, str]
) -> Iterator[SharingProgress]:
    """Unpack files by their names in ``folder``; ``sums`` gets their checksums."""
    total, done = archive.size([*files.values()]), 0
    for inside, full in files.items():
        target = folder.joinpath(*inside.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        for step in archive.copy(full, target, MOST_BYTES[target.name]):
            if stop is not None and stop.requested:
                raise StoppedEarly("Stopped; nothing was imported.")
            if isinstance(step, str):
                sums[inside] = step
            else:
                done += step
                yield SharingProgress(min(1.0, done / max(total, 1)), f"unpacking {inside}")


def _check_sums(folder: Path, sums: dict[str, str], name: str) -> None:
    """Hold the files against the list of checksums, where there is one; it does not stay."""
    if CHECKSUMS not in sums:
        return
    try:
        listed = read_object(folder / CHECKSUMS)["files"]
        wanted = {str(inside): str(about["sha256"]) for inside, about in listed.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(
            f"{CHECKSUMS} in {name} is damaged. Copy or download it again."
        ) from error
    there = {inside: digest for inside, digest in sums.items() if inside != CHECKSUMS}
    for inside in sorted({*wanted, *there}):
        if wanted.get(inside) != there.get(inside):
            raise ArchiveError(
                f"{inside[:60]!r} in {name} is not what was packed: it is missing, was added or has "
                "changed on the way. Copy or download it again."
            )
    (folder / CHECKSUMS).unlink()


def _check_model(folder: Path, name: str) -> None:
    """Read all that will be read of the model one day."""
    from napari_hdn.core import checkpoint
    from napari_hdn.core.direct import folder as direct

    try:
        checkpoint.load(folder)
        if (folder / RESUME).exists():
            checkpoint.load_resume(folder)
        for about in sorted((folder / DIRECT).glob("*")):
            direct.load(about)
            if (about / RECIPE).exists():
                read_recipe(about)
        if (folder / RECIPE).exists():
            read_model_recipe(folder)
        if (folder / LEVELS).exists():
            read_look(folder)
        if (folder / NOTES).exists():
            (folder / NOTES).read_text(encoding="utf-8")
    except HDNError as error:
        raise ArchiveError(f"{name} was not imported: {error}") from error
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{name} was not imported: {NOTES} is no text.") from error


def _move_in(folder: Path) -> Path:
    """Give a model its place among the others, under the next free name; config.json last.

    A model is listed once its config.json is there, so then it is whole.
    """
    target = reserve_model_folder(folder.name)
    try:
        for path in sorted(folder.iterdir(), key=lambda p: (p.name == CONFIG, p.name)):
            path.rename(target / path.name)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)  # ours alone, and made just now
        raise
    return target


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(n) for n in names[:most]) + more
