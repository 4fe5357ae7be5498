"""A model folder belongs to one training at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from napari_hdn.core import checkpoint
from napari_hdn.core.errors import OutputError
from napari_hdn.core.lock import NoLocksError, lock

NAME = ".training"


def is_taken(folder: Path) -> bool:
    """Whether a folder holds more than what a training that was killed at once left there."""
    return any(path.name != NAME for path in folder.iterdir())


@contextlib.contextmanager
def claimed(folder: Path | None) -> Iterator[None]:
    """Keep a folder to one training, so that no other one saves its model over this one's.

    The system lets go of it when the program dies. Where nobody can lock files, or write at all, it is
    not kept: what is saved later tells.

    Raises
    ------
    OutputError
        If another training holds it.
    """
    if folder is None:
        yield
        return
    made = not folder.exists()
    held = None
    with contextlib.suppress(NoLocksError, OSError):
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder / NAME)
        if held is None:
            raise OutputError(
                f"Another program, or another window, is training a model in {folder} right now. "
                "Choose another name for this one, or wait until the other is done."
            )
    if held is not None:
        checkpoint.remove_leftovers(folder)
    try:
        yield
    finally:
        if held is not None:
            if os.name != "nt":  # while it is still locked: then it may be another's
                with contextlib.suppress(OSError):
                    (folder / NAME).unlink()
            held.close()
            if os.name == "nt":  # which does not remove what is open
                with contextlib.suppress(OSError):
                    (folder / NAME).unlink()
        if made:
            with contextlib.suppress(OSError):  # not empty: the model is in it
                folder.rmdir()
