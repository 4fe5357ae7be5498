import inspect
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_hdn.core.errors import ConfigurationError, ModelFolderError, OutputError
from napari_hdn.core.settings import Settings, put_in_force
from napari_hdn.io.models.library import (
    bin_model,
    default_models_folder,
    find_model,
    free_model_folder,
    list_models,
    model_places,
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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A home of one's own, and no folder chosen by the environment."""
    monkeypatch.delenv("NAPARI_HDN_MODELS")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / ".local" / "share"))
    yield tmp_path / "home"
    put_in_force(Settings())


def test_models_are_saved_where_they_can_be_seen(home: Path):
    assert models_folder() == default_models_folder() == home / "napari-hdn" / "models"


def test_the_environment_wins_over_the_preference_and_that_over_the_default(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_in_force(Settings(models_folder=tmp_path / "preferred"))
    assert models_folder() == tmp_path / "preferred"
    put_in_force(Settings(models_folder="~/here"))
    assert models_folder() == home / "here"
    monkeypatch.setenv("NAPARI_HDN_MODELS", str(tmp_path / "mine"))
    assert models_folder() == tmp_path / "mine" and model_places() == [tmp_path / "mine"]
    monkeypatch.delenv("NAPARI_HDN_MODELS")
    put_in_force(Settings())
    assert models_folder() == default_models_folder()


@pytest.mark.skipif(sys.platform != "linux", reason="the hidden folder is elsewhere")
def test_models_of_earlier_versions_and_of_other_folders_are_still_found(
    home: Path, tmp_path: Path
):
    visible = _model("visible", 2000)
    put_in_force(Settings(models_folder=home / ".local" / "share" / "napari-hdn" / "models"))
    hidden = _model("hidden", 1000)
    put_in_force(Settings(models_folder=tmp_path / "chosen"))
    chosen = _model("chosen", 3000)
    assert list_models() == [chosen, visible, hidden]
    assert find_model("hidden") == hidden and find_model("none") is None
    put_in_force(Settings())
    assert list_models() == [visible, hidden]
    assert free_model_folder("hidden") == home / "napari-hdn" / "models" / "hidden"


def test_a_model_that_vanishes_while_it_is_listed(monkeypatch: pytest.MonkeyPatch):
    here, gone = _model("here", 1000), _model("gone", 2000)
    real = Path.stat

    def stat(self: Path, **kwargs):
        if self.parent == gone and inspect.stack()[1].function == "_written":
            raise FileNotFoundError(2, "No such file")
        return real(self, **kwargs)

    monkeypatch.setattr(Path, "stat", stat)
    assert list_models() == [here, gone]


@pytest.mark.skipif(sys.platform != "linux", reason="the bin is a folder")
def test_a_model_goes_to_the_bin_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import send2trash.plat_other as plat

    folder = _model("a", 1)
    bin_folder = tmp_path / "Trash"
    monkeypatch.setattr(plat, "HOMETRASH_B", os.fsencode(bin_folder))
    monkeypatch.setattr(plat, "get_dev", lambda path: 1)
    bin_model(folder)
    assert not folder.exists()
    assert (bin_folder / "files" / "a" / "weights.safetensors").read_text() == "{}"
    with pytest.raises(ModelFolderError, match="no model folder"):
        bin_model(folder)


def test_where_there_is_no_bin_nothing_is_deleted(monkeypatch: pytest.MonkeyPatch):
    def refuse(path: str):
        raise PermissionError(13, "Permission denied")

    folder = _model("100 % cells", 1)
    monkeypatch.setattr("send2trash.send2trash", refuse)
    with pytest.raises(OutputError, match=r"100 % cells was not deleted: .* \(Permission denied\)"):
        bin_model(folder)
    assert (folder / "config.json").is_file()


def test_windows_has_a_bin_on_its_own_disks_only(monkeypatch: pytest.MonkeyPatch):
    import ctypes

    folder, asked = _model("a", 1), []
    kernel = SimpleNamespace(GetDriveTypeW=lambda root: asked.append(root) or 4)  # DRIVE_REMOTE
    monkeypatch.setattr("send2trash.send2trash", lambda path: pytest.fail("deleted"))
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr("napari_hdn.io.models.library.sys.platform", "win32")
    with pytest.raises(OutputError, match="a network or removable drive"):
        bin_model(folder)
    assert asked == [folder.anchor]


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


@pytest.mark.parametrize("name", ["con", "LPT1", "Aux.backup"])
def test_names_that_windows_keeps(name: str):
    with pytest.raises(ConfigurationError, match="Windows keeps it for a device"):
        free_model_folder(name)
    assert free_model_folder("console").name == "console"
