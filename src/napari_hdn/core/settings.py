"""What a user set once for all jobs: device, threads, tiles, memory, where models are kept.

Kept by `napari_hdn.io.settings`; the docks and the command take it over when they begin. Scripts that
do not are run with the defaults, wherever they run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from napari_hdn.core.config import DeviceName, Frozen

THREADS_VARIABLE = "OMP_NUM_THREADS"


class Settings(Frozen):
    """All settings; None leaves the choice to the program.

    Attributes
    ----------
    device : str
        What ``auto`` takes, where this computer has it.
    threads : int or None
        Of the processor, that a job computes with; ``$OMP_NUM_THREADS`` wins.
    tile_px : int or None
        Side of the tiles that images are restored in.
    memory_limit_gb : float or None
        Memory of this computer that the whole program may take, napari and its layers included.
    models_folder : Path or None
        Where models are kept; ``$NAPARI_HDN_MODELS`` wins.
    """

    schema_version: int = 1
    device: DeviceName = "auto"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    tile_px: Annotated[int, Field(ge=64)] | None = None
    memory_limit_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    models_folder: Path | None = None

    @field_validator("models_folder")
    @classmethod
    def _whole(cls, folder: Path | None) -> Path | None:
        # what a half-typed or relative path means would depend on where the program was started
        if folder is None:
            return None
        try:
            folder = folder.expanduser()
        except RuntimeError as error:  # ~nobody
            raise ValueError(f"there is no user's folder for {folder}") from error
        if not folder.is_absolute():
            raise ValueError(f"{folder} does not begin at the root of a disk, such as /data/models")
        return folder


_in_force = Settings()
_usual_threads: int | None = None  # torch's own number, before anybody changed it


def in_force() -> Settings:
    """The settings of this process."""
    return _in_force


def put_in_force(settings: Settings) -> None:
    """Make settings those of this process, for all that begins from now on."""
    global _in_force
    _in_force = settings


def cores_here() -> int:
    """How many cores this process may use."""
    with suppress(AttributeError):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def chosen_threads() -> Iterator[None]:
    """Compute with as many threads as the settings say, in the thread that enters.

    Other plugins in the same program get torch's own number back afterwards.
    """
    global _usual_threads
    number = _in_force.threads
    if number is None or os.environ.get(THREADS_VARIABLE):
        yield
        return
    import torch

    if _usual_threads is None:
        _usual_threads = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(_usual_threads)


def allowed_bytes(available: float, used: float) -> int:
    """Memory that may still be taken of what is available, where so much is used already."""
    limit = _in_force.memory_limit_gb
    if limit is None:
        return int(available)
    return int(max(0.0, min(available, limit * 1e9 - used)))


def as_read(values: dict[str, Any]) -> tuple[Settings, list[str]]:
    """Settings of what a file or a form holds; what cannot be used is left out.

    Returns
    -------
    Settings
    list of str
        What was left out and why, for people.
    """
    from pydantic import ValidationError

    good: dict[str, Any] = {}
    complaints = []
    for name, value in values.items():
        if name == "schema_version":
            continue
        try:
            good |= Settings(**{name: value}).model_dump(exclude_unset=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            complaints.append(f"{name} = {value!r}: {reason}")
    return Settings(**good), complaints
