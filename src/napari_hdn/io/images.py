"""Opening the images that a user names: files, patterns, folders."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tifffile

from napari_hdn.core.axes import ImageStack, guess_axes
from napari_hdn.core.errors import AxesError, HDNError, ImageError, ImageFileError
from napari_hdn.core.events import Notice
from napari_hdn.io.generated import is_generated
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.naming import split_suffix
from napari_hdn.io.pixel_size import pixel_size_of
from napari_hdn.io.restorations import is_restoration
from napari_hdn.io.tiff_array import damaged, open_array, reported_errors, truncated

SUFFIXES = (".tif", ".tiff", ".btf")


@dataclass(frozen=True)
class FileStack(ImageStack):
    """An image from a file, with what the file says about its pixels.

    Parameters
    ----------
    path : Path
        The file.
    metadata : ImageMetadata
        Of the whole file, whichever channel was chosen.
    series : int, optional
        Which image of a file with several, counted from 0.
    """

    path: Path = field(default=Path(), kw_only=True)
    metadata: ImageMetadata = field(default_factory=ImageMetadata, kw_only=True)
    series: int | None = field(default=None, kw_only=True)

    @property
    def pixel_size_um(self) -> dict[str, float]:
        """Micrometres by axis letter; empty if the file does not say."""
        return self.metadata.pixel_size_um

    @property
    def own_metadata(self) -> ImageMetadata:
        """What a file made from this image says: of the chosen channel, where one was chosen."""
        return self.metadata.of_channel(self.channel)

    @property
    def stem(self) -> str:
        """What to begin the name of a file with that is made from this image."""
        stem = split_suffix(self.path.name)[0]
        return stem if self.series is None else f"{stem}-{self.series}"


@dataclass(frozen=True)
class Unopened:
    """A file that holds no image which can be used, and why."""

    path: Path
    error: HDNError


Tell = Callable[[Notice], object]


def open_images(
    paths: Sequence[str | Path],
    *,
    axes: str | None = None,
    channel: int | None = None,
    tell: Tell | None = None,
) -> list[FileStack]:
    """Open images without reading their pixels.

    Parameters
    ----------
    paths : sequence of str or Path
        TIFF files, glob patterns (``**`` goes into subfolders) and folders, of which all
        ``.tif``, ``.tiff`` and ``.btf`` files are taken in natural order (``t2`` before ``t10``),
        except for images that napari-hdn restored.
    axes : str, optional
        One letter of ``STCZYX`` per axis, for all files; by default what the file says, and what
        it does not say is guessed.
    channel : int, optional
        Use this index of axis C only, counted from 0.
    tell : callable, optional
        Given a `Notice` if restored images in a folder were left out.

    Returns
    -------
    list of FileStack
        One a file, or one a series for files with several; memory-mapped where the file is not
        compressed, else read page by page when needed.

    Raises
    ------
    ImageFileError
        If there is nothing to open, or a file is unreadable or truncated.
    ImageError, AxesError
        For RGB images, and axes that do not fit.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    stacks: list[FileStack] = []
    for image in open_each(find_files(paths, tell=tell), axes=axes, channel=channel):
        if isinstance(image, Unopened):
            raise image.error
        stacks.append(image)
    if not stacks:
        raise ImageFileError("No image was named; give TIFF files, patterns or folders.")
    return stacks


def open_each(
    files: Iterable[Path], *, axes: str | None = None, channel: int | None = None
) -> Iterator[FileStack | Unopened]:
    """Open the images in files one after the other; one that cannot be opened does not end it.

    Parameters
    ----------
    files : iterable of Path
        See `find_files`; one that belongs to another's image is passed over.
    axes, channel
        As for `open_images`.
    """
    covered: set[Path] = set()
    for file in files:
        if file.resolve() in covered:
            continue
        try:
            opened, members = _open_file(file, axes, channel)
        except HDNError as error:
            yield Unopened(file, error)
        else:
            covered |= members
            yield from opened


def read_pixel_size(path: str | Path) -> dict[str, float]:
    """Micrometres by axis letter, as far as a TIFF file says them.

    Raises
    ------
    ImageFileError
        If the file cannot be read.
    """
    with _open_tiff(Path(path)) as file:
        return pixel_size_of(file)


