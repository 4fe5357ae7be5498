"""Notes that a user keeps with a model, as plain text in its folder."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from napari_hdn.core.errors import ModelFolderError, OutputError
from napari_hdn.io.sharing.contents import MOST_BYTES, NOTES


def read_notes(folder: Path) -> str:
    """The notes of a model; empty where there are none.

    Raises
    ------
    ModelFolderError
        If they cannot be read, or are no text.
    """
    try:
        with (folder / NOTES).open("rb") as file:
            content = file.read(MOST_BYTES[NOTES] + 1)
        if len(content) > MOST_BYTES[NOTES]:
            raise ValueError("it is larger than 1 MB")
        return content.decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{NOTES} of {folder.name} cannot be read: {error}.") from error


def write_notes(folder: Path, text: str, before: str) -> None:
    """Keep notes with a model; the old ones stay until the new ones are whole.

    Parameters
    ----------
    folder : Path
        Of the model.
    text : str
    before : str
        What was there when the user began: where somebody else wrote meanwhile, nothing is lost.

    Raises
    ------
    ModelFolderError
        If the model is gone, or its notes changed meanwhile.
    OutputError
        If they cannot be written.
    """
    if not folder.is_dir():
        raise ModelFolderError(
            f"The notes of {folder.name} were not saved: there is no folder {folder}; the model may "
            "have been renamed or deleted."
        )
    if read_notes(folder) not in (before, text):
        raise ModelFolderError(
            f"The notes of {folder.name} were not saved: {NOTES} was changed in another window or "
            "program meanwhile. Copy what you wrote, choose the model again, and add it."
        )
    if len(text.encode()) > MOST_BYTES[NOTES]:
        raise OutputError(f"The notes of {folder.name} are longer than 1 MB and were not saved.")
    beside = folder / f".{NOTES}.{uuid.uuid4().hex[:8]}.part"
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, folder / NOTES)
    except OSError as error:
        raise OutputError(
            f"The notes of {folder.name} were not saved: {error.strerror or error}. What was there "
            "before is unchanged."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
