"""Opening NumPy files: ``.npy``, and the arrays of ``.npz``; never pickles, which can hold programs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from napari_hdn.core.axes import guess_axes
from napari_hdn.core.errors import HDNError, ImageFileError
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.reading.flat import FlatPixels
from napari_hdn.io.reading.pixels import Pixels
from napari_hdn.io.reading.recent import Recent
from napari_hdn.io.reading.stack import FileStack, Unopened, file_stack
from napari_hdn.io.reading.trouble import SameFile, damaged, gone, truncated, unreadable

SUFFIXES = (".npy", ".npz")
_NOISE_MODEL = {"trained_weight", "min_signal", "max_signal", "min_sigma"}
_ARRAYS: Recent[np.ndarray] = Recent(512 * 2**20, lambda array: array.nbytes)


def open_numpy(
    path: Path, axes: str | None, channel: int | str | None
) -> Iterator[FileStack | Unopened]:
    """Open the images of a NumPy file, their pixels unread.

    Parameters
    ----------
    path : Path
        A ``.npy``; a ``.npz``, of which arrays with two axes and more are images; or one array of it,
        as ``cells.npz/frames``.
    axes, channel
        As for `napari_hdn.io.images.open_images`.

    Raises
    ------
    ImageFileError
        If it is no such file, is damaged, or holds pickled objects.
    """
    container = path if path.suffix.lower() in SUFFIXES else path.parent
    wanted = None if container == path else path.name
    try:
        if container.suffix.lower() == ".npy":
            pixels: Pixels = _open_npy(container)
            yield _stack(pixels, axes, channel, container, "")
            return
        arrays = _arrays_of(container, wanted)
    except OSError as error:
        raise unreadable(container, error) from error
    for key, shape, dtype in arrays:
        try:
            pixels = ZippedPixels(container, key, shape, dtype)
            yield _stack(pixels, axes, channel, container, key if len(arrays) > 1 or wanted else "")
        except HDNError as error:
            yield Unopened(container, error)


def is_numpy(path: Path) -> bool:
    """Whether a path is a NumPy file, or an array of one, by its name."""
    return path.suffix.lower() in SUFFIXES or path.parent.suffix.lower() == ".npz"


def is_noise_model(path: Path) -> bool:
    """Whether a ``.npz`` holds a noise model, as they lie beside images."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {n.removesuffix(".npy") for n in archive.namelist()} >= _NOISE_MODEL
    except (OSError, zipfile.BadZipFile):  # opening it as an image will tell
        return False


def _stack(
    pixels: Pixels, axes: str | None, channel: int | str | None, path: Path, key: str
) -> FileStack:
    name = f"{path.name} [{key}]" if key else path.name
    if axes is None and pixels.ndim < 2:
        raise ImageFileError(f"{name} has {pixels.ndim} axes; an image has two or more.")
    letters = axes or guess_axes(pixels.shape)
    return file_stack(
        pixels, letters, name=name, channel=channel, path=path, metadata=ImageMetadata(), part=key
    )


def _open_npy(path: Path) -> FlatPixels:
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file, path)
        offset = file.tell()
        size = path.stat().st_size
    expected = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if expected > size:
        raise truncated(path, f"it has {size:,} of {expected:,} bytes")
    return FlatPixels(path, dtype, offset, shape, fortran=fortran)


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except OSError:
        raise
    except Exception as error:  # text where a header should be: ValueError, SyntaxError, EOFError
        raise ImageFileError(
            f"{path.name} is no NumPy file, or is damaged ({' '.join(str(error).split()):.160}); save "
            "it again with numpy.save."
        ) from error
    if dtype.hasobject:
        raise ImageFileError(
            f"{path.name} holds pickled Python objects, which may hide programs and are never opened; "
            "save the pixels as an array of numbers: numpy.save(name, array.astype('float32'))."
        )
    return tuple(int(n) for n in shape), bool(fortran), dtype


def _arrays_of(path: Path, wanted: str | None) -> list[tuple[str, tuple[int, ...], np.dtype]]:
    """Name, shape and type of the arrays of a ``.npz`` that may be images, or of the wanted one."""
    found, others = [], []
    for key, name in _members(path).items():
        if wanted is not None and key != wanted:
            others.append(key)
            continue
        try:
            with zipfile.ZipFile(path) as archive, archive.open(name) as file:
                shape, _, dtype = _header(file, path)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise damaged(path, error, f"{key}: ") from error
        if wanted is not None or (len(shape) >= 2 and dtype.kind in "uif"):
            found.append((key, shape, dtype))
        else:
            others.append(key)
    if not found:
        inside = ", ".join(others[:8]) or "nothing"
        what = f"no array {wanted}" if wanted is not None else "no array that is an image"
        raise ImageFileError(f"{path.name} holds {what}; it holds {inside}.")
    return found


def _members(path: Path) -> dict[str, str]:
    """The arrays' names, and what they are called in the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise damaged(path, error) from error
    return {n.removesuffix(".npy"): n for n in names if n.endswith(".npy")}


class ZippedPixels(Pixels):
    """An array of a ``.npz``, read whole when it is needed; the ones read last are kept.

    Parameters
    ----------
    path : Path
    key : str
        Which array.
    shape, dtype
        As its header says.
    """

    def __init__(self, path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self._path = path.absolute()
        self._key = key
        self._file = SameFile(self._path, [])

    def __getitem__(self, key: Any) -> np.ndarray:
        array = _ARRAYS.find(self, None)
        if array is None:
            array = self._read()
            _ARRAYS.keep(self, None, array)
        return np.array(array[key], self.dtype)

    def _read(self) -> np.ndarray:
        try:
            with self._path.open("rb") as file:
                self._file.check(file)
                with np.load(file, allow_pickle=False) as arrays:
                    array = arrays[self._key]
                self._file.check(file)
        except HDNError:
            raise
        except OSError as error:
            if error.errno is None:
                raise damaged(self._path, error, f"{self._key}: ") from error
            raise gone(self._path, error) from error
        except Exception as error:  # zlib's, zipfile's and numpy's
            raise damaged(self._path, error, f"{self._key}: ") from error
        if array.shape != self.shape or array.dtype.newbyteorder("=") != self.dtype:
            raise truncated(self._path, f"{self._key} is {array.shape}, not {self.shape}")
        return array
