import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile

from napari_hdn.core.errors import ImageError, OutputError
from napari_hdn.io.images import open_images, read_pixel_size
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.naming import free_path, split_suffix
from napari_hdn.io.ome_tiff import OmeTiffWriter, write_ome_tiff
from napari_hdn.io.reading.flat import FlatPixels


def _counts(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 1000, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("YX", (20, 30)),
        ("TYX", (4, 20, 30)),
        ("ZYX", (3, 20, 30)),
        ("CYX", (3, 20, 30)),
        ("SYX", (5, 20, 30)),
        ("CTYX", (2, 4, 20, 30)),
        ("STYX", (5, 4, 20, 30)),
        ("TSYX", (4, 5, 20, 30)),
        ("SCYX", (5, 2, 20, 30)),
        ("ZTCYX", (3, 4, 2, 20, 30)),
        ("STCZYX", (5, 4, 2, 3, 20, 30)),
        ("TYX", (4, 20, 3)),
    ],
)
def test_read_back_by_ourselves(tmp_path: Path, axes: str, shape: tuple[int, ...]):
    image = _counts(shape)
    write_ome_tiff(tmp_path / "a.ome.tif", image, axes)
    (stack,) = open_images([tmp_path / "a.ome.tif"])
    assert sorted(stack.axes) == sorted(axes)
    assert isinstance(stack.array, FlatPixels)
    order = [axes.index(a) for a in stack.axes]
    np.testing.assert_array_equal(stack.array, image.transpose(order))


def test_x_before_y_and_channel_last_are_reordered(tmp_path: Path):
    image = _counts((30, 20, 2))
    write_ome_tiff(tmp_path / "a.ome.tif", image, "XYC")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert (file.series[0].axes, file.series[0].shape) == ("CYX", (2, 20, 30))
        np.testing.assert_array_equal(file.asarray(), image.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("axes", "shape", "names", "step"),
    [
        ("TCYX", (3, 2, 20, 30), ["actin", "Zellkerne µ"], 2.5),
        ("TYX", (3, 20, 30), ["actin"], 2.5),  # of one chosen channel
        ("CYX", (2, 20, 30), ["actin", "Zellkerne µ"], None),
        ("STCZYX", (2, 3, 2, 4, 20, 30), ["actin", "Zellkerne µ"], 2.5),
    ],
)
def test_time_step_and_channel_names(tmp_path: Path, axes, shape, names, step):
    known = ImageMetadata({"X": 0.1, "Y": 0.1}, 2.5, tuple(names))
    write_ome_tiff(tmp_path / "a.ome.tif", _counts(shape), axes, metadata=known)
    pixels = ome_types.from_tiff(tmp_path / "a.ome.tif").images[0].pixels
    assert [c.name for c in pixels.channels] == names
    assert (pixels.time_increment, pixels.time_increment_unit.value) == (step, "s")


def test_names_of_channels_that_are_not_there_are_left_out(tmp_path: Path):
    known = ImageMetadata(channel_names=("actin", "nuclei"))
    write_ome_tiff(tmp_path / "a.ome.tif", _counts((3, 20, 30)), "CYX", metadata=known)
    write_ome_tiff(tmp_path / "b.ome.tif", _counts((20, 30)), "YX", metadata=known)
    for name in "ab":
        pixels = ome_types.from_tiff(tmp_path / f"{name}.ome.tif").images[0].pixels
        assert {c.name for c in pixels.channels} == {None}


def test_metadata(tmp_path: Path):
    sizes = {"X": 0.1, "y": 0.1, "Z": 0.3}
    write_ome_tiff(
        tmp_path / "a.ome.tif", _counts((3, 20, 30)), "ZYX", metadata=ImageMetadata(sizes)
    )
    assert read_pixel_size(tmp_path / "a.ome.tif") == pytest.approx({"X": 0.1, "Y": 0.1, "Z": 0.3})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.is_ome
        assert 'PhysicalSizeXUnit="µm"' in file.ome_metadata
        assert 'Name="a"' in file.ome_metadata
        assert file.series[0].dtype == np.float32


def test_integers_are_rounded_clipped_and_counted(tmp_path: Path):
    image = np.array([[-3.0, 0.4, 0.6], [254.6, 256.0, np.nan]], np.float32)
    assert write_ome_tiff(tmp_path / "a.ome.tif", image, "YX", dtype=np.uint8) == 3
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "a.ome.tif"), [[0, 0, 1], [255, 255, 0]]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.float32])
def test_own_type_is_kept_exactly(tmp_path: Path, dtype: type):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind in "ui" else 1e30
    image = np.full((2, 20, 30), top, dtype)
    assert write_ome_tiff(tmp_path / "a.ome.tif", image, "TYX") == 0
    back = tifffile.imread(tmp_path / "a.ome.tif")
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)


