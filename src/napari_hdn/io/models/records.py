"""What a list of models shows of each, read without torch and without its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hdn.core.errors import ModelFolderError
from napari_hdn.core.json_files import read_object
from napari_hdn.io.models.direct_networks import list_direct_folders
from napari_hdn.io.models.variants import read_about
from napari_hdn.io.sharing.contents import CONFIG, NOISE, NOTES, REQUIRED

_KINDS = {
    "gaussian": "Gaussian",
    "learned_gaussian": "none (learned Gaussian)",
    "poisson_gaussian": "Poisson-Gaussian",
    "gmm": "Gaussian mixture (GMM)",
    "histogram": "histogram",
}


@dataclass(frozen=True)
class ModelRecord:
    """A line in a list of models.

    Attributes
    ----------
    name, folder
        Where it is.
    error : str or None
        Why it cannot be read; the rest then says nothing.
    created : str
        ISO date and time.
    steps : int or None
        Those of a warm start's parents included.
    stopped : bool
    levels : int or None
    levels_off : tuple of int
        Trained without; 1 = finest.
    noise : str
        Its noise model in a few words.
    data : tuple of str
        Names, axes and shapes of the images that it learned from.
    direct : int
        How many direct networks it has taught.
    bytes : int
        On the disk, all its files.
    written : float
        When a file of it but the notes was written last; seconds since 1970.
    """

    name: str
    folder: Path
    error: str | None = None
    created: str = ""
    steps: int | None = None
    stopped: bool = False
    levels: int | None = None
    levels_off: tuple[int, ...] = ()
    noise: str = ""
    data: tuple[str, ...] = ()
    direct: int = 0
    bytes: int = 0
    written: float = 0.0


def read_record(folder: Path) -> ModelRecord:
    """Read a line of a list; one that cannot be read says why."""
    size, written = _on_disk(folder)
    known: dict[str, Any] = {
        "name": folder.name,
        "folder": folder,
        "bytes": size,
        "written": written,
    }
    try:
        config, summary = read_about(folder)
        if missing := [n for n in REQUIRED if not (folder / n).is_file()]:
            raise ModelFolderError(
                f"{folder.name} is not a complete model: {missing[0]} is missing. Perhaps it is being "
                "trained just now, or was copied in part."
            )
        noise = noise_in_words(read_object(folder / NOISE))
    except ModelFolderError as error:
        return ModelRecord(**known, error=str(error))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return ModelRecord(
            **known, error=f"{NOISE} of {folder.name} cannot be read: {error!s:.100}."
        )
    return ModelRecord(
        **known,
        created=summary.created,
        steps=summary.steps_in_all,
        stopped=summary.stopped,
        levels=config.network.levels,
        levels_off=tuple(sorted(set(config.network.deactivated_levels))),
        noise=noise,
        data=summary.data,
        direct=len(list_direct_folders(folder)),
    )


def noise_in_words(data: dict[str, Any]) -> str:
    """What kind of noise model a ``noise_model.json`` holds."""
    if data.get("kind") == "refined":
        inner: dict[str, Any] = data["inner"]
        while inner.get("kind") == "refined":
            inner = inner["inner"]
        return f"{noise_in_words(inner)}, refined"
    kind = str(data.get("kind", "unknown"))
    words = _KINDS.get(kind, kind[:40])
    if kind == "gaussian":
        return f"{words}, sigma {float(data['sigma']):.3g}"
    curves = len(data["gain"]) if kind == "poisson_gaussian" else 1
    return f"{words}, a curve per image ({curves})" if curves > 1 else words


def stamp(folder: Path) -> tuple[Any, ...]:
    """What changes when a record does; cheap."""
    found: list[tuple[int, int] | None] = []
    for path in (folder / CONFIG, folder / NOISE, folder):
        try:
            about = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((about.st_mtime_ns, about.st_size))
    return (folder, *found)


def _on_disk(folder: Path) -> tuple[int, float]:
    size, written = 0, 0.0
    try:
        for path in folder.rglob("*"):
            about = path.lstat()
            if path.is_file():
                size += about.st_size
                if path.name != NOTES:  # written by people, not by a training
                    written = max(written, about.st_mtime)
    except OSError:  # deleted or written just now
        pass
    return size, written
