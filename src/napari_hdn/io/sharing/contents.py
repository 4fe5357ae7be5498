"""What a model folder holds, by name, and how large it may be; nothing else is packed or unpacked."""

from __future__ import annotations

import re
from pathlib import Path

CONFIG, WEIGHTS, NOISE = "config.json", "weights.safetensors", "noise_model.json"
REQUIRED = (CONFIG, WEIGHTS, NOISE)
RESUME, RECIPE, LEVELS = "resume.ckpt", "recipe.json", "levels.json"
NOTES = "notes.txt"
DIRECT, DIRECT_ABOUT, DIRECT_WEIGHTS = "direct", "direct.json", "direct.safetensors"
CHECKSUMS = "checksums.json"  # in archives only
PACKED_MODEL = "napari-hdn-model.zip"  # in packages for the BioImage Model Zoo

MB = 2**20
MOST_BYTES = {
    CONFIG: 32 * MB,
    NOISE: 32 * MB,
    RECIPE: 32 * MB,
    LEVELS: MB,
    CHECKSUMS: MB,
    NOTES: MB,
    WEIGHTS: 2048 * MB,  # twice the largest network that there can be
    RESUME: 12288 * MB,  # weights, their averages and their moments
    DIRECT_ABOUT: 32 * MB,
    DIRECT_WEIGHTS: 1024 * MB,
    PACKED_MODEL: 16384 * MB,
}
MOST_BYTES_IN_ALL = 16384 * MB
_CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._)")


def most_bytes(name: str) -> int | None:
    """How large a file of a model folder may be; None for what does not belong there.

    Parameters
    ----------
    name : str
        From the model folder, such as ``config.json`` or ``direct/mean/direct.json``.
    """
    parts = name.split("/")
    if len(parts) == 1 and name not in (DIRECT_ABOUT, DIRECT_WEIGHTS, PACKED_MODEL):
        return MOST_BYTES.get(name)
    if len(parts) == 3 and parts[0] == DIRECT and parts[2] in (DIRECT_ABOUT, DIRECT_WEIGHTS):
        return MOST_BYTES[parts[2]]
    return None


def is_clutter(name: str) -> bool:
    """Whether a file is none that anybody put there: what systems add to folders and archives."""
    return _CLUTTER.search(name) is not None


def files_of(folder: Path, *, training_state: bool) -> tuple[dict[str, Path], list[str]]:
    """The files of a model folder that are shared, by name and in order, and names of the others.

    Links are followed for the files of the model itself only.
    """
    shared: dict[str, Path] = {}
    others = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == CHECKSUMS or most_bytes(name) is None:
            if not is_clutter(name) and not name.endswith(".part"):
                others.append(name)
        elif name != RESUME or training_state:
            shared[name] = path
    return shared, others
