"""The folder where models are kept, and their names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

from napari_hdn.core.errors import ConfigurationError, ModelFolderError, OutputError

FOLDER_VARIABLE = "NAPARI_HDN_MODELS"
NOISE_MODELS = "noise models"  # the folder beside the models
# what Windows refuses in a name, so that a model can be carried there
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def models_folder() -> Path:
    """Where models are saved: ``$NAPARI_HDN_MODELS``, else the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return user_data_path("napari-hdn", appauthor=False) / "models"


def list_models() -> list[Path]:
    """All model folders in `models_folder`, the one written last first."""
    try:
        configs = list(models_folder().glob("*/config.json"))
    except OSError as error:
        raise ModelFolderError(
            f"The models in {models_folder()} cannot be listed: {error}."
        ) from error
    # a noise model may be called "config", too
    folders = (c.parent for c in configs if c.parent.name != NOISE_MODELS)
    return sorted(folders, key=_written, reverse=True)


def free_model_folder(name: str) -> Path:
    """A folder in `models_folder` that does not exist yet, called ``name`` or ``name-2``, ...

    Raises
    ------
    ConfigurationError
        If nothing of the name can be used as a folder's name.
    """
    folder = models_folder() / usable_name(name)
    number = 2
    free = folder
    while free.exists():
        free = folder.with_name(f"{folder.name}-{number}")
        number += 1
    return free


def reserve_model_folder(name: str) -> Path:
    """Make an empty folder for a new model, called ``name`` or ``name-2``, ...

    Unlike `free_model_folder` it is taken from now on: two trainings that begin at the same time,
    even in two programs, get two folders.

    Raises
    ------
    ConfigurationError
        If nothing of the name can be used as a folder's name.
    OutputError
        If the folder cannot be made.
    """
    try:
        models_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder of models {models_folder()} could not be made: {error.strerror or error}."
        ) from error
    while True:
        folder = free_model_folder(name)
        try:
            folder.mkdir()
        except FileExistsError:  # somebody was faster
            continue
        except OSError as error:
            raise OutputError(
                f"A folder for the model {folder.name!r} could not be made in {folder.parent}: "
                f"{error.strerror or error}."
            ) from error
        return folder


def rename_model(folder: Path, new_name: str) -> Path:
    """Give a model folder another name and return where it is now.

    Raises
    ------
    ModelFolderError
        If the folder does not exist.
    OutputError
        If another model has that name, or the folder cannot be moved.
    ConfigurationError
        If nothing of the name can be used as a folder's name.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"There is no model folder {folder}; it may have been moved.")
    target = folder.with_name(usable_name(new_name))
    if target == folder:
        return folder
    # on a file system that ignores case, "Cells" is the folder "cells" itself
    if target.exists() and not target.samefile(folder):
        raise OutputError(f"A model named {target.name!r} exists already; choose another name.")
    try:
        return folder.rename(target)
    except OSError as error:
        raise OutputError(f"{folder.name!r} could not be renamed: {error}.") from error


def usable_name(name: str) -> str:
    """A user's name as a file or folder can have it on any system.

    Raises
    ------
    ConfigurationError
        If nothing is left of it.
    """
    usable = _FORBIDDEN.sub("_", name).strip(" ._")
    if not usable:
        raise ConfigurationError(f"{name!r} cannot be the name of a model; use letters or digits.")
    return usable[:120]


def _written(folder: Path) -> float:
    weights = folder / "weights.safetensors"
    return (weights if weights.exists() else folder / "config.json").stat().st_mtime
