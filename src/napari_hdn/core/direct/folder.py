"""Folders of direct networks: direct.json + direct.safetensors, no pickles; never written over."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from napari_hdn.core import checkpoint
from napari_hdn.core.config import SCHEMA_VERSION
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.direct.network import DirectNetwork
from napari_hdn.core.direct.student import Direct, DirectSummary
from napari_hdn.core.errors import ModelFolderError, OutputError
from napari_hdn.core.weights import WeightsError, load_weights

ABOUT, WEIGHTS = "direct.json", "direct.safetensors"
WHAT = "direct network"


def check_free(folder: Path) -> None:
    """Whether a direct network may be saved there.

    Raises
    ------
    OutputError
        If something is there already.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; choose another name for the direct network.")
    try:
        taken = folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise OutputError(
            f"A direct network cannot be saved to {folder}: {error.strerror}."
        ) from error
    if taken:
        raise OutputError(
            f"The folder {folder} exists and is not empty; choose another name for the direct network."
        )


def save(student: Direct, folder: Path) -> Path:
    """Write a direct network that `load` reads on any machine; returns the folder.

    Raises
    ------
    OutputError
        If something is there already, or a file cannot be written.
    """
    check_free(folder)
    state = {k: v.detach().cpu().contiguous() for k, v in student.network.state_dict().items()}
    about = {
        "format": "napari-hdn direct network",
        "schema_version": SCHEMA_VERSION,
        "version": student.summary.version,
        "distillation": student.config.model_dump(mode="json"),
        "summary": student.summary.model_dump(mode="json"),
    }
    checkpoint.write_files(
        folder,
        {
            WEIGHTS: lambda path: save_file(state, path),
            ABOUT: checkpoint.json_writer(about),
        },
    )
    student.folder = folder
    return folder


def load(folder: Path) -> Direct:
    """Read a direct network; it comes on the CPU, in evaluation mode.

    Raises
    ------
    ModelFolderError
        If a file is missing, damaged, or of a newer version; the message says which.
    """
    for name in (ABOUT, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelFolderError(
                f"{folder} is not a complete direct network: {name} is missing. Choose a folder that "
                f"holds {ABOUT} and {WEIGHTS}, or teach a new one."
            )
    data = checkpoint.read_json(folder / ABOUT, WHAT)
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ModelFolderError(
            f"The direct network {folder.name} was written by a newer napari-hdn "
            f"({data.get('version')}, format {version}; this one reads up to {SCHEMA_VERSION}). Update "
            "napari-hdn to use it."
        )
    try:
        config = DirectConfig.model_validate(data["distillation"])
        summary = DirectSummary.model_validate(data["summary"])
    except (KeyError, TypeError, ValueError) as error:
        raise checkpoint.damaged(folder / ABOUT, error, WHAT) from error
    try:
        network = load_weights(lambda: DirectNetwork(config.network), folder / WEIGHTS)
    except (WeightsError, OSError) as error:
        raise checkpoint.damaged(folder / WEIGHTS, error, WHAT) from error
    return Direct(config, network.eval(), summary, folder)
