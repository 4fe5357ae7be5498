"""Opening TIFF and OME-TIFF: the images in a file, at full resolution."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import unescape

import tifffile

from napari_hdn.core.axes import guess_axes
from napari_hdn.core.errors import AxesError, HDNError, ImageError, ImageFileError
from napari_hdn.io.reading.stack import FileStack, file_stack
from napari_hdn.io.reading.tiff_metadata import metadata_of
from napari_hdn.io.reading.tiff_pixels import open_array, reported_errors
from napari_hdn.io.reading.trouble import damaged, truncated, unreadable


def open_tiff(
    path: Path, axes: str | None, channel: int | str | None
) -> tuple[list[FileStack], set[Path]]:
    """Open a TIFF file, its pixels unread.

    Returns
    -------
    stacks : list of FileStack
        One a series that is not RGB; of a pyramid the finest level.
    members : set of Path
        The files that they are spread over (some OME-TIFFs).

    Raises
    ------
    ImageFileError, ImageError, AxesError
        As `napari_hdn.io.images.open_images`.
    """
    with tiff_file(path) as file:
        series = [
            (number, one)
            for number, one in enumerate(file.series)
            if one.keyframe is None or not one.keyframe.is_reduced
        ]
        _refuse_missing_members(file, path)
        grey = [(number, one) for number, one in series if not _is_rgb(one)]
        if not grey:
            raise ImageError(
                f"{path.name} is an RGB image, whose colours are not camera counts; use the "
                "original grey images, or split its channels first."
            )
        stacks = [
            file_stack(
                open_array(one, path),
                axes or _axes_of(one, path),
                name=path.name if len(grey) == 1 else f"{path.name} [{number}]",
                channel=channel,
                path=path,
                metadata=metadata_of(file, number),
                series=number if len(grey) > 1 else None,
            )
            for number, one in grey
        ]
        spread = [one for _, one in grey if one.is_multifile]
        members = {Path(p.parent.filehandle.path) for s in spread for p in s.pages if p is not None}
        return stacks, {m.resolve() for m in members}


def _refuse_missing_members(file: tifffile.TiffFile, path: Path) -> None:
    """Of an OME-TIFF that is spread over files, tell which are not there; tifffile takes zeros."""
    named = set(re.findall(r'<(?:\w+:)?UUID[^>]*\bFileName="([^"]+)"', file.ome_metadata or ""))
    if len(named) < 2:  # a single file may have been renamed
        return
    names = sorted(unescape(n, {"&quot;": '"', "&apos;": "'"}) for n in named)
    missing = [n for n in names if not (path.parent / n).is_file()]
    if missing:
        which = ", ".join(missing[:4]) + (" and so on" if len(missing) > 4 else "")
        raise ImageFileError(
            f"{path.name} is part of an image in {len(names)} files, of which {len(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} not in {path.parent}: {which}. Put all files into "
            "one folder, with the names that they had."
        )


@contextmanager
def tiff_file(path: Path) -> Iterator[tifffile.TiffFile]:
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
        raise unreadable(path, error) from error
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
