"""Noise models as files: where they are kept, and how they are written and read."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.core.errors import NoiseModelError, OutputError
from napari_hdn.io.disk import writing
from napari_hdn.io.models.library import NOISE_MODELS, model_places, models_folder, usable_name
from napari_hdn.io.naming import free_path, publish

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration
    from napari_hdn.core.noise.base import NoiseModel


def noise_models_folder() -> Path:
    """Where noise models are saved: beside the trained models."""
    return models_folder() / NOISE_MODELS


def free_noise_model_path(name: str) -> Path:
    """A file in `noise_models_folder` that does not exist yet, ``name.json`` or ``name-2.json``, ...

    Raises
    ------
    ConfigurationError
        If nothing of the name can be used as a file's name.
    """
    return free_path(noise_models_folder() / f"{usable_name(name)}.json")


def list_noise_models() -> list[Path]:
    """All noise models beside the trained models, the one written last first.

    Raises
    ------
    NoiseModelError
        If the folder cannot be read.
    """
    try:
        files = [p for p in noise_models_folder().glob("*.json") if p.is_file()]
        for place in model_places()[1:]:  # where earlier ones were kept
            with contextlib.suppress(OSError):
                files += [p for p in (place / NOISE_MODELS).glob("*.json") if p.is_file()]
        return sorted(files, key=lambda p: p.stat().st_mtime, reverse=True)
    except OSError as error:
        raise NoiseModelError(
            f"The noise models in {noise_models_folder()} cannot be listed: {error.strerror}."
        ) from error


def save_calibration(calibration: Calibration, path: Path) -> Path:
    """Write the noise model with its calibration as JSON, or as ``.npz`` for other tools.

    Parameters
    ----------
    calibration : Calibration
    path : Path
        Ends in ``.json``; or in ``.npz`` for a GMM in the format of the earlier tools, which keeps
        the mixture only.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError
        If the file exists already or cannot be written.
    NoiseModelError
        If the noise model is no GMM and the path ends in ``.npz``.
    """
    from napari_hdn.core.noise.base import noise_model_to_json

    model = calibration.noise_model
    if path.suffix.lower() == ".npz":
        return _write(path, _npz(model))
    model.calibration = calibration.record()
    text = json.dumps(noise_model_to_json(model), indent=1, allow_nan=False)
    return _write(path, text.encode())


def _npz(model: NoiseModel) -> bytes:
    from napari_hdn.core.noise.gmm import GaussianMixture
    from napari_hdn.core.noise.npz import npz_bytes

    if not isinstance(model, GaussianMixture):
        raise NoiseModelError(
            f"An .npz for other tools holds a GMM, and this is {model.describe()}; save it as .json, or "
            "calibrate with the model GMM."
        )
    return npz_bytes(model)


def _write(path: Path, content: bytes) -> Path:
    """Write a file that appears when it is whole, and never replaces another."""
    if path.exists():
        raise OutputError(f"{path} exists already and was left alone; choose another name.")
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
            return publish(beside, path, numbered=False)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def load_calibration(path: Path) -> Calibration | NoiseModel:
    """Read a noise model; with its calibration where the file has one.

    Raises
    ------
    NoiseModelError
        If the file cannot be read or is no noise model.
    """
    from napari_hdn.core.calibration.record import Calibration
    from napari_hdn.core.noise.base import load_noise_model

    model = load_noise_model(path)
    return Calibration.of(model) or model
