"""Full disks, quotas, drives that vanish: what is told, and that nothing is left that looks finished."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr.storage._local

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import OutputError
from napari_hdn.core.events import PlaneRestored
from napari_hdn.io.images import FileStack, open_images
from napari_hdn.io.restorations import FORMATS, RestorationFiles

SHAPE = (3, 300, 400)  # 480 kB a plane
PIXELS = np.random.default_rng(2).uniform(0, 1, SHAPE).astype(np.float32)  # cannot be compressed
NAME = "Zellkerne µ 细胞"


def files(folder: Path, format: str) -> RestorationFiles:
    image = FileStack(np.zeros(SHAPE, np.uint16), "TYX", "a.tif", path=Path(f"{NAME}.tif"))
    config = RestorationConfig(samples=1)
    return RestorationFiles(folder, image, config, format=format, identity="a test")


def write(made: RestorationFiles, t: int) -> None:
    made.write(PlaneRestored((t,), {"mean": PIXELS[t]}, slice(0, SHAPE[1])))


def finished(folder: Path) -> list[str]:
    """Everything that a user would take for a result."""
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


@pytest.fixture
def failing(monkeypatch):
    """The disk answers with an error from now on."""

    def fail(made: RestorationFiles, format: str, code: int) -> None:
        def no(*args, **choices):
            raise OSError(code, f"errno {code}")

        if format == "ome-zarr":
            monkeypatch.setattr(zarr.storage._local, "_put", no)
            return
        (writer,) = made._sink._writers.values()
        real = writer._file

        class Torn:
            write, seek, close = staticmethod(no), real.seek, real.close

        writer._file = Torn()

    return fail


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ENOSPC", "the disk is full; make room"),
        ("EDQUOT", r"\(quota\) is used up"),
        ("EIO", "does not answer .*connected"),
        ("ESTALE", "does not answer"),
        ("EACCES", "choose a folder that you may write to"),
        ("EROFS", "choose a folder that you may write to"),
        ("EFBIG", "cannot hold files of this size"),
    ],
)
def test_errors_in_the_middle_keep_what_is_done(tmp_path, monkeypatch, failing, format, name, says):
    with pytest.raises(OutputError, match=says) as caught, files(tmp_path, format) as made:
        write(made, 0)
        failing(made, format, getattr(errno, name))
        write(made, 1)
    assert str(tmp_path) in str(caught.value)
    (note,) = caught.value.__notes__
    monkeypatch.undo()
    if format == "ome-zarr":
        assert finished(tmp_path) == [] and "1 of 3 planes are done and kept" in note
        with files(tmp_path, format) as again:
            assert again.done == {(0,)}
            write(again, 1)
            write(again, 2)
        written = zarr.open_array(again.written["mean"] / "0", mode="r")[:]
        np.testing.assert_array_equal(written, PIXELS)
        assert finished(tmp_path) == [f"{NAME}_hdn-mean.ome.zarr"]
    else:
        assert finished(tmp_path) == [f"{NAME}_hdn-mean-partial.ome.tif"]
        assert len(list(tmp_path.iterdir())) == 1 and "1 of 3 planes were done" in note
        (kept,) = open_images([tmp_path / f"{NAME}_hdn-mean-partial.ome.tif"])
        np.testing.assert_array_equal(np.squeeze(kept.array), PIXELS[0])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 2 MB."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a small disk, on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts disks")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("format", FORMATS)
def test_a_disk_that_another_program_fills(small_disk: Path, format: str):
    with pytest.raises(OutputError, match="the disk is full"), files(small_disk, format) as made:
        write(made, 0)
        with (small_disk / "film.avi").open("wb", buffering=0) as other:
            while other.write(b"x" * 4096) == 4096:
                if other.tell() > 2**20 + 2**19 - 2**17:
                    break
        write(made, 1)
        write(made, 2)
    left = [name for name in finished(small_disk) if name != "film.avi"]
    assert all("-partial" in name for name in left)
    (small_disk / "film.avi").unlink()
    with files(small_disk, format) as again:
        for t in range(3):
            if (t,) not in again.done:
                write(again, t)
    target = again.written["mean"]
    if format == "ome-zarr":
        np.testing.assert_array_equal(zarr.open_array(target / "0", mode="r")[:], PIXELS)
        assert finished(small_disk) == [f"{NAME}_hdn-mean.ome.zarr"]
    else:
        np.testing.assert_array_equal(open_images([target])[0].array, PIXELS)


@pytest.mark.parametrize("format", FORMATS)
def test_no_room_from_the_beginning_is_told_before_the_work(small_disk: Path, format: str):
    (small_disk / "film.avi").write_bytes(b"x" * 1_200_000)
    with pytest.raises(
        OutputError, match=r"_hdn \(mean\) needs 1.44 MB, but only 0.[89]\d MB are free"
    ):
        files(small_disk, format).__enter__()
    assert [p.name for p in small_disk.iterdir()] == ["film.avi"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_disk_that_may_only_be_read_is_told_before_the_work(small_disk: Path, format: str):
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    if subprocess.run(remount, capture_output=True, check=False).returncode:
        pytest.skip("cannot be mounted again")
    with pytest.raises(OutputError, match="Read-only file system; choose a folder"):
        files(small_disk / "new", format).__enter__()


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_is_a_file(tmp_path: Path, format: str):
    (tmp_path / "out").write_bytes(b"precious")
    with pytest.raises(OutputError, match="could not be written"):
        files(tmp_path / "out", format).__enter__()
    assert (tmp_path / "out").read_bytes() == b"precious"


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_vanishes(tmp_path: Path, format: str):
    """As of a network drive that is disconnected and shows the empty place where it was mounted."""
    made = files(tmp_path / "out", format)
    with pytest.raises(OutputError) as caught, made:
        write(made, 0)
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        for t in (1, 2):
            write(made, t)
    assert "could not be written: what was done there before is gone" in str(caught.value)
    assert "network drive is connected, then start again" in str(caught.value)
    assert not (tmp_path / "out").exists() or finished(tmp_path / "out") == []
    assert finished(tmp_path / "elsewhere") == []
