"""Renaming and deleting models that may be in use: in this window, in another, or by a job."""

from __future__ import annotations

from pathlib import Path

from napari_hdn import api
from napari_hdn.ui import jobs
from napari_hdn.ui.jobs import BusyError
from napari_hdn.ui.session import Session, sessions


def holders(folder: Path) -> list[Session]:
    """Sessions that have a model in hand."""
    return [s for s in sessions() if s.model_folder is not None and _same(s.model_folder, folder)]


def check_unused(folder: Path) -> None:
    """Say who uses a model, if somebody does.

    Raises
    ------
    BusyError
        If a job writes to it, or runs where it is in hand.
    """
    jobs.check_folder(folder)
    for session in holders(folder):
        if session.job is not None:
            raise BusyError(
                f"The model {folder.name} is in hand where {session.job.title} is still running. Stop "
                "that, or wait until it is done."
            )


def rename(folder: Path, name: str) -> Path:
    """Give a model another name; whoever has it in hand goes on with it.

    Raises
    ------
    HDNError
        If it is in use, the name is taken, or the folder cannot be moved.
    """
    check_unused(folder)
    having = holders(folder)
    renamed = api.rename_model(folder, name)
    for session in having:
        session.choose_model(renamed)
    _tell()
    return renamed


def move_to_bin(folder: Path) -> None:
    """Move a model to the bin; whoever had it in hand has none then.

    Raises
    ------
    HDNError
        If it is in use, or there is no bin.
    """
    check_unused(folder)
    having = holders(folder)
    api.bin_model(folder)
    for session in having:
        session.choose_model(None)
    _tell()


def _tell() -> None:
    for session in sessions():
        session.models_changed.emit()


def _same(one: Path, other: Path) -> bool:
    return one == other or one.resolve() == other.resolve()
