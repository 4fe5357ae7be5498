"""Opening the images that a user names: files, patterns, folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from napari_hdn.core.errors import HDNError, ImageFileError
from napari_hdn.io.reading.finding import find_files
from napari_hdn.io.reading.numpy_files import is_numpy, open_numpy
from napari_hdn.io.reading.stack import FileStack, Tell, Unopened
from napari_hdn.io.reading.tiff import open_tiff, tiff_file
from napari_hdn.io.reading.tiff_metadata import pixel_size_of
from napari_hdn.io.reading.zarr_images import open_zarr

__all__ = [
    "FileStack",
    "Tell",
    "Unopened",
    "find_files",
    "open_each",
    "open_images",
    "read_pixel_size",
]


def open_images(
    paths: Sequence[str | Path],
    *,
    axes: str | None = None,
    channel: int | str | None = None,
    tell: Tell | None = None,
) -> list[FileStack]:
    """Open images without reading their pixels.

    Parameters
    ----------
    paths : sequence of str or Path
        TIFF files, OME-Zarr folders (images, plates, or what is inside of them), NumPy files, glob
        patterns (``**`` goes into subfolders) and folders with such images; see `find_files`.
    axes : str, optional
        One letter of ``STCZYX`` per axis, for all files; by default what the file says, and what
        it does not say is guessed.
    channel : int or str, optional
        Use this channel only: its index on axis C, counted from 0, or its name in the file.
    tell : callable, optional
        Given a `Notice` if images in a folder were left out, or a Zarr seems to be unfinished.

    Returns
    -------
    list of FileStack
        One a file; one a series, field of a plate or array for files with several. Pixels are read
        when they are needed.

    Raises
    ------
    ImageFileError
        If there is nothing to open, or a file is unreadable or truncated.
    ImageError, AxesError
        For RGB images, labels, and axes that do not fit.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    stacks: list[FileStack] = []
    for image in open_each(find_files(paths, tell=tell), axes=axes, channel=channel, tell=tell):
        if isinstance(image, Unopened):
            raise image.error
        stacks.append(image)
    if not stacks:
        raise ImageFileError(
            "No image was named; give TIFF files, OME-Zarr folders, NumPy files, patterns or folders."
        )
    return stacks


def open_each(
    files: Iterable[Path],
    *,
    axes: str | None = None,
    channel: int | str | None = None,
    tell: Tell | None = None,
) -> Iterator[FileStack | Unopened]:
    """Open the images in files one after the other; one that cannot be opened does not end it.

    Parameters
    ----------
    files : iterable of Path
        See `find_files`; one that belongs to another's image is passed over.
    axes, channel, tell
        As for `open_images`.
    """
    covered: set[Path] = set()
    for file in files:
        if file.resolve() in covered:
            continue
        try:
            if file.is_dir():
                yield from open_zarr(file, axes, channel, tell)
            elif is_numpy(file):
                yield from open_numpy(file, axes, channel)
            else:
                opened, members = open_tiff(file, axes, channel)
                covered |= members
                yield from opened
        except HDNError as error:
            yield Unopened(file, error)


def read_pixel_size(path: str | Path) -> dict[str, float]:
    """Micrometres by axis letter, as far as a TIFF file says them.

    Raises
    ------
    ImageFileError
        If the file cannot be read.
    """
    with tiff_file(Path(path)) as file:
        return pixel_size_of(file)
