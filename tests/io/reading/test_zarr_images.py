import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_hdn.core.errors import AxesError, HDNError, ImageError, ImageFileError
from napari_hdn.core.events import Notice
from napari_hdn.io.images import open_each, open_images
from napari_hdn.io.reading.stack import Unopened
from ngff import multiscale, write_attributes, write_image

COUNTS = np.random.default_rng(0).poisson(50, (3, 2, 40, 24)).astype(np.uint16)
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


@VERSIONS
def test_the_finest_level_with_all_that_is_known(tmp_path: Path, version: str):
    path = write_image(
        tmp_path / "Zellen µ.ome.zarr", COUNTS, scale=[2, 1, 0.5, 0.25], top=[0.1, 1, 2, 2],
        levels=3, version=version, names=("GFP", "Kern 核"),
    )  # fmt: skip
    (stack,) = open_images([path])
    assert (stack.axes, stack.array.shape, stack.array.dtype) == ("TCYX", COUNTS.shape, np.uint16)
    assert (stack.name, stack.stem, stack.series) == ("Zellen µ.ome.zarr", "Zellen µ", None)
    assert stack.pixel_size_um == {"Y": 1.0, "X": 0.5}
    assert stack.metadata.time_step_s == pytest.approx(0.2)
    assert stack.metadata.channel_names == ("GFP", "Kern 核")
    for index in stack.indices():
        np.testing.assert_array_equal(stack.plane(index), COUNTS[index])


@VERSIONS
def test_units_of_other_size_and_nonsense(tmp_path: Path, version: str):
    axes = [
        {"name": "time", "type": "time", "unit": "millisecond"},
        {"name": "z", "type": "space", "unit": "nanometer"},
        {"name": "y", "type": "space", "unit": "furlong"},
        {"name": "x", "type": "space"},
    ]
    write_image(tmp_path / "a.zarr", COUNTS, axes, scale=[40, 300, 2, 2], version=version)
    (stack,) = open_images([tmp_path / "a.zarr"])
    assert stack.axes == "TZYX"
    assert stack.pixel_size_um == pytest.approx({"Z": 0.3})
    assert stack.metadata.time_step_s == pytest.approx(0.04)


@pytest.mark.parametrize("bad", [float("nan"), 0, -1.5, "wide", None])
def test_a_pixel_size_that_is_none_is_left_out(tmp_path: Path, bad):
    path = write_image(tmp_path / "a.zarr", COUNTS, scale=[1, 1, 0.5, 0.5], names=("one",))
    content = json.loads((path / "zarr.json").read_text())
    dataset = content["attributes"]["ome"]["multiscales"][0]["datasets"][0]
    dataset["coordinateTransformations"][0]["scale"][3] = bad
    (path / "zarr.json").write_text(json.dumps(content))
    (stack,) = open_images([path])
    assert stack.pixel_size_um == {"Y": 0.5}
    assert stack.metadata.channel_names == ()  # one name for two channels


def test_an_axis_that_nobody_knows_is_images_beside_each_other(tmp_path: Path):
    angle = {"name": "angle"}
    write_image(tmp_path / "a.zarr", COUNTS, [angle, "c", "y", "x"])
    assert open_images([tmp_path / "a.zarr"])[0].axes == "SCYX"
    write_image(tmp_path / "b.zarr", COUNTS, ["t", "c", {"name": "row"}, {"name": "column"}])
    with pytest.raises(
        AxesError, match=r"b\.zarr has the axes t, c, row, column, of which not all"
    ):
        open_images([tmp_path / "b.zarr"])
    assert open_images([tmp_path / "b.zarr"], axes="TCYX")[0].axes == "TCYX"
    write_image(tmp_path / "c.zarr", COUNTS, "zyx", scale=[1, 1, 1])
    with pytest.raises(AxesError, match=r"names 3 axes \(z, y, x\), but its pixels have 4"):
        open_images([tmp_path / "c.zarr"])


