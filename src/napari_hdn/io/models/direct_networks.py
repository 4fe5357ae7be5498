"""Where direct networks lie: in the folder of the model that taught them, under ``direct``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_hdn.core.errors import OutputError

PLACE, ABOUT = "direct", "direct.json"


def direct_name(statistic: str, levels_off: Sequence[int]) -> str:
    """What a direct network is called: ``mean``, or ``mean-without-1,2`` with levels off."""
    return statistic + (f"-without-{','.join(map(str, levels_off))}" if levels_off else "")


def reserve_direct_folder(model_folder: Path, statistic: str, levels_off: Sequence[int]) -> Path:
    """Make an empty folder for a direct network; numbered where another has the name.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    name = direct_name(statistic, levels_off)
    number = 1
    while True:
        folder = model_folder / PLACE / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise OutputError(
                f"A direct network cannot be saved to {folder}: {error.strerror or error}. Say with "
                "--out where it shall lie, or make the model's folder writable."
            ) from error
        else:
            return folder


def list_direct_folders(model_folder: Path) -> list[Path]:
    """Folders of all direct networks of a model, the one written last first."""
    found = (about for about in (model_folder / PLACE).glob(f"*/{ABOUT}") if about.is_file())
    return [about.parent for about in sorted(found, key=_written, reverse=True)]


def _written(about: Path) -> tuple[int, str]:
    return about.stat().st_mtime_ns, about.parent.name
