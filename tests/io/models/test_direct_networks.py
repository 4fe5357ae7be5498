import os

import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.models.direct_networks import (
    direct_name,
    list_direct_folders,
    reserve_direct_folder,
)


def test_names():
    assert direct_name("mean", ()) == "mean"
    assert direct_name("median", (1, 2)) == "median-without-1,2"


def test_folders_are_numbered_and_stay(tmp_path):
    first = reserve_direct_folder(tmp_path, "mean", (1,))
    (first / "mine").touch()
    second = reserve_direct_folder(tmp_path, "mean", (1,))
    third = reserve_direct_folder(tmp_path, "mean", (1,))
    assert first == tmp_path / "direct" / "mean-without-1"
    assert [second.name, third.name] == ["mean-without-1-2", "mean-without-1-3"]
    assert (first / "mine").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "direct").touch()
    with pytest.raises(OutputError, match=r"cannot be saved to .*mean.*--out"):
        reserve_direct_folder(tmp_path, "mean", ())


def test_the_newest_comes_first_and_what_is_none_is_left_out(tmp_path):
    assert list_direct_folders(tmp_path) == []
    for k, name in enumerate(["b", "a", "c"]):
        (tmp_path / "direct" / name).mkdir(parents=True)
        (tmp_path / "direct" / name / "direct.json").touch()
        os.utime(tmp_path / "direct" / name / "direct.json", (k, k))
    (tmp_path / "direct" / "empty").mkdir()
    assert [f.name for f in list_direct_folders(tmp_path)] == ["c", "a", "b"]
