from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hdn.core.errors import AxesError, ImageError, ImageFileError
from napari_hdn.io.images import find_files, open_images, read_pixel_size
from napari_hdn.io.tiff_array import LazyPages

COUNTS = np.arange(2 * 5 * 32 * 40, dtype=np.uint16).reshape(2, 5, 32, 40)


def test_plain_stack_is_memory_mapped(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS[0])
    (stack,) = open_images([tmp_path / "a.tif"])
    assert isinstance(stack.array, np.memmap)
    assert (stack.axes, stack.name) == ("TYX", "a.tif")
    np.testing.assert_array_equal(stack.plane((2,)), COUNTS[0, 2])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, byteorder: str):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS[0], byteorder=byteorder)
    (stack,) = open_images([tmp_path / "a.tif"])
    np.testing.assert_array_equal(stack.plane((1,)), COUNTS[0, 1])


@pytest.mark.parametrize(
    "key",
    [
        (1, 2),
        (slice(None), 1, slice(3, 9), slice(5, 30, 2)),
        (..., 7),
        (slice(1, 1),),
        (slice(None, None, -1), slice(0, 2)),
        (-1, -1, -1, -1),
        1,
    ],
)
def test_compressed_pages_are_indexed_like_numpy(tmp_path: Path, key):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, compression="zlib")
    (stack,) = open_images([tmp_path / "a.tif"])
    assert isinstance(stack.array, LazyPages)
    assert (stack.array.shape, stack.array.dtype) == (COUNTS.shape, COUNTS.dtype)
    np.testing.assert_array_equal(stack.array[key], COUNTS[key])


def test_only_the_needed_pages_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, compression="zlib")
    (stack,) = open_images([tmp_path / "a.tif"])
    read: list[int] = []
    original = LazyPages._read
    monkeypatch.setattr(LazyPages, "_read", lambda s, n: read.append(n) or original(s, n))
    stack.crop((1, 2), slice(0, 8), slice(0, 8))
    stack.crop((1, 2), slice(8, 16), slice(0, 8))  # remembered
    stack.crop((0, 1), slice(0, 8), slice(0, 8))
    assert read == [7, 1]


def test_a_whole_compressed_stack_as_an_array(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, compression="lzw")
    (stack,) = open_images([tmp_path / "a.tif"])
    np.testing.assert_array_equal(np.asarray(stack.array), COUNTS)
    assert (len(stack.array), stack.array.ndim, stack.array.size) == (2, 4, COUNTS.size)


@pytest.mark.parametrize(
    ("axes", "shape"), [("TZYX", (2, 3, 32, 40)), ("ZCYX", (3, 2, 32, 40)), ("YX", (32, 40))]
)
def test_axes_from_ome(tmp_path: Path, axes: str, shape: tuple[int, ...]):
    image = np.zeros(shape, np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata={"axes": axes})
    assert open_images([tmp_path / "a.ome.tif"])[0].axes == axes


def test_axes_from_imagej(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, imagej=True, metadata={"axes": "ZCYX"})
    assert open_images([tmp_path / "a.tif"])[0].axes == "ZCYX"


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((32, 40), "YX"), ((9, 32, 40), "TYX"), ((9, 2, 32, 40), "TCYX"), ((9, 8, 32, 40), "TZYX")],
)
def test_axes_guessed_without_metadata(tmp_path: Path, shape: tuple[int, ...], axes: str):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, np.uint16), photometric="minisblack")
    assert open_images([tmp_path / "a.tif"])[0].axes == axes