def find_files(paths: Sequence[str | Path], *, tell: Tell | None = None) -> list[Path]:
    """The files that paths, patterns and folders stand for, each once, in natural order.

    Of a folder, what napari-hdn restored is left out, and ``tell`` is given a `Notice` about it.

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
        return _images_in(path, tell)
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise ImageFileError(f"There is no file or folder {given}.")
    files = [f for f in map(Path, glob.glob(str(path), recursive=True)) if f.is_file()]
    if not files:
        raise ImageFileError(f"No file matches {given}.")
    return files


def _images_in(folder: Path, tell: Tell | None) -> list[Path]:
    """The images in a folder, without what napari-hdn restored or generated itself."""
    files = [f for f in folder.iterdir() if _is_tiff_name(f)]
    restored = [f for f in files if is_restoration(f) or is_generated(f)]
    if not files:
        raise ImageFileError(
            f"The folder {folder} has no TIFF images; its images must end in "
            f"{', '.join(SUFFIXES)} (subfolders: '{folder / '**' / '*.tif'}')."
        )
    if len(restored) == len(files):
        raise ImageFileError(
            f"The folder {folder} has only images that napari-hdn restored or generated; name the files "
            "themselves to use them all the same."
        )
    if restored and tell is not None:
        first = min(restored, key=_natural).name
        which = first if len(restored) == 1 else f"{len(restored)} images such as {first}"
        tell(
            Notice(
                f"Left out {which} in {folder}, made by napari-hdn; name a file itself to use "
                "it all the same."
            )
        )
    return [f for f in files if f not in set(restored)]


def _is_tiff_name(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def _open_file(
    path: Path, axes: str | None, channel: int | None
) -> tuple[list[FileStack], set[Path]]:
    """The images in a file, and the files that they are spread over (some OME-TIFFs)."""
    with _open_tiff(path) as file:
        series = [
            (number, one)
            for number, one in enumerate(file.series)
            if one.keyframe is None or not one.keyframe.is_reduced
        ]
        grey = [(number, one) for number, one in series if not _is_rgb(one)]
        if not grey:
            raise ImageError(
                f"{path.name} is an RGB image, whose colours are not camera counts; use the "
                "original grey images, or split its channels first."
            )
        stacks = [
            FileStack(
                open_array(one, path),
                axes or _axes_of(one, path),
                name=path.name if len(grey) == 1 else f"{path.name} [{number}]",
                channel=channel,
                path=path,
                metadata=ImageMetadata(pixel_size_of(file, number)),
                series=number if len(grey) > 1 else None,
            )
            for number, one in grey
        ]
        spread = [one for _, one in grey if one.is_multifile]
        members = {Path(p.parent.filehandle.path) for s in spread for p in s.pages if p is not None}
        return stacks, {m.resolve() for m in members}


@contextmanager
def _open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; whatever tifffile finds wrong becomes an `ImageFileError`."""
    try:
        with reported_errors() as errors, tifffile.TiffFile(path) as file:
            count = len(file.series)
            damage = [e for e in errors if re.search(r"invalid (page|value) offset", e)]
            if damage:
                raise truncated(path, "it ends before all that its header names")
            if count == 0:
                raise truncated(path, "it contains no image")
            yield file
    except HDNError:
        raise
    except OSError as error:
        if error.errno is None:  # not from the system
            raise damaged(path, error) from error
        raise ImageFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except tifffile.TiffFileError as error:
        if path.stat().st_size == 0:
            raise truncated(path, "it is empty") from error
        if "not a TIFF" not in str(error):
            raise truncated(path, str(error)) from error
        raise ImageFileError(
            f"{path.name} is not a TIFF file; open it in napari or Fiji and save it as TIFF."
        ) from error
    except Exception as error:  # damage shows in any of a dozen types
        raise damaged(path, error) from error


def _is_rgb(series: tifffile.TiffPageSeries) -> bool:
    """Whether the samples are colours of a pixel; planes apart are channels that were misnamed."""
    return "XS" in series.axes and series.keyframe.photometric in (
        tifffile.PHOTOMETRIC.RGB,
        tifffile.PHOTOMETRIC.YCBCR,
        tifffile.PHOTOMETRIC.CIELAB,
        tifffile.PHOTOMETRIC.SEPARATED,
    )


def _axes_of(series: tifffile.TiffPageSeries, path: Path) -> str:
    """The letters that a file gives its axes; unknown ones are guessed."""
    # tifffile's S is samples of a pixel, and its Q the "other" axis, where write_ome_tiff puts S
    meaning = {"S": "C"} | ({"Q": "S"} if series.kind == "ome" else {})
    letters = [meaning.get(a, a) for a in series.axes]
    try:
        if not {"Y", "X"} <= set(letters):
            return guess_axes(series.shape)
        lead = [a for a in letters if a not in "YX"]
        if not set(lead) & set("TCZS"):
            guessed = iter(guess_axes(series.shape)[:-2])
        else:
            guessed = iter([a for a in "TZSC" if a not in lead])
        return "".join(a if a in "TCZSYX" else next(guessed) for a in letters)
    except (AxesError, StopIteration):
        raise AxesError(
            f"{path.name} has {len(series.shape)} axes of {tuple(series.shape)} pixels, which its "
            "metadata do not explain; say what they are, one letter of STCZYX each."
        ) from None