def test_doubles_become_singles_and_long_integers_are_refused(tmp_path: Path):
    write_ome_tiff(tmp_path / "a.ome.tif", np.full((20, 30), np.pi), "YX")
    assert tifffile.imread(tmp_path / "a.ome.tif").dtype == np.float32
    with pytest.raises(OutputError, match="int64"):
        write_ome_tiff(tmp_path / "b.ome.tif", np.zeros((20, 30), np.int64), "YX")


def test_planes_from_an_iterator(tmp_path: Path):
    image = _counts((3, 20, 30))
    write_ome_tiff(tmp_path / "a.ome.tif", image, "TYX", planes=(p + 1 for p in image))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.ome.tif"), image + 1)


def test_large_files_are_waited_for(tmp_path: Path, monkeypatch):
    """Else a power cut may leave a name without pixels."""
    waited = []
    monkeypatch.setattr("os.fsync", waited.append)
    for size in (300, 700):  # 360 kB and 2 MB
        write_ome_tiff(tmp_path / f"{size}.ome.tif", np.zeros((size, size), np.float32), "YX")
        assert len(waited) == (size == 700)


def test_existing_file_is_kept(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_ome_tiff(path, _counts((20, 30)), "YX")
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["a.ome.tif"]


def test_file_that_appears_meanwhile_is_kept(tmp_path: Path):
    path, image = tmp_path / "a.ome.tif", _counts((20, 30))

    def planes():
        path.write_text("mine")
        yield image

    with pytest.raises(OutputError, match="meanwhile"):
        write_ome_tiff(path, image, "YX", planes=planes())
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["a.ome.tif"]


def test_hours_of_work_go_beside_a_file_that_appears_meanwhile(tmp_path: Path):
    path, image = tmp_path / "a.ome.tif", _counts((20, 30))
    with OmeTiffWriter(path, (20, 30), "YX", np.float32) as writer:
        writer.write((), image)
        path.write_text("mine")
    assert path.read_text() == "mine"
    assert writer.written == tmp_path / "a-2.ome.tif"
    np.testing.assert_array_equal(tifffile.imread(writer.written), image)


def test_free_path_numbers_before_the_double_suffix(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    assert free_path(path) == path
    path.touch()
    (tmp_path / "a-2.ome.tif").touch()
    assert free_path(path).name == "a-3.ome.tif"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b.ome.tif", ("a.b", ".ome.tif")),
        ("A.OME.TIFF", ("A", ".OME.TIFF")),
        ("a.tif", ("a", ".tif")),
        ("a.lsm", ("a", ".lsm")),
    ],
)
def test_split_suffix(name: str, parts: tuple[str, str]):
    assert split_suffix(name) == parts


class FullDisk:
    """A file on a disk without room."""

    def seek(self, _):
        pass

    def close(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("room_for_a_copy", [True, False])
def test_full_disk_keeps_the_planes_that_were_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_for_a_copy: bool
):
    image = _counts((4, 20, 30))
    with (
        pytest.raises(OutputError, match="disk is full") as caught,
        OmeTiffWriter(tmp_path / "a.ome.tif", (4, 20, 30), "TYX", np.float32) as writer,
    ):
        for index in range(2):
            writer.write((index,), image[index])
        writer._file.close()
        writer._file = FullDisk()
        if not room_for_a_copy:
            monkeypatch.setattr(writer, "_write_header", lambda *_: FullDisk().write(0))
        writer.write((2,), image[2])
    assert os.listdir(tmp_path) == ["a-partial.ome.tif"]
    (note,) = caught.value.__notes__
    assert note == f"2 of 4 planes were done and are in {writer.written}."
    (stack,) = open_images([writer.written])
    assert stack.array.shape == ((2 if room_for_a_copy else 4), 20, 30)
    np.testing.assert_array_equal(stack.array[:2], image[:2])


def test_an_export_to_a_full_disk_leaves_nothing(tmp_path: Path):
    def planes():
        yield _counts((20, 30))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_ome_tiff(tmp_path / "a.ome.tif", _counts((2, 20, 30)), "TYX", planes=planes())
    assert os.listdir(tmp_path) == []


def test_an_error_late_in_the_work_keeps_what_was_done(tmp_path: Path):
    image = _counts((2, 20, 30))
    path = tmp_path / "a.ome.tif"
    with (
        pytest.raises(ImageError, match="NaN") as caught,
        OmeTiffWriter(path, image.shape, "TYX", np.float32, description="by a test") as writer,
    ):
        writer.write((0,), image[0])
        raise ImageError("plane 1: 3 of 600 pixels are NaN")
    assert "1 of 2 planes were done and are in" in caught.value.__notes__[0]
    with tifffile.TiffFile(tmp_path / "a-partial.ome.tif") as file:
        assert "by a test; partial: 1 of 2 planes" in file.ome_metadata
        np.testing.assert_array_equal(file.asarray(), image[0])


