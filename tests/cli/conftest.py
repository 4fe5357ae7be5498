"""A tiny config and a trained model."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from commands import TINY
from napari_hdn.cli import main


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.json"
    path.write_text(TINY.model_dump_json())
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, trained by the command."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.json").write_text(TINY.model_dump_json())
    rng = np.random.default_rng(3)
    tifffile.imwrite(folder / "a.tif", rng.poisson(40, (5, 64, 48)).astype(np.uint16))
    images, config = str(folder / "a.tif"), str(folder / "tiny.json")
    command = ["train", images, "--config", config, "--noise", "sigma=6"]
    assert main([*command, "--out", str(folder / "model")]) == 0
    return folder / "model"
