import os
import threading
from pathlib import Path

import pytest

from napari_hdn.core.errors import ConfigurationError, ModelFolderError, OutputError
from napari_hdn.io.library import (
    free_model_folder,
    list_models,
    models_folder,
    rename_model,
    reserve_model_folder,
)


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


def test_reserved_folders_are_made_empty_and_numbered(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path / "not" / "yet"))
    folders = [reserve_model_folder("cells") for _ in range(3)]
    assert [f.name for f in folders] == ["cells", "cells-2", "cells-3"]
    assert all(f.is_dir() and not any(f.iterdir()) for f in folders)
    assert list_models() == []


def test_two_that_reserve_at_once_get_two_folders():
    start, taken = threading.Barrier(8), []

    def reserve():
        start.wait()
        taken.extend(reserve_model_folder("cells") for _ in range(5))

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 40


def test_a_folder_that_another_program_makes_first_is_left_to_it(monkeypatch):
    real = Path.mkdir

    def beaten(self: Path, *args, **kwargs):
        if self.name == "cells":
            real(self)
        real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", beaten)
    assert reserve_model_folder("cells").name == "cells-2"


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="could not be made"):
        reserve_model_folder("cells")
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path))

    def refuse(self: Path, *_, **__):
        if self.name == "cells":
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"'cells' could not be made .* Permission denied"):
        reserve_model_folder("cells")


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
