import shutil
from pathlib import Path

import pytest

from napari_hdn.io.models.library import models_folder
from sharing import save_tiny


@pytest.fixture(scope="session")
def _made(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("made") / "my cells")


@pytest.fixture
def folder(_made: Path) -> Path:
    """A model folder in the library: model, direct network, notes, what training on needs."""
    return shutil.copytree(_made, models_folder() / "my cells")
