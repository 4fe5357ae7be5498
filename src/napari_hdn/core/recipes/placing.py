"""Paths in recipes: relative where image, model and recipe lie near each other and may move together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.schema import DirectRecord, ModelRecord

Told = TypeVar("Told", bound=BaseModel)


def placed(recipe: Told, folder: Path) -> Told:
    """The recipe with paths as seen from ``folder``, where they lie in it or beside it."""
    changes: dict[str, Any] = {}
    for name, value in recipe:
        if name == "path" and isinstance(recipe, ImageRecord | ModelRecord | DirectRecord):
            changes[name] = _near(value, folder)
        elif isinstance(value, BaseModel):
            changes[name] = placed(value, folder)
        elif isinstance(value, tuple) and any(isinstance(v, BaseModel) for v in value):
            changes[name] = tuple(placed(v, folder) for v in value)
    return recipe.model_copy(update=changes)


def _near(path: str | None, folder: Path) -> str | None:
    """A path relative to a folder, if it lies in it or in the one above; else as it is."""
    if path is None:
        return None
    try:
        relative = os.path.relpath(path, folder.absolute())
    except ValueError:  # another drive
        return path
    if relative.split(os.sep)[:2] == [os.pardir, os.pardir]:
        return path
    return Path(relative).as_posix()
