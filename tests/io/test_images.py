import gc
import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from napari_hdn.core.errors import AxesError, HDNError, ImageError, ImageFileError
from napari_hdn.core.events import Notice
from napari_hdn.io.images import find_files, open_images, read_pixel_size
from napari_hdn.io.ome_tiff import write_ome_tiff
from napari_hdn.io.reading import tiff_pixels as tiff_array
from napari_hdn.io.reading.flat import FlatPixels
from napari_hdn.io.reading.tiff_pixels import LazyPages
from napari_hdn.io.restorations import restoration_mark

COUNTS = np.arange(2 * 5 * 32 * 40, dtype=np.uint16).reshape(2, 5, 32, 40)


def test_plain_stack_is_memory_mapped(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS[0])
    (stack,) = open_images([tmp_path / "a.tif"])
    assert isinstance(stack.array, FlatPixels)
    assert (stack.array.shape, stack.array.dtype, stack.array.ndim) == ((5, 32, 40), np.uint16, 3)
    assert (stack.axes, stack.name) == ("TYX", "a.tif")
    np.testing.assert_array_equal(stack.plane((2,)), COUNTS[0, 2])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, byteorder: str):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS[0], byteorder=byteorder)
    (stack,) = open_images([tmp_path / "a.tif"])
    np.testing.assert_array_equal(stack.plane((1,)), COUNTS[0, 1])


def _open_files() -> int:
    process = psutil.Process()
    return process.num_handles() if os.name == "nt" else process.num_fds()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_folder_of_many_files_holds_few_open(tmp_path: Path, compression: str | None):
    for number in range(100):
        tifffile.imwrite(tmp_path / f"{number}.tif", COUNTS[0] + number, compression=compression)
    before = _open_files()
    stacks = open_images([tmp_path])
    for _ in range(2):
        for number, stack in enumerate(stacks):
            np.testing.assert_array_equal(stack.plane((1,)), COUNTS[0, 1] + number)
    assert _open_files() - before <= 32
    del stack, stacks
    gc.collect()
    assert _open_files() <= before  # other tests' files may have been collected, too


def test_pages_kept_of_many_files_stay_within_the_limit(tmp_path: Path, monkeypatch):
    for number in range(8):
        tifffile.imwrite(tmp_path / f"{number}.tif", COUNTS[0], compression="zlib")
    page = COUNTS[0, 0].nbytes
    monkeypatch.setattr(tiff_array._PAGES, "at_most", 7 * page)
    stacks = open_images([tmp_path])
    for stack in stacks:
        for index in stack.indices():
            stack.plane(index)
    assert tiff_array._PAGES.weight() <= 7 * page
    del stack, stacks
    gc.collect()
    assert tiff_array._PAGES.weight() == 0


def test_a_file_that_is_gone_or_shorter_later_is_told(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS[0])
    (stack,) = open_images([path])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ImageFileError, match=r"a\.tif was changed .*13,720 bytes, now 5,000"):
        stack.plane((4,))
    path.unlink()
    with pytest.raises(ImageFileError, match="cannot be read any more"):
        stack.plane((4,))


@pytest.mark.parametrize("compression", [None, "zlib"])
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
def test_files_are_indexed_like_numpy(tmp_path: Path, key, compression: str | None):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, compression=compression)
    (stack,) = open_images([tmp_path / "a.tif"])
    assert isinstance(stack.array, LazyPages if compression else FlatPixels)
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
    assert [s.stem for s in stacks] == ["a-0", "a-1"]
    np.testing.assert_array_equal(stacks[1].plane((1,)), COUNTS[1, 1, :16])


