import os
from pathlib import Path

import pytest

from napari_hdn.core.errors import ConfigurationError, ModelFolderError, OutputError
from napari_hdn.io.library import free_model_folder, list_models, models_folder, rename_model


def _model(name: str, written: float) -> Path:
    folder = models_folder() / name
    folder.mkdir(parents=True)
    for file in ("config.json", "weights.safetensors"):
        (folder / file).write_text("{}")
        os.utime(folder / file, (written, written))
    return folder


def test_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path / "mine"))
    assert models_folder() == tmp_path / "mine"
    monkeypatch.delenv("NAPARI_HDN_MODELS")
    assert models_folder().parts[-2:] == ("napari-hdn", "models")


def test_no_models_before_the_first():
    assert list_models() == []


def test_newest_first_and_nothing_else():
    old, new = _model("old", 1000), _model("new", 2000)
    (models_folder() / "notes").mkdir()
    assert list_models() == [new, old]


def test_free_folder_is_numbered():
    assert free_model_folder("cells").name == "cells"
    _model("cells", 1)
    _model("cells-2", 1)
    assert free_model_folder("cells").name == "cells-3"


@pytest.mark.parametrize(("name", "folder"), [("a/b:c", "a_b_c"), ("  x. ", "x"), ("µm 1", "µm 1")])
def test_names_become_portable(name: str, folder: str):
    assert free_model_folder(name).name == folder


@pytest.mark.parametrize("name", ["", "..", "  "])
def test_impossible_names(name: str):
    with pytest.raises(ConfigurationError, match="cannot be the name"):
        free_model_folder(name)


def test_rename():
    folder = _model("a", 1)
    assert rename_model(folder, "a") == folder
    renamed = rename_model(folder, "b")
    assert renamed == models_folder() / "b"
    assert (renamed / "config.json").exists()
    assert not folder.exists()
    _model("a", 1)
    with pytest.raises(OutputError, match="'a' exists"):
        rename_model(renamed, "a")
    with pytest.raises(ModelFolderError, match="no model folder"):
        rename_model(models_folder() / "gone", "x")
