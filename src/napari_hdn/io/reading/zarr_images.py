"""Opening OME-Zarr: single images, several in one container, plates, and places inside of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hdn.core.axes import guess_axes
from napari_hdn.core.errors import HDNError, ImageError, ImageFileError
from napari_hdn.core.events import Notice
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.reading.pixels import Pixels
from napari_hdn.io.reading.split_samples import with_samples
from napari_hdn.io.reading.stack import FileStack, Tell, Unopened, file_stack
from napari_hdn.io.reading.zarr_metadata import (
    Multiscale,
    Node,
    fields,
    is_zarr,
    multiscales,
    read_node,
    usable_paths,
    wells,
)
from napari_hdn.io.reading.zarr_pixels import ZarrPixels

_COUNTED = 1000  # chunks that are looked for, one by one, when an image is opened


@dataclass(frozen=True)
class _Place:
    """Where an image is in a Zarr, and what to call it."""

    folder: Path
    series: int | None = None
    part: str = ""


def open_zarr(
    path: Path, axes: str | None, channel: int | str | None, tell: Tell | None = None
) -> Iterator[FileStack | Unopened]:
    """Open the images in a Zarr folder, at full resolution, their pixels unread.

    Parameters
    ----------
    path : Path
        Of an OME-Zarr image, a plate, a container of several images, or a group or array inside.
    axes, channel, tell
        As for `napari_hdn.io.images.open_images`.

    Yields
    ------
    FileStack or Unopened
        The fields of a plate one by one; one that is damaged does not end it.

    Raises
    ------
    ImageFileError, ImageError
        If there is no image in it at all.
    """
    root = _root_of(path)
    unfinished: list[str] = []
    empty = True
    for place in _places(root, path):
        empty = False
        try:
            yield from _open_group(root, place, axes, channel, unfinished)
        except HDNError as error:
            yield Unopened(place.folder, error)
    if empty:
        raise ImageFileError(
            f"{path.name} has no image in it: its list of images or wells is empty."
        )
    if unfinished and tell is not None:
        others = f" (and {len(unfinished) - 1} more such images)" if len(unfinished) > 1 else ""
        tell(Notice(f"{unfinished[0]}{others}", "warning"))


def _root_of(path: Path) -> Path:
    """The outermost Zarr folder around a path."""
    around = [p for p in (path.absolute(), *path.absolute().parents) if is_zarr(p)]
    return around[-1] if around else path.absolute()


def _places(root: Path, path: Path) -> Iterator[_Place]:
    """The images of the container ``root`` that are in ``path``, at it, or around it."""
    path = path.absolute()
    node = read_node(root, root.name)

    def wanted(folder: Path) -> bool:
        return folder == path or path in folder.parents or folder in path.parents

    if "plate" in node.ome:
        found = _fields_in(root, node, wanted)
    elif "bioformats2raw.layout" in node.ome or (root / "OME" / "METADATA.ome.xml").is_file():
        found = _series_in(root, node, wanted)
    elif path == root:
        yield _Place(root)
        return
    else:
        found = iter(())
    any_found = False
    for place in found:
        any_found = True
        # a level or an array inside an image stands for itself
        yield place if place.folder not in path.parents else _inside(root, path)
    if not any_found and path != root:
        yield _inside(root, path)


def _inside(root: Path, path: Path) -> _Place:
    return _Place(path, part="_".join(path.relative_to(root).parts))


def _fields_in(root: Path, node: Node, wanted: Callable[[Path], bool]) -> Iterator[_Place]:
    for path, name in wells(node):
        if not wanted(root / path):
            continue
        try:
            well = read_node(root / path, f"{root.name}, well {name}")
        except ImageFileError:  # the field that cannot be read will tell
            yield _Place(root / path, part=name)
            continue
        for one in fields(well, path):
            if wanted(root / one.path):
                yield _Place(root / one.path, part=one.name)


def _series_in(root: Path, node: Node, wanted: Callable[[Path], bool]) -> Iterator[_Place]:
    """Of a bioformats2raw container: as its group OME lists them, else 0, 1, 2 and so on."""
    listed = None
    if is_zarr(root / "OME"):
        listed = read_node(root / "OME", f"{root.name}/OME").ome.get("series")
    if not isinstance(listed, list):
        numbers = (int(f.name) for f in root.iterdir() if f.name.isdecimal() and is_zarr(f))
        listed = [str(n) for n in sorted(numbers)]
    paths = [p for p in usable_paths(listed) if p is not None]
    for number, path in enumerate(paths):
        if wanted(root / path):
            yield _Place(root / path, series=number if len(paths) > 1 else None)


def _open_group(
    root: Path, place: _Place, axes: str | None, channel: int | str | None, unfinished: list[str]
) -> Iterator[FileStack]:
    which = str(place.series) if place.series is not None else place.part.replace("_", " ")
    name = f"{root.name} [{which}]" if which else root.name
    node = read_node(place.folder, name)
    _refuse_labels(node, place.folder, name)

    def opened(
        pixels: ZarrPixels, letters: str, metadata: ImageMetadata, more: dict[str, Any]
    ) -> FileStack:
        missing = pixels.missing_chunks(_COUNTED)
        if missing is not None and missing[0]:
            unfinished.append(_unfinished(name, *missing))
        facts = {"name": name, "series": place.series, "part": place.part} | more
        found: tuple[Pixels, str, ImageMetadata] = pixels, letters, metadata
        if axes is None:
            found = with_samples(*found, node.attributes.get("napari-hdn"))
        array, letters, metadata = found
        return file_stack(array, letters, channel=channel, path=root, metadata=metadata, **facts)

    if node.kind == "array":
        pixels = ZarrPixels(place.folder, name)
        level = _level_of(place.folder, name)
        letters = axes or (level.letters(pixels.shape, name) if level else _named(node, pixels))
        metadata = level.metadata(letters) if level else ImageMetadata()
        yield opened(pixels, letters, metadata, {})
        return
    images = multiscales(node, name)
    if not images:
        raise ImageFileError(_no_image(node, place.folder, name))
    for number, image in enumerate(images):
        pixels = ZarrPixels(place.folder / image.path, name)
        letters = axes or image.letters(pixels.shape, name)
        more = {"series": number, "name": f"{name} [{number}]"} if len(images) > 1 else {}
        yield opened(pixels, letters, image.metadata(letters), more)


def _level_of(array: Path, name: str) -> Multiscale | None:
    """What the image says whose level this array is."""
    if not is_zarr(array.parent):
        return None
    found = multiscales(read_node(array.parent, name), name, level=array.name)
    return found[0] if found else None


def _named(node: Node, pixels: ZarrPixels) -> str:
    """The letters of an array that belongs to no image: by its own names, else guessed."""
    names = node.metadata.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS")
    labels = tuple(map(str, names)) if isinstance(names, list) else None
    return guess_axes(pixels.shape, labels)


def _refuse_labels(node: Node, folder: Path, name: str) -> None:
    if "image-label" in node.ome or folder.parent.name == "labels":
        raise ImageError(
            f"{name} is a labels image, whose numbers are names of objects; HDN restores grey "
            "values. Name the image that it was made from."
        )


def _no_image(node: Node, folder: Path, name: str) -> str:
    if isinstance(node.ome.get("labels"), list):
        return (
            f"{name} holds labels only, whose numbers are names of objects; HDN restores grey values. "
            "Name the image that they were made from."
        )
    inside = sorted(f.name for f in folder.iterdir() if f.is_dir() and is_zarr(f))
    hint = f"Inside are {', '.join(inside[:6])}; name one of them." if inside else "It is empty."
    return f"{name} is a Zarr group that says of no image (no multiscales, plate or series). {hint}"


def _unfinished(name: str, missing: int, total: int) -> str:
    which = f"All {total:,}" if missing == total else f"{missing:,} of {total:,}"
    return (
        f"{which} chunks of {name} have no file and count as empty (most often 0). That is as it "
        "should be where nothing was recorded; else it was not written or copied to its end."
    )
