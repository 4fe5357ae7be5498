"""Files that change, shrink, grow or vanish between opening and reading."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hdn.core.errors import ImageFileError, ImageLostError
from napari_hdn.io.images import open_images
from napari_hdn.io.reading import trouble

COUNTS = np.random.default_rng(0).poisson(50, (4, 64, 48)).astype(np.uint16)
KINDS = pytest.mark.parametrize("kind", ["flat", "zlib", "npy", "npz"])


def _write(folder: Path, kind: str, image: np.ndarray) -> Path:
    path = folder / {"npy": "a.npy", "npz": "a.npz"}.get(kind, "a.tif")
    if kind == "npy":
        np.save(path, image)
    elif kind == "npz":
        np.savez(path, image)
    else:
        compression = "zlib" if kind == "zlib" else None
        tifffile.imwrite(path, image, photometric="minisblack", compression=compression)
    return path


@KINDS
def test_a_file_that_is_replaced_is_not_mixed_with_the_old_one(tmp_path: Path, kind: str):
    path = _write(tmp_path, kind, COUNTS)
    (stack,) = open_images([path])
    if kind != "npz":  # it is read whole at once
        np.testing.assert_array_equal(stack.plane((0,)), COUNTS[0])
    _write(tmp_path, kind, COUNTS[:, ::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(ImageLostError, match=rf"{path.name} was changed by another program"):
        stack.plane((1,))


@KINDS
def test_a_file_that_is_cut_while_it_is_used(tmp_path: Path, kind: str):
    """Nothing is memory-mapped: the system would end the program."""
    path = _write(tmp_path, kind, COUNTS)
    (stack,) = open_images([path])
    os.truncate(path, 2000)
    with pytest.raises(ImageFileError, match=r"was changed .* now 2,000"):
        stack.plane((3,))


@KINDS
def test_a_drive_that_is_gone(tmp_path: Path, kind: str):
    path = _write(tmp_path, kind, COUNTS)
    (stack,) = open_images([path])
    path.rename(tmp_path / "away")
    with pytest.raises(ImageLostError, match=r"cannot be read any more: No such file.*network"):
        stack.plane((1,))
    (tmp_path / "away").rename(path)
    np.testing.assert_array_equal(stack.plane((1,)), COUNTS[1])


@KINDS
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOENT])
def test_a_network_that_fails_in_the_middle(tmp_path: Path, kind: str, number: int, monkeypatch):
    (stack,) = open_images([_write(tmp_path, kind, COUNTS)])

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(trouble.FileState, "of", fail)
    with pytest.raises(ImageFileError, match=f"any more: {os.strerror(number)}") as caught:
        stack.plane((1,))
    # a place of a worn disk, in a file that can still be opened, is no reason to give up the others
    assert isinstance(caught.value, ImageLostError) is (number != errno.EIO)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_recording_that_goes_on_can_be_used(tmp_path: Path, compression: str | None):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COUNTS, photometric="minisblack", compression=compression)
    (stack,) = open_images([path])
    tifffile.imwrite(path, COUNTS + 1, photometric="minisblack", append=True)
    for t in range(3):
        np.testing.assert_array_equal(stack.plane((t,)), COUNTS[t])
    # a longer one in its place is another
    longer = np.concatenate([COUNTS, COUNTS])[:, ::-1]
    tifffile.imwrite(path, np.concatenate([longer, longer]), photometric="minisblack")
    with pytest.raises(ImageFileError, match="was changed"):
        stack.plane((3,))


def test_black_pixels_are_no_fingerprint(tmp_path: Path):
    path = tmp_path / "a.tif"
    black = np.zeros((3, 64, 64), np.uint16)
    tifffile.imwrite(path, black, photometric="minisblack")
    (stack,) = open_images([path])
    tifffile.imwrite(path, np.concatenate([black] * 2), photometric="minisblack")
    with pytest.raises(ImageFileError, match="was changed"):
        stack.plane((0,))


@KINDS
def test_no_permission(tmp_path: Path, kind: str, monkeypatch):
    path = _write(tmp_path, kind, COUNTS)
    if os.name != "nt" and os.geteuid() != 0:
        path.chmod(0)
    else:  # root may read everything

        def refuse(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr("io.open", refuse)
        monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ImageFileError, match=r"cannot be (read|looked into): Permission denied"):
        open_images([path])