def test_an_error_after_the_last_plane_keeps_the_whole_file(tmp_path: Path):
    image = _counts((20, 30))
    with (
        pytest.raises(ImageError),
        OmeTiffWriter(tmp_path / "a.ome.tif", (20, 30), "YX", np.float32) as writer,
    ):
        writer.write((), image)
        raise ImageError("of another file")
    assert writer.written == tmp_path / "a.ome.tif"
    np.testing.assert_array_equal(tifffile.imread(writer.written), image)


def test_giving_up_with_a_second_interrupt_leaves_nothing(tmp_path: Path):
    with (
        pytest.raises(KeyboardInterrupt),
        OmeTiffWriter(tmp_path / "a.ome.tif", (2, 20, 30), "TYX", np.float32) as writer,
    ):
        writer.write((0,), _counts((20, 30)))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_too_little_room_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"needs 48\.00 MB, but only 0\.00 MB.* make room"):
        write_ome_tiff(tmp_path / "new" / "a.ome.tif", _counts((4000, 3000)), "YX")
    assert os.listdir(tmp_path) == []


def test_planes_beyond_counting_are_refused_before_anything_is_allocated(tmp_path: Path):
    writer = OmeTiffWriter(tmp_path / "a.ome.tif", (10**14, 64, 64), "SYX", np.float32)
    with pytest.raises(OutputError, match=r"a\.ome\.tif needs 1638400000\.00 GB, but only"), writer:
        pass
    assert writer.written is None and list(tmp_path.iterdir()) == []


def test_folder_is_made_but_not_below_a_file(tmp_path: Path):
    write_ome_tiff(tmp_path / "new" / "deep" / "a.ome.tif", _counts((20, 30)), "YX")
    assert (tmp_path / "new" / "deep" / "a.ome.tif").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        write_ome_tiff(tmp_path / "file" / "a.ome.tif", _counts((20, 30)), "YX")


def test_error_while_writing_leaves_nothing(tmp_path: Path):
    with (
        pytest.raises(ImageError, match="does not fit"),
        OmeTiffWriter(tmp_path / "a.ome.tif", (2, 20, 30), "TYX", np.float32) as writer,
    ):
        writer.write((0,), _counts((20, 31)))
    assert os.listdir(tmp_path) == []


def test_stopped_early_keeps_the_complete_planes(tmp_path: Path):
    image = _counts((3, 4, 20, 30))
    size = {"X": 0.2}
    with OmeTiffWriter(
        tmp_path / "a.ome.tif", image.shape, "TZYX", np.float32, metadata=ImageMetadata(size)
    ) as writer:
        for index in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]:
            writer.write(index, image[index])
    assert writer.written == tmp_path / "a-partial.ome.tif"
    assert os.listdir(tmp_path) == ["a-partial.ome.tif"]
    (stack,) = open_images([writer.written])
    assert (stack.axes, stack.array.shape) == ("TZYX", (2, 4, 20, 30))
    np.testing.assert_array_equal(stack.array[0], image[0])
    np.testing.assert_array_equal(stack.array[1, 0], image[1, 0])
    assert not stack.array[1, 1:].any()
    assert stack.pixel_size_um == pytest.approx(size)
    with tifffile.TiffFile(writer.written) as file:
        assert "partial: 5 of 12 planes" in file.ome_metadata


def test_stopped_before_the_first_plane_leaves_nothing(tmp_path: Path):
    with OmeTiffWriter(tmp_path / "new" / "a.ome.tif", (2, 20, 30), "TYX", np.float32) as writer:
        pass
    assert writer.written is None
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="others write the empty planes, too")
def test_beyond_4_gigabytes(tmp_path: Path):
    """65 planes of 4096 x 4096 float32: a sparse file, so that it costs a few planes of the disk."""
    path = tmp_path / "a.ome.tif"
    shape = (65, 4096, 4096)
    last = _counts((4, 4096))
    with OmeTiffWriter(path, shape, "ZYX", "float32", metadata=ImageMetadata({"Z": 0.5})) as writer:
        writer.write((64,), last, 4092)
        writer._rows[:] = 4096  # the others are empty
    assert path.stat().st_size > 2**32
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and file.series[0].shape == shape
        np.testing.assert_array_equal(file.series[0].pages[64].asarray(out="memmap")[4092:], last)
    (stack,) = open_images([path])
    np.testing.assert_array_equal(stack.crop((64,), slice(4092, 4096), slice(None)), last)
