"""The files that paths, patterns and folders stand for."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from napari_hdn.core.errors import ImageFileError
from napari_hdn.core.events import Notice
from napari_hdn.io.generated import is_generated
from napari_hdn.io.reading.numpy_files import SUFFIXES as NUMPY_SUFFIXES
from napari_hdn.io.reading.numpy_files import is_noise_model
from napari_hdn.io.reading.stack import Tell
from napari_hdn.io.reading.zarr_metadata import is_zarr
from napari_hdn.io.restorations import is_restoration

TIFF_SUFFIXES = (".tif", ".tiff", ".btf")
ZARR_SUFFIX = ".zarr"


def find_files(paths: Sequence[str | Path], *, tell: Tell | None = None) -> list[Path]:
    """The files that paths, patterns and folders stand for, each once, in natural order.

    An OME-Zarr folder counts as a file. Of another folder all TIFF files and OME-Zarr images are taken,
    and NumPy files if there is nothing else; what napari-hdn restored is left out, and ``tell`` is given
    a `Notice` about it.

    Raises
    ------
    ImageFileError
        If one of them stands for no file, or cannot be looked into.
    """
    found: dict[Path, Path] = {}
    for given in paths:
        try:
            for file in sorted(_files_of(given, tell), key=_natural):
                found.setdefault(file.resolve(), file)
        except ImageFileError:
            raise
        except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody, links in a circle
            reason = getattr(error, "strerror", None) or str(error)
            raise ImageFileError(f"{given} cannot be looked into: {reason.rstrip('.')}.") from error
    return list(found.values())


def _files_of(given: str | Path, tell: Tell | None) -> list[Path]:
    path = Path(given).expanduser()
    if path.is_dir():
        return [path] if _is_zarr_folder(path) or _in_zarr(path) else _images_in(path, tell)
    if path.exists() or (path.parent.suffix.lower() == ".npz" and path.parent.is_file()):
        return [path]
    if not glob.has_magic(str(path)):
        raise ImageFileError(f"There is no file or folder {given}.")
    files = [f for f in map(Path, glob.glob(str(path), recursive=True)) if _is_named(f)]
    if not files:
        raise ImageFileError(f"No file matches {given}.")
    return files


def _is_named(match: Path) -> bool:
    """Whether what matches a pattern is meant: no folders but Zarr, nothing of which Zarr is made."""
    if match.is_dir():
        return _is_zarr_folder(match)
    return match.is_file() and not _in_zarr(match)


def _images_in(folder: Path, tell: Tell | None) -> list[Path]:
    """The images in a folder, without what napari-hdn restored or generated itself."""
    entries = [f for f in folder.iterdir() if not f.name.startswith(".")]
    files = [f for f in entries if _is_tiff(f) or (f.is_dir() and _is_zarr_folder(f))]
    arrays = [f for f in entries if _is_array(f)]
    if not files:
        files, arrays = arrays, []
    restored = [f for f in files if is_restoration(f) or is_generated(f)]
    if not files:
        raise ImageFileError(
            f"The folder {folder} has no images: no TIFF files ({', '.join(TIFF_SUFFIXES)}), OME-Zarr "
            f"folders or NumPy files (subfolders: '{folder / '**' / '*.tif'}')."
        )
    if len(restored) == len(files):
        raise ImageFileError(
            f"The folder {folder} has only images that napari-hdn restored or generated; name the files "
            "themselves to use them all the same."
        )
    if restored and tell is not None:
        tell(
            Notice(
                f"Left out {_named(restored, 'images')} in {folder}, made by napari-hdn; name a file "
                "itself to use it all the same."
            )
        )
    if arrays and tell is not None:
        tell(
            Notice(
                f"Left out {_named(arrays, 'NumPy files')} in {folder}, since there are other images; "
                "name a file itself to use it."
            )
        )
    left_out = set(restored)
    return [f for f in files if f not in left_out]


def _named(files: list[Path], what: str) -> str:
    first = min(files, key=_natural).name
    return first if len(files) == 1 else f"{len(files)} {what} such as {first}"


def _is_tiff(file: Path) -> bool:
    return file.suffix.lower() in TIFF_SUFFIXES and file.is_file()


def _is_array(file: Path) -> bool:
    suffix = file.suffix.lower()
    return suffix in NUMPY_SUFFIXES and file.is_file() and not is_noise_model(file)


def _is_zarr_folder(folder: Path) -> bool:
    return folder.suffix.lower() == ZARR_SUFFIX or is_zarr(folder)


def _in_zarr(path: Path) -> bool:
    """Whether a path is inside a Zarr, such as the row of a plate."""
    return any(p.suffix.lower() == ZARR_SUFFIX and is_zarr(p) for p in path.parents)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]
