"""Folders get their names when they are whole, and never the name of another."""

from pathlib import Path

import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.naming import free_path, publish_folder, split_suffix


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / ".made"
    folder.mkdir()
    (folder / "zarr.json").write_text("{}")
    return folder


def test_names_of_ome_zarr_are_numbered_before_their_ending(tmp_path: Path):
    assert split_suffix("cells 0.5.OME.zarr") == ("cells 0.5", ".OME.zarr")
    (tmp_path / "a.ome.zarr").mkdir()
    assert free_path(tmp_path / "a.ome.zarr").name == "a-2.ome.zarr"


@pytest.mark.parametrize("there", ["file", "empty folder", "full folder"])
def test_nothing_is_replaced(tmp_path: Path, made: Path, there: str):
    target = tmp_path / "a.ome.zarr"
    if there == "file":
        target.write_bytes(b"precious")
    else:
        target.mkdir()
    if there == "full folder":
        (target / "precious").write_bytes(b"precious")
    with pytest.raises(OutputError, match="made by another program meanwhile"):
        publish_folder(made, target, numbered=False)
    assert publish_folder(made, target).name == "a-2.ome.zarr"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.ome.zarr", "a.ome.zarr"]
    assert (tmp_path / "a-2.ome.zarr" / "zarr.json").exists()
    assert target.is_file() or len(list(target.iterdir())) == (there == "full folder")


def test_a_rename_that_fails_leaves_no_empty_folder(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        publish_folder(tmp_path / "missing", tmp_path / "a.ome.zarr")
    assert list(tmp_path.iterdir()) == []