def test_sequence_of_separate_pages_is_time(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in COUNTS[0]:
            file.write(page, metadata=None)
    (stack,) = open_images([tmp_path / "a.tif"])
    assert stack.axes == "TYX"
    np.testing.assert_array_equal(stack.plane((1,)), COUNTS[0, 1])


def test_axes_and_channel_said_by_the_user(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS)
    (stack,) = open_images([tmp_path / "a.tif"], axes="czyx", channel=1)
    assert (stack.axes, stack.leading_axes) == ("CZYX", "Z")
    np.testing.assert_array_equal(stack.plane((2,)), COUNTS[1, 2])
    with pytest.raises(AxesError, match="4 axes"):
        open_images([tmp_path / "a.tif"], axes="TYX")


def test_several_series_are_several_images(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(COUNTS[0], metadata={"axes": "TYX"})
        file.write(COUNTS[1, :2, :16], metadata={"axes": "ZYX"})
    stacks = open_images([tmp_path / "a.ome.tif"])
    assert [s.axes for s in stacks] == ["TYX", "ZYX"]
    assert [s.name for s in stacks] == ["a.ome.tif [0]", "a.ome.tif [1]"]
    np.testing.assert_array_equal(stacks[1].plane((1,)), COUNTS[1, 1, :16])


def test_folder_in_natural_order_and_each_file_once(tmp_path: Path):
    for name in ("t10.tif", "t2.TIF", "t1.ome.tif", ".t0.tif"):
        tifffile.imwrite(tmp_path / name, COUNTS[0, 0])
    (tmp_path / "notes.txt").write_text("none")
    names = [p.name for p in find_files([tmp_path, str(tmp_path / "t*.tif")])]
    assert names == ["t1.ome.tif", "t2.TIF", "t10.tif"]


def test_glob_into_subfolders(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "a" / "b" / "x.tif", COUNTS[0, 0])
    assert len(open_images([str(tmp_path / "**" / "*.tif")])) == 1


def test_a_name_with_brackets_is_a_file_not_a_pattern(tmp_path: Path):
    tifffile.imwrite(tmp_path / "cells[1].tif", COUNTS[0, 0])
    assert open_images([str(tmp_path / "cells[1].tif")])[0].name == "cells[1].tif"


@pytest.mark.parametrize(
    ("given", "says"),
    [("nothing.tif", "no file or folder"), ("*.tif", "No file matches"), ("empty", "no TIFF")],
)
def test_nothing_to_open(tmp_path: Path, given: str, says: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageFileError, match=says):
        open_images([tmp_path / given])


def test_no_image_named():
    with pytest.raises(ImageFileError, match="No image was named"):
        open_images([])


def test_not_a_tiff(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ImageFileError, match=r"a\.png is not a TIFF"):
        open_images([tmp_path / "a.png"])


def test_text_and_nothing_called_tif(tmp_path: Path):
    (tmp_path / "a.tif").write_text("hello")
    with pytest.raises(ImageFileError, match=r"a\.tif is not a TIFF"):
        open_images([tmp_path / "a.tif"])
    (tmp_path / "b.tif").touch()
    with pytest.raises(ImageFileError, match="it is empty"):
        open_images([tmp_path / "b.tif"])


@pytest.mark.parametrize("how", ["plain", "zlib", "ome", "ome-zlib", "imagej", "pages"])
@pytest.mark.parametrize("kept", [0.001, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused_at_opening(tmp_path: Path, how: str, kept: float):
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).poisson(50, (6, 64, 64)).astype(np.uint16)
    if how == "pages":
        with tifffile.TiffWriter(path) as file:
            for page in noise:
                file.write(page, metadata=None)
    else:
        tifffile.imwrite(
            path,
            noise,
            ome="ome" in how,
            imagej=how == "imagej",
            compression="zlib" if "zlib" in how else None,
            metadata={"axes": "TYX"},
        )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImageFileError, match=r"a\.tif is truncated or damaged"):
        open_images([path])


def test_damaged_pixels_are_told_when_read(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS[0], compression="zlib")
    with tifffile.TiffFile(path) as file:
        start = file.pages[1].dataoffsets[0]
    whole = bytearray(path.read_bytes())
    whole[start : start + 40] = bytes(40)
    path.write_bytes(whole)
    (stack,) = open_images([path])
    assert stack.plane((0,)).shape == (32, 40)
    with pytest.raises(ImageFileError, match="plane 2"):
        stack.plane((1,))


def test_three_frames_that_tifffile_called_rgb_are_channels(tmp_path: Path):
    """What older tifffile made of (3, Y, X) counts: RGB in separate planes."""
    image = COUNTS[0, :3]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", planarconfig="separate")
    (stack,) = open_images([path])
    assert stack.axes == "CYX"
    np.testing.assert_array_equal(stack.plane((1,)), image[1])


def test_rgb_is_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((32, 40, 3), np.uint8), photometric="rgb")
    with pytest.raises(ImageError, match="RGB"):
        open_images([tmp_path / "a.tif"])


def test_mask_is_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((32, 40), bool))
    with pytest.raises(ImageError, match="grey values"):
        open_images([tmp_path / "a.tif"])


def test_pixel_size_from_ome_in_its_unit(tmp_path: Path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm"}
    metadata |= {"PhysicalSizeY": 0.07, "PhysicalSizeZ": 0.002, "PhysicalSizeZUnit": "mm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", COUNTS[0], metadata=metadata)
    assert read_pixel_size(tmp_path / "a.ome.tif") == pytest.approx({"X": 0.065, "Y": 0.07, "Z": 2})
    assert open_images([tmp_path / "a.ome.tif"])[0].pixel_size_um["Z"] == pytest.approx(2)


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_pixel_size_from_imagej(tmp_path: Path, unit: str):
    metadata = {"axes": "ZYX", "unit": unit, "spacing": 0.3}
    tifffile.imwrite(
        tmp_path / "a.tif", COUNTS[0], imagej=True, resolution=(10, 8), metadata=metadata
    )
    assert read_pixel_size(tmp_path / "a.tif") == pytest.approx({"X": 0.1, "Y": 0.125, "Z": 0.3})


@pytest.mark.parametrize(
    ("unit", "size"), [("CENTIMETER", {"X": 0.5, "Y": 1.0}), ("INCH", {}), ("NONE", {})]
)
def test_pixel_size_from_plain_tiff(tmp_path: Path, unit: str, size: dict[str, float]):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS[0, 0], resolution=(20000, 10000), resolutionunit=unit)
    assert read_pixel_size(path) == pytest.approx(size)
