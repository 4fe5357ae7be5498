"""Everything that a bug report needs, as a text to copy. Nobody gets it but by the user's hand."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from napari_hdn.core.settings import in_force
from napari_hdn.io.log import last_job, last_lines, log_path
from napari_hdn.io.models.library import list_models, models_folder
from napari_hdn.io.settings import load_settings, settings_path

_PACKAGES = (
    *(
        "napari-hdn",
        "torch",
        "lightning-fabric",
        "numpy",
        "napari",
        "npe2",
        "qtpy",
        "PyQt6",
        "PySide6",
    ),
    *("PyQt5", "superqt", "magicgui", "pyqtgraph", "pydantic", "dask", "distributed", "zarr"),
    *("yaozarrs", "tifffile", "imagecodecs", "safetensors", "scikit-image", "scipy"),
    "bioimageio.core",
)
_VARIABLES = (
    "NAPARI_",
    "OMP_",
    "MKL_",
    "CUDA_VISIBLE",
    "PYTORCH_",
    "TORCH_",
    "QT_",
    "SLURM_JOB_ID",
)
_SECRETIVE = ("KEY", "TOKEN", "SECRET", "PASSW")
_LINES = 200


def versions() -> dict[str, str]:
    """Of Python and of what we use, as far as it is installed; loads nothing of it."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def diagnostics(more: Mapping[str, str] | None = None) -> str:
    """Versions, computer, settings, last job and the end of the log, as one text. Loads torch.

    Paths in the user's home begin with ``~``. What cannot be found out is told in its place.

    Parameters
    ----------
    more : mapping, optional
        What else to tell, such as the window system.
    """
    parts: list[tuple[str, Callable[[], str]]] = [
        ("Versions", _versions),
        ("Computer", lambda: _computer(more or {})),
        ("torch", _torch),
        ("Settings", _settings),
        ("Models", _models),
        ("Last job", lambda: _pretty(last_job())),
        (f"Log, last {_LINES} lines of {log_path()}", lambda: "\n".join(last_lines(_LINES))),
    ]
    return without_home("\n\n".join(f"## {title}\n{_told(tell)}" for title, tell in parts) + "\n")


def without_home(text: str) -> str:
    """A text without the path of the user's home, which tells their name."""
    try:
        home = str(Path.home())
    except RuntimeError:  # there is none
        return text
    if len(home) < 3:  # the home of a container's root may be /
        return text
    for written in (home, home.replace("\\", "\\\\"), home.replace("\\", "/")):
        text = text.replace(written, "~")
    return text


def _told(tell: Callable[[], str]) -> str:
    try:
        return tell().strip() or "nothing"
    except Exception as error:  # a broken part is what a report is about
        return f"could not be found out: {error!r}"


def _versions() -> str:
    return "\n".join(f"{name}: {number}" for name, number in versions().items())


def _computer(more: Mapping[str, str]) -> str:
    import psutil

    memory = psutil.virtual_memory()
    facts = {
        "System": platform.platform(),
        "Processor": f"{_processor()}, {psutil.cpu_count(logical=False)} cores, "
        f"{psutil.cpu_count()} threads",
        "Memory": f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free, "
        f"{psutil.Process().memory_info().rss / 1e9:.2f} GB taken by this program",
        "Program": f"{Path(sys.executable).name} {sys.version}",
        **more,
    }
    names = sorted(k for k in os.environ if k.startswith(_VARIABLES))
    facts |= {f"${k}": os.environ[k] for k in names if not any(s in k.upper() for s in _SECRETIVE)}
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items())


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _torch() -> str:
    import torch

    from napari_hdn.core.devices import available

    devices = "; ".join(device.label for device in available())
    return f"Devices: {devices}\nThreads: {torch.get_num_threads()}\n{torch.__config__.show()}"


def _settings() -> str:
    saved, remark = load_settings()
    told = f"File: {settings_path()}\nIn force: {in_force().model_dump_json()}"
    if saved != in_force():
        told += f"\nIn the file: {saved.model_dump_json()}"
    return f"{told}\n{remark}"


def _models() -> str:
    folder = models_folder()
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    return f"Folder: {folder}\nModels: {len(list_models())}\nFree on its disk: {free / 1e9:.1f} GB"


def _pretty(job: str | None) -> str:
    if job is None:
        return "none in the log"
    try:
        return json.dumps(json.loads(job), indent=1)
    except ValueError:  # cut where it was too long
        return job
