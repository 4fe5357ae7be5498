"""The folder where models are kept, and their names.

Models lie in a folder that can be seen, ``napari-hdn/models`` in the user's home. Where earlier versions
kept them, in the hidden folder for data of programs, they are still found.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

from platformdirs import user_data_path

from napari_hdn.core.errors import ConfigurationError, ModelFolderError, OutputError
from napari_hdn.core.settings import in_force

FOLDER_VARIABLE = "NAPARI_HDN_MODELS"
NOISE_MODELS = "noise models"  # the folder beside the models
# what Windows refuses in a name, so that a model can be carried there
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def models_folder() -> Path:
    """Where models are saved: ``$NAPARI_HDN_MODELS``, else as set by the user, else the default.

    Models that lie where they were kept before are still listed.
    """
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen).expanduser()
    return in_force().models_folder or default_models_folder()


def default_models_folder() -> Path:
    """Where models are saved unless somebody says otherwise: in the home, where it can be seen.

    Not among the documents, which are often copied to a cloud: a model in training writes some ten
    megabytes a minute.
    """
    return Path.home() / "napari-hdn" / "models"


def model_places() -> list[Path]:
    """All folders in which models may lie: `models_folder`, and where earlier ones were kept."""
    first = models_folder()
    if os.environ.get(FOLDER_VARIABLE):
        return [first]
    hidden = user_data_path("napari-hdn", appauthor=False) / "models"
    return list(dict.fromkeys((first, default_models_folder(), hidden)))


def list_models() -> list[Path]:
    """All model folders in `model_places`, the one written last first.

    Raises
    ------
    ModelFolderError
        If the folder in which models are saved cannot be listed.
    """
    try:
        configs = list(models_folder().glob("*/config.json"))
    except OSError as error:
        raise ModelFolderError(
            f"The models in {models_folder()} cannot be listed: {error}."
        ) from error
    for place in model_places()[1:]:
        with contextlib.suppress(OSError):  # of another user, or on a disk that is gone
            configs += place.glob("*/config.json")
    # a noise model may be called "config", too
    folders = (c.parent for c in configs if c.parent.name != NOISE_MODELS)
    return sorted(folders, key=_written, reverse=True)


def find_model(name: Path | str) -> Path | None:
    """The folder of a saved model by its name; None if there is none."""
    named = (place / name for place in model_places())
    return next((folder for folder in named if (folder / "config.json").is_file()), None)


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


def bin_model(folder: Path) -> None:
    """Move a model folder to the computer's bin, from where it can be taken back.

    Raises
    ------
    ModelFolderError
        If the folder does not exist.
    OutputError
        If it could not be moved there; it is then where it was.
    """
    from send2trash import send2trash  # type: ignore[import-untyped]

    if not folder.is_dir():
        raise ModelFolderError(f"There is no model folder {folder}; it may have been moved.")
    if not _has_bin(folder):
        raise _no_bin(folder, "a network or removable drive")
    try:
        send2trash(str(folder))
    except OSError as error:
        raise _no_bin(folder, error.strerror or str(error) or type(error).__name__) from error


def _no_bin(folder: Path, reason: str) -> OutputError:
    return OutputError(
        f"{folder.name} was not deleted: it could not be moved to a bin, from where it could be taken "
        f"back ({reason}). To delete it for good, open its folder and delete it there."
    )


def _has_bin(folder: Path) -> bool:
    """Whether what is sent to the bin gets there; on other drives Windows deletes it for good."""
    if sys.platform != "win32":
        return True
    import ctypes

    fixed = 3  # DRIVE_FIXED
    return bool(ctypes.windll.kernel32.GetDriveTypeW(folder.resolve().anchor) == fixed)


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
    if _DEVICES.fullmatch(usable):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a model: Windows keeps it for a device. Choose another."
        )
    return usable[:120]


def _written(folder: Path) -> float:
    for name in ("weights.safetensors", "config.json"):
        with contextlib.suppress(OSError):  # not there, or deleted just now
            return (folder / name).stat().st_mtime
    return 0.0