def test_a_channel_by_its_name(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS, names=("GFP", "DAPI"))
    (stack,) = open_images([path], channel="dapi")
    assert (stack.channel, stack.leading_axes) == (1, "T")
    assert open_images([path], channel="1")[0].channel == 1
    with pytest.raises(AxesError, match=r"no channel 'Cy5'; it has GFP, DAPI"):
        open_images([path], channel="Cy5")
    twice = write_image(tmp_path / "b.zarr", COUNTS, names=("GFP", "gfp "))
    with pytest.raises(AxesError, match=r"2 channels named 'Gfp'.*0, 1"):
        open_images([twice], channel="Gfp")


def _plate(folder: Path, version: str, wells=("B/3", "C/12"), count: int = 2) -> Path:
    listed = [{"path": w} for w in wells]
    write_attributes(folder, {"plate": {"wells": listed, "columns": [], "rows": []}}, version)
    for number, well in enumerate(wells):
        images = [{"path": str(f)} for f in range(count)]
        write_attributes(folder / well, {"well": {"images": images}}, version)
        for f in range(count):
            image = COUNTS + 100 * (number * count + f)
            write_image(folder / well / str(f), image, levels=2, version=version)
    return folder


@VERSIONS
def test_every_field_of_a_plate_is_an_image(tmp_path: Path, version: str):
    plate = _plate(tmp_path / "plate.ome.zarr", version)
    stacks = open_images([plate])
    assert [s.stem for s in stacks] == [
        "plate_B03_f1", "plate_B03_f2", "plate_C12_f1", "plate_C12_f2",
    ]  # fmt: skip
    assert stacks[2].name == "plate.ome.zarr [C12 f1]"
    assert all(s.path == plate for s in stacks)
    np.testing.assert_array_equal(stacks[3].plane((2, 1)), COUNTS[2, 1] + 300)
    stems = [s.stem for s in open_images([plate / "C"])]
    assert stems == ["plate_C12_f1", "plate_C12_f2"]
    assert [s.stem for s in open_images([plate / "B" / "3"])] == ["plate_B03_f1", "plate_B03_f2"]
    assert [s.stem for s in open_images([str(plate / "*" / "*" / "1")])] == [
        "plate_B03_f2", "plate_C12_f2",
    ]  # fmt: skip


def test_a_field_that_is_damaged_does_not_hide_the_others(tmp_path: Path):
    plate = _plate(tmp_path / "plate.zarr", "0.5")
    (plate / "B" / "3" / "1" / "zarr.json").write_text('{"zarr_format": 3, "node')
    (plate / "C" / "12" / "zarr.json").unlink()
    images = list(open_each([plate]))
    assert [getattr(s, "stem", None) for s in images] == ["plate_B03_f1", None, None]
    told = [str(s.error) for s in images if isinstance(s, Unopened)]
    assert "zarr.json is truncated or damaged (of 1: " in told[0]
    assert "plate.zarr [C12] has no zarr.json" in told[1]
    with pytest.raises(ImageFileError, match="truncated or damaged"):
        open_images([plate])


@VERSIONS
@pytest.mark.parametrize("listed", [True, False])
def test_a_container_of_several_images(tmp_path: Path, version: str, listed: bool):
    folder = tmp_path / "a.ome.zarr"
    write_attributes(folder, {"bioformats2raw.layout": 3}, version)
    for number in (0, 1):
        write_image(folder / str(number), COUNTS + number, version=version)
    if listed:
        write_attributes(folder / "OME", {"series": ["1", "0"]}, version)
    stacks = open_images([folder])
    assert [(s.name, s.stem, s.series) for s in stacks] == [
        ("a.ome.zarr [0]", "a-0", 0), ("a.ome.zarr [1]", "a-1", 1),
    ]  # fmt: skip
    np.testing.assert_array_equal(stacks[0].plane((0, 0)), COUNTS[0, 0] + listed)
    assert [s.stem for s in open_images([folder / "1"])] == ["a-0" if listed else "a-1"]


def test_a_level_by_its_own_path_has_its_own_pixel_size(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS, scale=[1, 1, 0.5, 0.5], levels=2)
    (stack,) = open_images([path / "1"])
    assert (stack.stem, stack.axes, stack.pixel_size_um) == ("a_1", "TCYX", {"Y": 1.0, "X": 1.0})
    np.testing.assert_array_equal(stack.plane((1, 1)), COUNTS[1, 1, ::2, ::2])