def test_a_series_has_its_own_pixel_size_behind_an_rgb_one(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        label = {"axes": "YXS", "PhysicalSizeX": 9.0}
        file.write(np.zeros((32, 40, 3), np.uint8), photometric="rgb", metadata=label)
        for size in (0.1, 0.2):
            file.write(COUNTS[0], metadata={"axes": "TYX", "PhysicalSizeX": size})
    stacks = open_images([tmp_path / "a.ome.tif"])
    assert [s.pixel_size_um for s in stacks] == [{"X": 0.1}, {"X": 0.2}]
    assert [s.stem for s in stacks] == ["a-1", "a-2"]


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


@pytest.mark.parametrize("method", ["iterdir", "is_dir"])
def test_a_folder_that_cannot_be_looked_into(tmp_path: Path, monkeypatch, method: str):
    def refuse(self: Path):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(ImageFileError, match="cannot be looked into: Permission denied"):
        open_images([tmp_path])


def test_the_home_of_nobody():
    with pytest.raises(ImageFileError, match="~nobody-of-that-name"):
        open_images(["~nobody-of-that-name/a.tif"])


def test_restored_images_in_a_folder_are_left_out_and_told(tmp_path: Path):
    for name in ("b.tif", "a.tif", "b_hdn-std.ome.tif", "a_hdn-without-1-2-mean-2.ome.tif"):
        tifffile.imwrite(tmp_path / name, COUNTS[0, 0])
    mark = restoration_mark("m")
    write_ome_tiff(tmp_path / "c.ome.tif", COUNTS[0], "TYX", description=mark)
    told: list[Notice] = []
    stacks = open_images([tmp_path], tell=told.append)
    assert [s.name for s in stacks] == ["a.tif", "b.tif"]
    (notice,) = told
    assert "3 images such as a_hdn-without-1-2-mean-2.ome.tif" in notice.text
    assert [s.name for s in open_images([tmp_path / "c.ome.tif"])] == ["c.ome.tif"]
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).unlink()
    with pytest.raises(ImageFileError, match="only images that napari-hdn restored"):
        open_images([tmp_path])


def test_exported_images_are_no_restorations(tmp_path: Path):
    write_ome_tiff(tmp_path / "cells.ome.tif", COUNTS[0], "TYX")
    assert len(open_images([tmp_path])) == 1


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


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("plain", {}),
        ("zlib", {"compression": "zlib"}),
        ("tiles", {"compression": "lzw", "tile": (16, 16)}),
        ("ome", {"ome": True, "metadata": {"axes": "TYX"}}),
        ("imagej", {"imagej": True, "metadata": {"axes": "TYX"}}),
    ],
)
def test_whatever_is_damaged_is_read_or_told(tmp_path: Path, how: str, options: dict):
    """Random bytes in the headers of pages, and files cut at random places."""
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).poisson(50, (3, 32, 40)).astype(np.uint16)
    tifffile.imwrite(path, noise, photometric="minisblack", **options)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        headers = [0, *(page.offset for page in file.pages)]
    refused = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        for at in rng.choice(headers) + rng.integers(0, 180, rng.integers(1, 5)):
            data[min(at, len(data) - 1)] = rng.integers(256)
        if seed % 10 == 9:
            data = data[: rng.integers(0, len(data))]
        path.write_bytes(data)
        try:
            for stack in open_images([path]):
                stack.plane(next(stack.indices()))
        except HDNError as error:
            refused.append(str(error))
    assert len(refused) > 30
    assert all("a.tif" in said for said in refused)


def test_cut_to_three_bytes(tmp_path: Path):
    (tmp_path / "a.tif").write_bytes(b"II*")
    with pytest.raises(ImageFileError, match=r"a\.tif is truncated or damaged"):
        open_images([tmp_path / "a.tif"])


def test_missing_strips_are_not_read_as_zeros(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS[0, 0], compression="zlib", rowsperstrip=8)
    with tifffile.TiffFile(path) as file:
        rows = file.pages.first.tags["RowsPerStrip"].valueoffset
    data = bytearray(path.read_bytes())
    data[rows] = 2
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match="plane 1 has 4 of 16 strips"):
        open_images([path])


def test_a_page_too_large_for_memory_is_told(tmp_path: Path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", COUNTS[0], compression="zlib")
    (stack,) = open_images([tmp_path / "a.tif"])

    def refuse(*_, **__):
        raise MemoryError("Unable to allocate 402. GiB")

    monkeypatch.setattr(tifffile.TiffFrame, "asarray", refuse)
    with pytest.raises(
        ImageFileError, match=r"does not fit in memory \(plane 2: Unable to allocate"
    ):
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


def test_nonsense_for_a_pixel_size_is_none(tmp_path: Path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": "wide"}
    tifffile.imwrite(tmp_path / "a.ome.tif", COUNTS[0], metadata=metadata)
    assert open_images([tmp_path / "a.ome.tif"])[0].pixel_size_um == {}


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
