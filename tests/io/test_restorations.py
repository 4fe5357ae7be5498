from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hdn.io.restorations import is_restoration, restoration_writers

BOTH = {"mean": np.uint16, "std": np.float32}


def test_products_of_one_restoration_have_the_same_number(tmp_path: Path):
    first = restoration_writers(tmp_path, "a", {"mean": np.uint16}, (20, 30), "YX")
    with first["mean"] as writer:
        writer.write((), np.zeros((20, 30), np.uint16))
    second = restoration_writers(tmp_path, "a", BOTH, (20, 30), "YX", tag="", model="m")
    assert [w.path.name for w in second.values()] == [
        "a_hdn-mean-2.ome.tif",
        "a_hdn-std-2.ome.tif",
    ]
    with second["mean"] as mean, second["std"] as std:
        for writer in (mean, std):
            writer.write((), np.ones((20, 30), np.float32))
    assert tifffile.imread(second["mean"].path).dtype == np.uint16
    with tifffile.TiffFile(second["std"].path) as file:
        assert "with model m" in file.ome_metadata
        assert file.asarray().dtype == np.float32


@pytest.mark.parametrize(
    ("levels_off", "says"),
    [((), "with model m"), ((1,), "with model m, level 1 off"), ((1, 2), "m, levels 1, 2 off")],
)
def test_files_say_which_levels_are_off(tmp_path: Path, levels_off, says: str):
    writers = restoration_writers(
        tmp_path, "a", BOTH, (20, 30), "YX", model="m", levels_off=levels_off
    )
    for writer in writers.values():
        with writer:
            writer.write((), np.ones((20, 30), np.float32))
        with tifffile.TiffFile(writer.path) as file:
            assert f"{says}</Description>" in file.ome_metadata


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("a_hdn-mean.ome.tif", True),
        ("a_hdn-std-3.ome.tif", True),
        ("a_hdn-mean-2-partial-4.ome.tif", True),
        ("a_hdn-without-1-2-mean.ome.tif", True),
        ("a.tif", False),
        ("mean.ome.tif", False),
        ("hdn-mean-cells.ome.tif", False),
    ],
)
def test_known_by_name(tmp_path: Path, name: str, ours: bool):
    (tmp_path / name).touch()
    assert is_restoration(tmp_path / name) == ours


@pytest.mark.parametrize("planes", [1, 2])
def test_known_by_the_mark_under_another_name(tmp_path: Path, planes: int):
    writers = restoration_writers(tmp_path, "a", BOTH, (2, 20, 30), "TYX")
    with writers["std"] as writer:
        for index in range(planes):
            writer.write((index,), np.ones((20, 30), np.float32))
    assert is_restoration(writer.written.rename(tmp_path / "renamed.tif"))


def test_known_by_the_mark_behind_many_pixels(tmp_path: Path):
    writers = restoration_writers(tmp_path, "a", BOTH, (2, 200, 300), "TYX")
    with writers["mean"] as writer:
        for index in range(2):
            writer.write((index,), np.ones((200, 300), np.uint16))
    assert is_restoration(writer.written.rename(tmp_path / "renamed.tif"))
    tifffile.imwrite(tmp_path / "other.tif", np.ones((2, 200, 300), np.uint16))
    assert not is_restoration(tmp_path / "other.tif")
