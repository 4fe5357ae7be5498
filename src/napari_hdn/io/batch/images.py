"""The images of a batch: where they lie, what they are called, and how a changed one is known."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Self

from napari_hdn.core.errors import HDNError
from napari_hdn.core.events import Notice
from napari_hdn.io.images import FileStack, Tell, Unopened, find_files, open_each
from napari_hdn.io.naming import split_suffix
from napari_hdn.io.reading.zarr_metadata import is_zarr, well_name
from napari_hdn.io.reading.zarr_pixels import ZarrPixels
from napari_hdn.io.restorations import is_restoration

_ZARR = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
_FIELD = re.compile(r"(?P<well>.+)_f(?P<field>\d+)")


@dataclass(frozen=True)
class BatchImage:
    """One image of a batch.

    Attributes
    ----------
    name : str
        Its path below what was named, with slashes; with what tells it from others of its file.
    path : Path
        Of its file, or of the folder of an OME-Zarr.
    below : Path
        The subfolder that it lies in, of what was named.
    stack : FileStack or None
        None where it could not be opened.
    error : HDNError or None
        Why not.
    marked : Path
        By which it is known whether the image changed: the file; the folder of an OME-Zarr's array.
    size, modified : int or None, str
        Of that file when it was opened; of an OME-Zarr, of the array's metadata.
    plate, well, field : str
        Where it is on a plate, such as ``B03`` and ``1``; empty for other images.
    """

    name: str
    path: Path
    below: Path
    stack: FileStack | None
    error: HDNError | None
    marked: Path
    size: int | None
    modified: str
    plate: str = ""
    well: str = ""
    field: str = ""

    @property
    def work(self) -> int:
        """Pixels to restore."""
        if self.stack is None:
            return 0
        height, width = self.stack.plane_shape
        return len(self.stack) * int(height) * int(width)

    @classmethod
    def of(cls, stack: FileStack) -> Self:
        """An image that was opened by itself."""
        marked = _marked(stack)
        known = fingerprint(marked)
        return cls(stack.name, stack.path, Path(), stack, None, marked, *known)

    def of_channel(self, channel: int | None) -> Self:
        """The same, restricted to a channel where there are several."""
        return self if self.stack is None else replace(self, stack=self.stack.of_channel(channel))

    @property
    def unchanged(self) -> bool:
        """Whether the file is the one that was opened."""
        return fingerprint(self.marked) == (self.size, self.modified)

    def written_since(self, when: str) -> bool:
        """Whether a file of an OME-Zarr was copied to its place after a moment of the table.

        Its metadata do not tell that a damaged chunk was mended; to look at all files takes a while.
        """
        if not self.marked.is_dir():
            return False
        try:
            moment = datetime.fromisoformat(when).timestamp()
        except ValueError:  # what a spreadsheet has made of it
            return False
        for folder, _, names in os.walk(self.marked):
            for name in names:
                with contextlib.suppress(OSError):
                    found = os.stat(os.path.join(folder, name))
                    # copying may keep the time of writing, and then the other is the one of the copy
                    if max(found.st_mtime, found.st_ctime) > moment:
                        return True
        return False


def find_images(
    paths: Sequence[str | Path],
    *,
    axes: str | None = None,
    channel: int | str | None = None,
    out: Path | None = None,
    tell: Tell | None = None,
) -> tuple[Path, Iterator[int | list[BatchImage]]]:
    """Find the images that are named, and open them one by one.

    Parameters
    ----------
    paths, axes, channel, tell
        As for `napari_hdn.io.images.open_images`.
    out : Path, optional
        The folder of the results: those in it that a pattern matches are left out.

    Returns
    -------
    folder : Path
        That all lie below.
    found : iterator
        How many files were looked into, after each; all images last.

    Raises
    ------
    ImageFileError
        If something that is named is not there; files that cannot be opened are images with errors.
    """
    named = [Path(p).expanduser() for p in paths if Path(p).expanduser().exists()]
    explicit = {p.resolve() for p in named}
    files = find_files(paths, tell=tell)
    ours = [f for f in files if f.resolve() not in explicit and _is_result(f, out)]
    if ours and tell is not None:
        tell(Notice(f"Left out {len(ours)} of the images, which napari-hdn restored: {ours[0]}"))
    kept = [f for f in files if f not in set(ours)]
    folder = common_folder([root_of(p) for p in paths])
    return folder, _opened(kept, folder, axes, channel, tell)


def _is_result(file: Path, out: Path | None) -> bool:
    if out is None or not file.resolve().is_relative_to(out.resolve()):
        return False
    return is_restoration(file)


def _opened(
    files: list[Path], folder: Path, axes: str | None, channel: int | str | None, tell: Tell | None
) -> Iterator[int | list[BatchImage]]:
    images: list[BatchImage] = []
    names: set[str] = set()
    seen = {file: number for number, file in enumerate(files, 1)}
    for image in open_each(files, axes=axes, channel=channel, tell=tell):
        path = image.path
        below = relative(path, folder)
        name = below.as_posix()
        stack, error = (None, image.error) if isinstance(image, Unopened) else (image, None)
        if stack is not None and stack.name != path.name:  # one of several in the file
            name += stack.name.removeprefix(path.name)
        unique, number = name, 2
        while unique in names:
            unique, number = f"{name} ({number})", number + 1
        names.add(unique)
        marked = path if stack is None else _marked(stack)
        known = fingerprint(marked)
        at = _on_plate(path, stack)
        images.append(BatchImage(unique, path, below.parent, stack, error, marked, *known, *at))
        yield seen.get(path, len(images))
    yield images


def _marked(stack: FileStack) -> Path:
    return stack.array.folder if isinstance(stack.array, ZarrPixels) else stack.path


def _on_plate(path: Path, stack: FileStack | None) -> tuple[str, str, str]:
    """Plate, well and field of an image; of a field that cannot be opened, by where it lies."""
    zarr = around(path)
    if zarr is None:
        return "", "", ""
    plate = split_suffix(zarr.name)[0]
    if stack is not None:
        found = _FIELD.fullmatch(stack.part)
        return (plate, found["well"], found["field"]) if found else ("", "", "")
    row, column, *field = (*path.relative_to(zarr).parts, "", "")
    return (plate, well_name(f"{row}/{column}"), field[0]) if column else ("", "", "")


def around(path: Path) -> Path | None:
    """The outermost OME-Zarr that a path is, or is in."""
    path = Path(os.path.abspath(path))
    zarrs = [p for p in (path, *path.parents) if is_zarr(p)]
    return zarrs[-1] if zarrs else None


def root_of(given: str | Path) -> Path:
    """The folder that images are named from: itself, a file's, or that before the first wildcard.

    Of an OME-Zarr, or a place in it, the folder that the OME-Zarr lies in.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        folder = path
    elif path.exists():
        folder = path.parent
    else:
        fixed = takewhile(lambda part: not glob.has_magic(part), path.parts[:-1])
        folder = Path(*fixed)
        if folder.is_file():  # an array in an .npz
            folder = folder.parent
    zarr = around(folder)
    return folder if zarr is None else zarr.parent


