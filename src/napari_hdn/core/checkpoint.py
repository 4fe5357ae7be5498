"""Model folders: config.json + weights.safetensors + noise_model.json + recipe.json (+ resume.ckpt).

Model folders come from strangers, too. Nothing in one is a pickle that could run code; ``resume.ckpt``
is read with ``weights_only=True``. What a file claims is held against its size before memory is asked
for. Every file is written beside its place and moved there, so that a crash or
a full disk leaves the previous one whole.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from napari_hdn.core.config import SCHEMA_VERSION, TrainingConfig
from napari_hdn.core.errors import ModelFolderError, NoiseModelError, OutputError
from napari_hdn.core.hdn import HDN
from napari_hdn.core.json_files import read_object
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import noise_model_from_json, noise_model_to_json
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.recipes.looks import recall
from napari_hdn.core.recipes.making import recipe_of_model, to_text
from napari_hdn.core.training.summary import TrainingSummary
from napari_hdn.core.weights import WeightsError, load_weights

CONFIG, WEIGHTS, NOISE, RESUME, RECIPE = (
    "config.json",
    "weights.safetensors",
    "noise_model.json",
    "resume.ckpt",
    "recipe.json",
)


def write_files(folder: Path, files: dict[str, Callable[[Path], object]]) -> None:
    """Write all files beside their places first, and move them there when all are whole."""
    marker = uuid.uuid4().hex[:12]
    beside = {name: folder / f".{name}.{marker}.part" for name in files}
    is_new = not folder.exists()
    name = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in files.items():
            write(beside[name])
        for name in files:
            os.replace(beside[name], folder / name)
    except (OSError, SafetensorError, RuntimeError) as error:
        for path in beside.values():
            path.unlink(missing_ok=True)
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"{name} could not be written to {folder}: {reason}. What was there before is "
            "unchanged; make room or choose another folder."
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed had not moved to its place; nobody else may write there."""
    for name in (CONFIG, WEIGHTS, NOISE, RESUME, RECIPE):
        for path in folder.glob(f".{name}.*.part"):
            with contextlib.suppress(OSError):
                path.unlink()


def json_writer(data: dict[str, Any]) -> Callable[[Path], object]:
    """What writes these values as JSON to a path."""
    return text_writer(json.dumps(data, indent=1, allow_nan=False))


def text_writer(text: str) -> Callable[[Path], object]:
    """What writes a text to a path."""
    return lambda path: path.write_text(text, encoding="utf-8")


def save(model: HDN, folder: Path) -> Path:
    """Write a model folder that `load` reads on any machine; returns the folder.

    Raises
    ------
    OutputError
        If a file cannot be written; the previous version then stays.
    """
    state = {k: v.detach().cpu().contiguous() for k, v in model.network.state_dict().items()}
    about = {
        "format": "napari-hdn model",
        "schema_version": SCHEMA_VERSION,
        "version": model.summary.version,
        "training": model.config.model_dump(mode="json"),
        "normalisation": asdict(model.normalisation),
        "summary": model.summary.model_dump(mode="json"),
    }
    # the recipe says where the model lies
    recipe = recipe_of_model(replace(model, folder=folder))
    write_files(
        folder,
        {
            WEIGHTS: lambda path: save_file(state, path),
            NOISE: json_writer(noise_model_to_json(model.noise_model)),
            RECIPE: text_writer(to_text(recipe, folder)),
            CONFIG: json_writer(about),
        },
    )
    model.folder = folder
    return folder


def load(folder: Path) -> HDN:
    """Read a model folder; the network comes on the CPU, in evaluation mode.

    Raises
    ------
    ModelFolderError
        If a file is missing, damaged, or of a newer version; the message says which.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"There is no model folder {folder}.")
    for name in (CONFIG, WEIGHTS, NOISE):
        if not (folder / name).is_file():
            raise ModelFolderError(
                f"{folder.name} is not a complete model: {name} is missing. Choose a folder that "
                f"holds {CONFIG}, {WEIGHTS} and {NOISE}."
            )
    data = read_json(folder / CONFIG)
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ModelFolderError(
            f"Model {folder.name} was written by a newer napari-hdn ({data.get('version')}, format "
            f"{version}; this one reads up to {SCHEMA_VERSION}). Update napari-hdn to use it."
        )
    try:
        config = TrainingConfig.model_validate(data["training"])
        normalisation = _normalisation(**data["normalisation"])
        summary = TrainingSummary.model_validate(data["summary"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / CONFIG, error) from error
    try:
        noise_model = noise_model_from_json(read_json(folder / NOISE))
    except NoiseModelError as error:
        raise ModelFolderError(f"{NOISE} in {folder.name}: {error}") from error
    if normalisation.stabilised and noise_model.curve() is None:
        why = ValueError("the network works in units of the noise, which this model does not tell")
        raise damaged(folder / NOISE, why)
    try:
        network = load_weights(lambda: Ladder(config.network), folder / WEIGHTS)
    except (WeightsError, OSError) as error:
        raise damaged(folder / WEIGHTS, error) from error
    look = recall(folder)
    return HDN(config, network.eval(), noise_model.eval(), normalisation, summary, folder, look)


def save_resume(folder: Path, state: dict[str, Any]) -> None:
    """Write what training needs to go on: tensors, numbers and lists only."""
    write_files(folder, {RESUME: lambda path: torch.save(state, path)})


def load_resume(folder: Path) -> dict[str, Any]:
    """Read what `save_resume` wrote.

    Raises
    ------
    ModelFolderError
        If the file is missing or damaged.
    """
    path = folder / RESUME
    if not path.is_file():
        raise ModelFolderError(
            f"Training of {folder.name} cannot be continued: {RESUME} is missing from its folder. The "
            "model can still restore images."
        )
    try:
        _check_plain(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for damaged archives
        raise damaged(path, error) from error
    return state


def _check_plain(path: Path) -> None:
    """Whether a file is as `save_resume` writes it.

    Older formats, in which ``weights_only`` once let code run (CVE-2025-32434, torch before 2.6), and
    compressed ones, which could unpack to any size, are none of ours. torch goes by how a file begins,
    `zipfile` by how it ends.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ValueError("it is not in the format of napari-hdn")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
        raise ValueError("it is compressed, as napari-hdn never does")
    if sum(e.file_size for e in entries) > path.stat().st_size:
        raise ValueError("it claims to hold more than it does")


def read_json(path: Path, what: str = "model") -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    ModelFolderError
        If the file is damaged.
    """
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        raise damaged(path, error, what) from error


def _normalisation(mean: float, std: float, stabilised: bool) -> Normalisation:
    mean, std = float(mean), float(std)
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise ValueError(f"a normalisation by mean {mean} and std {std} is none")
    return Normalisation(mean, std, bool(stabilised))


def damaged(path: Path, error: Exception, what: str = "model") -> ModelFolderError:
    """The error that says which file of a folder is damaged."""
    if isinstance(error, OSError) and error.errno is not None:
        todo = "See that its disk or network drive is connected."
        if isinstance(error, PermissionError):
            todo = "Ask its owner for the permission, or copy the folder to where you may read it."
        return ModelFolderError(
            f"{path.name} of {what} {path.parent.name} cannot be read: {error.strerror}. {todo}"
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # torch's first line only says that what follows is an error
    first = lines[1].strip() if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    return ModelFolderError(
        f"{path.name} of {what} {path.parent.name} is damaged ({first[:160]}). Copy the {what} folder "
        "again from where it came."
    )
