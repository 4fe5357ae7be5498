import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_hdn.core.errors import AxesError, ImageError, ImageFileError
from napari_hdn.io.batch.images import (
    common_folder,
    find_images,
    fingerprint,
    is_one,
    relative,
    root_of,
)


def write(path, shape=(20, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros(shape, np.uint16), photometric="minisblack", **options)
    return path


def found(paths, **options):
    folder, looking = find_images(paths, **options)
    *_, images = looking
    return folder, images


def test_subfolders_are_part_of_the_name(tmp_path):
    for place in ("a/img.tif", "b/img.tif", "b/deep/img.tif"):
        write(tmp_path / place)
    expected = ["a/img.tif", "b/deep/img.tif", "b/img.tif"]
    folder, images = found([str(tmp_path / "**" / "*.tif")])
    assert folder == tmp_path and [i.name for i in images] == expected
    assert [i.below.as_posix() for i in images] == ["a", "b/deep", "b"]
    files = [tmp_path / place for place in expected]  # as a shell expands it
    assert [i.name for i in found(files)[1]] == expected
    assert [i.name for i in found([tmp_path / "a", tmp_path / "b"])[1]] == [
        "a/img.tif",
        "b/img.tif",
    ]
    assert [i.name for i in found([tmp_path / "a"])[1]] == ["img.tif"]


def test_images_of_one_file_have_names_of_their_own(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pair.tif") as file:
        file.write(np.zeros((20, 30), np.uint16), photometric="minisblack")
        file.write(np.zeros((64, 30), np.uint16), photometric="minisblack")
    _, images = found([tmp_path])
    assert [i.name for i in images] == ["pair.tif [0]", "pair.tif [1]"]
    assert [i.work for i in images] == [600, 1920]


def test_what_cannot_be_opened_is_listed(tmp_path):
    write(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(write(tmp_path / "b.tif", (200, 300)).read_bytes()[:5000])
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    write(tmp_path / "d.tif", (2, 2, 2, 2, 2, 20, 30))
    (tmp_path / "e.tif").write_bytes(b"")
    (tmp_path / "f.tif").write_text("no TIFF")
    _, images = found([tmp_path])
    assert [type(i.error) for i in images] == [
        type(None), ImageFileError, ImageError, AxesError, ImageFileError, ImageFileError,
    ]  # fmt: skip
    assert "it has" in str(images[1].error) and "RGB" in str(images[2].error)
    assert [i.work for i in images] == [600, 0, 0, 0, 0, 0]


def test_results_that_a_pattern_matches_are_left_out(tmp_path):
    write(tmp_path / "day" / "a.tif")
    write(tmp_path / "out" / "day" / "a_hdn-mean.ome.tif")
    told = []
    pattern = str(tmp_path / "**" / "*.tif")
    _, images = found([pattern], out=tmp_path / "out", tell=told.append)
    assert [i.name for i in images] == ["day/a.tif"]
    assert "Left out 1 of the images" in told[0].text
    named = tmp_path / "out" / "day" / "a_hdn-mean.ome.tif"
    assert len(found([named], out=tmp_path / "out")[1]) == 1


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ImageFileError, match="There is no file or folder"):
        find_images([tmp_path / "a.tif"])


def test_roots(tmp_path):
    (tmp_path / "x.ome.zarr").mkdir()
    (tmp_path / "x.ome.zarr" / "zarr.json").write_text("{}")
    assert root_of(tmp_path) == root_of(tmp_path / "x.ome.zarr") == tmp_path
    np.savez(tmp_path / "x.npz", cells=np.zeros((2, 3)))
    assert root_of(tmp_path / "x.npz") == root_of(tmp_path / "x.npz" / "cells") == tmp_path
    assert root_of("raw/day?/*.tif") == Path("raw") and root_of("*.tif") == Path()
    assert common_folder([tmp_path / "a" / "b", tmp_path / "c"]) == tmp_path
    assert relative(tmp_path / "a" / "b.tif", tmp_path) == Path("a/b.tif")
    assert relative(Path("/d/b.tif"), tmp_path) == Path("root/d/b.tif")


def test_a_changed_file_is_known(tmp_path):
    path = write(tmp_path / "a.tif")
    _, (image,) = found([tmp_path])
    assert image.unchanged
    os.utime(path, ns=(0, 1_000_000_001))
    assert not image.unchanged
    assert fingerprint(path) == (path.stat().st_size, "1970-01-01T00:00:01.000000001Z")
    path.unlink()
    assert fingerprint(path) == (None, "") and not image.unchanged


def test_an_ome_zarr_is_known_by_its_metadata(tmp_path):
    store = tmp_path / "x.ome.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    before = fingerprint(store)
    assert before[0] == 2
    (store / "c").mkdir()
    assert fingerprint(store) == before
    (store / "zarr.json").write_text('{"a": 1}')
    assert fingerprint(store)[0] == 8


def _array(folder, shape=(6, 8)):
    zarr.create_array(folder, shape=shape, chunks=shape, dtype="uint16")[...] = 7


def _plate(folder):
    """Two wells, the first with two fields, in OME-Zarr 0.5."""
    wells = {"B/3": 2, "C/12": 1}
    listed = [{"path": path, "rowIndex": 0, "columnIndex": 0} for path in wells]
    zarr.open_group(folder, mode="w").attrs["ome"] = {
        "version": "0.5",
        "plate": {"wells": listed, "columns": [], "rows": []},
    }
    for well, count in wells.items():
        zarr.open_group(folder / well, mode="w").attrs["ome"] = {
            "version": "0.5",
            "well": {"images": [{"path": str(i)} for i in range(count)]},
        }
        for i in range(count):
            axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
            scale = [{"type": "scale", "scale": [1.0, 1.0]}]
            level = {"path": "0", "coordinateTransformations": scale}
            zarr.open_group(folder / well / str(i), mode="w").attrs["ome"] = {
                "version": "0.5",
                "multiscales": [{"axes": axes, "datasets": [level]}],
            }
            _array(folder / well / str(i) / "0")


def test_fields_of_a_plate_are_images(tmp_path):
    plate = tmp_path / "raw" / "plate 7.ome.zarr"
    _plate(plate)
    folder, images = found([tmp_path / "raw"])
    assert folder == tmp_path / "raw"
    assert [i.name for i in images] == [
        f"plate 7.ome.zarr [{f}]" for f in ("B03 f1", "B03 f2", "C12 f1")
    ]
    assert {(i.plate, i.below.as_posix()) for i in images} == {("plate 7", ".")}
    assert [(i.well, i.field) for i in images] == [("B03", "1"), ("B03", "2"), ("C12", "1")]
    for named in (plate, plate / "C", str(plate / "*" / "12")):
        assert found([named])[0] == tmp_path / "raw"
    assert [i.name for i in found([plate / "C"])[1]] == ["plate 7.ome.zarr [C12 f1]"]

    zarr.open_array(plate / "B/3/1/0").attrs["note"] = "recorded again"
    assert [i.unchanged for i in images] == [True, False, True]
    shutil.rmtree(plate / "C" / "12" / "0")
    _, (*_, gone) = found([plate])
    assert gone.stack is None and (gone.plate, gone.well, gone.field) == ("plate 7", "C12", "0")


def test_what_is_named_by_itself(tmp_path):
    store = tmp_path / "x.ome.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    (tmp_path / "a.tif").touch()
    assert all(is_one(p) for p in (store, store / "0", tmp_path / "a.tif"))
    assert not any(is_one(p) for p in (tmp_path, tmp_path / "*.tif"))
