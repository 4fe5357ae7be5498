"""Errors as one line for the user: what happened, and where possible what to do."""

from __future__ import annotations

import errno

from pydantic import ValidationError

from napari_hdn.api import HDNError
from napari_hdn.core.errors import is_memory_short


def in_words(error: BaseException) -> str | None:
    """What to tell the user, or None for what is a mistake in the program.

    Parameters
    ----------
    error : BaseException
        Our own errors, those of the system, and those of a full memory have words.
    """
    text = _words(error)
    notes = getattr(error, "__notes__", ())  # where the planes are that were finished
    return None if text is None else " ".join([text, *notes])


def _words(error: BaseException) -> str | None:
    if isinstance(error, HDNError):
        return str(error)
    if isinstance(error, ValidationError):
        return explain(error)
    if is_memory_short(error):
        return (
            f"The memory does not suffice ({_first_line(error)}). Close other programs or layers, "
            "choose fewer samples, a smaller patch or batch, or another device."
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"{where}the disk is full; make room or choose another folder."
        if isinstance(error, PermissionError):
            return f"{where}permission denied; choose another place, or ask who owns it."
        return f"{where}{error.strerror or _first_line(error)}."
    return None


def explain(error: ValidationError) -> str:
    """Word pydantic's complaints as one line for the user."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        lines.append(text if problem["type"] == "value_error" or not where else f"{where}: {text}")
    return " ".join(lines)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
