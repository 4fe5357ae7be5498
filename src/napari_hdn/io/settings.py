"""The file of settings, which napari's Preferences write and the command reads."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_path

from napari_hdn.core.errors import OutputError
from napari_hdn.core.settings import Settings, as_read, put_in_force

FILE_VARIABLE = "NAPARI_HDN_SETTINGS"


def settings_path() -> Path:
    """The file: ``$NAPARI_HDN_SETTINGS``, else ``settings.json`` in the user's folder of settings."""
    chosen = os.environ.get(FILE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return user_config_path("napari-hdn", appauthor=False) / "settings.json"


def load_settings() -> tuple[Settings, str]:
    """The settings in the file, and a remark where it, or some of it, cannot be used.

    A file that is not there holds the defaults. Nothing in it stops the program.
    """
    path = settings_path()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it does not hold names with values")
    except FileNotFoundError:
        return Settings(), ""
    except (OSError, ValueError, RecursionError) as error:
        return Settings(), (
            f"The settings in {path} cannot be read ({error}); the usual ones are taken instead."
        )
    settings, complaints = as_read(values)
    if complaints:
        return settings, (
            f"Some settings in {path} cannot be used and are left out: {'; '.join(complaints)}."
        )
    return settings, ""


def save_settings(settings: Settings) -> Path:
    """Write the settings to their file, all at once.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    path = settings_path()
    text = settings.model_dump_json(indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise OutputError(
            f"The settings could not be saved in {path}: {error.strerror or error}."
        ) from error
    return path


def take_over_settings() -> str:
    """Put the settings of the file in force; returns a remark where some cannot be used."""
    settings, remark = load_settings()
    put_in_force(settings)
    return remark