def is_one(given: str | Path) -> bool:
    """Whether an image is named by itself, rather than by a folder or a pattern."""
    path = Path(given).expanduser()
    if around(path) is not None or path.parent.is_file():
        return not glob.has_magic(str(path))
    return path.is_file()


def common_folder(folders: Sequence[Path]) -> Path:
    """The deepest folder that holds all of these; the root where they are on several drives."""
    try:
        return Path(os.path.commonpath([os.path.abspath(f) for f in folders]))
    except ValueError:  # Windows: C: and D:
        return Path(os.sep)


def relative(path: Path, folder: Path) -> Path:
    """A path as seen from a folder above it; with its drive as a folder where there is none."""
    path = Path(os.path.abspath(path))
    if path.is_relative_to(folder):
        return path.relative_to(folder)
    return Path(path.drive.strip("\\/:?").replace("\\", "/") or "root", *path.parts[1:])


def fingerprint(path: Path) -> tuple[int | None, str]:
    """Size in bytes and time of change (UTC) of a file, or of the metadata of an OME-Zarr."""
    if path.is_dir():
        path = next((path / n for n in _ZARR if (path / n).is_file()), path)
    try:
        stat = path.stat()
    except OSError:
        return None, ""
    whole, nanoseconds = divmod(stat.st_mtime_ns, 10**9)
    moment = datetime.fromtimestamp(whole, UTC)
    return stat.st_size, f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