@pytest.mark.parametrize("format_", [2, 3])
def test_a_plain_array(tmp_path: Path, format_: int):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=COUNTS[0], chunks=(1, 16, 16), zarr_format=format_)
    assert open_images([path])[0].axes == "TYX"
    named = tmp_path / "b.zarr"
    zarr.create_array(named, data=COUNTS[0], dimension_names=["z", "y", "x"])
    assert open_images([named])[0].axes == "ZYX"


def test_zarr_of_other_content(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    write_attributes(path / "labels", {"labels": ["nuclei"]})
    write_image(path / "labels" / "nuclei", COUNTS)
    for given in (path / "labels" / "nuclei", path / "labels"):
        with pytest.raises(ImageError if given.name == "nuclei" else HDNError, match="labels"):
            open_images([given])
    write_attributes(tmp_path / "table.zarr", {})
    zarr.create_array(tmp_path / "table.zarr" / "first", data=COUNTS[0])
    with pytest.raises(ImageFileError, match=r"says of no image.*Inside are first"):
        open_images([tmp_path / "table.zarr"])
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ImageFileError, match=r"empty\.zarr has no zarr\.json"):
        open_images([tmp_path / "empty.zarr"])
    write_attributes(tmp_path / "none.zarr", {"plate": {"wells": []}})
    with pytest.raises(ImageFileError, match="no image in it"):
        open_images([tmp_path / "none.zarr"])


@pytest.mark.parametrize("path", ["../secret", "/etc", 7, None])
def test_metadata_that_do_not_say_where_pixels_are(tmp_path: Path, path):
    one = multiscale("tcyx", [1, 1, 1, 1])
    one["datasets"][0]["path"] = path
    write_attributes(tmp_path / "a.zarr", {"multiscales": [one]})
    with pytest.raises(ImageFileError, match="does not say where its pixels are"):
        open_images([tmp_path / "a.zarr"])


def test_a_hundred_levels_are_one_image(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    one = multiscale("tcyx", [1, 1, 1, 1], levels=100)
    write_attributes(path, {"multiscales": [one]})
    (stack,) = open_images([path])
    np.testing.assert_array_equal(stack.plane((0, 1)), COUNTS[0, 1])


def test_chunks_that_are_missing_are_told(tmp_path: Path):
    path = write_image(tmp_path / "a.zarr", COUNTS)
    (path / "0" / "c" / "1" / "0" / "0" / "1").unlink()
    told: list[Notice] = []
    (stack,) = open_images([path], tell=told.append)
    assert "1 of 36 chunks of a.zarr have no file" in told[0].text
    plane = stack.plane((1, 0))
    assert (plane[:16, 16:] == 0).all()
    np.testing.assert_array_equal(plane[16:], COUNTS[1, 0, 16:])
    whole = tmp_path / "b.zarr"
    write_attributes(whole, {"multiscales": [multiscale("yx", [1, 1])]})
    zarr.create_array(whole / "0", shape=(10**5, 10**5), chunks=(100, 100), dtype="uint16")
    told.clear()
    open_images([whole], tell=told.append)
    assert "All 1,000,000 chunks of b.zarr" in told[0].text


def test_restored_images_are_left_out_of_a_folder(tmp_path: Path):
    write_image(tmp_path / "a.ome.zarr", COUNTS)
    write_image(tmp_path / "a_hdn-mean.ome.zarr", COUNTS)
    mark = {"napari-hdn": {"made_by": "Restored by napari-hdn 1.0 with model m"}}
    write_image(tmp_path / "renamed.zarr", COUNTS, others=mark)
    write_image(tmp_path / ".b.ome.zarr.part", COUNTS)
    told: list[Notice] = []
    assert [s.stem for s in open_images([tmp_path], tell=told.append)] == ["a"]
    assert "2 images such as a_hdn-mean.ome.zarr" in told[0].text
    assert [s.stem for s in open_images([str(tmp_path / "re*")])] == ["renamed"]
