"""What OME-Zarr writes beside its pixels: versions 0.4 and 0.5 (older ones as far as they agree).

Read leniently, since pixels are worth more than a key that is missing; what is needed and wrong is
told. https://ngff.openmicroscopy.org/0.5 and /0.4
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_hdn.core.errors import AxesError, ImageFileError
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.reading.trouble import truncated, unreadable
from napari_hdn.io.units import micrometres, positive, seconds

_TYPES = {"time": "T", "channel": "C"}
_OLD_AXES = "tczyx"  # before 0.3 the order was fixed


@dataclass(frozen=True)
class Node:
    """A folder in a Zarr hierarchy.

    Attributes
    ----------
    kind : str
        ``group`` or ``array``.
    attributes : dict
        As they stand there.
    metadata : dict
        Of an array: its shape and so on.
    """

    kind: Literal["group", "array"]
    attributes: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def ome(self) -> dict[str, Any]:
        """What OME-Zarr says: below ``ome`` since 0.5, before among the other attributes."""
        inner = self.attributes.get("ome")
        return inner if isinstance(inner, dict) else self.attributes


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr group or array."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


def read_node(folder: Path, called: str) -> Node:
    """What a folder of a Zarr is.

    Parameters
    ----------
    folder : Path
    called : str
        In messages.

    Raises
    ------
    ImageFileError
        If it is none, or its metadata are damaged or cannot be read.
    """
    new = _read_json(folder / "zarr.json")
    if new is not None:
        kind = new.get("node_type")
        if kind not in ("group", "array"):
            raise truncated(folder / "zarr.json", f"of {called}: its node_type is {kind!r}")
        attributes = new.get("attributes")
        return Node(kind, attributes if isinstance(attributes, dict) else {}, new)
    attributes = _read_json(folder / ".zattrs")
    array = _read_json(folder / ".zarray")
    if array is not None:
        return Node("array", attributes or {}, array)
    if attributes is None and _read_json(folder / ".zgroup") is None:
        raise ImageFileError(
            f"{called} has no zarr.json, .zgroup or .zarray: it is no Zarr, or its writing or copying "
            "was not finished."
        )
    return Node("group", attributes or {})


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(file, error) from error
    except (ValueError, RecursionError) as error:
        raise truncated(file, f"of {file.parent.name}: {error}") from error
    if not isinstance(content, dict):
        raise truncated(file, f"of {file.parent.name}: it holds no JSON object")
    return content


def made_by(folder: Path) -> str:
    """What napari-hdn wrote of itself into a Zarr, ``Restored by napari-hdn 0.1 ...``; else nothing."""
    try:
        own = read_node(folder, folder.name).attributes.get("napari-hdn")
    except ImageFileError:  # opening it as an image will tell
        return ""
    return str(own.get("made_by", "")) if isinstance(own, dict) else ""


@dataclass(frozen=True)
class Multiscale:
    """An image and where its finest level is.

    Attributes
    ----------
    path : str
        Of the finest level's array, below the group.
    axes : sequence of dict
        ``name``, ``type``, ``unit`` as far as they are known.
    scale : tuple of float or None
        By axis, in the unit of the axis; None where it is nonsense or missing.
    channel_names : tuple of str
    """

    path: str
    axes: tuple[Mapping[str, Any], ...]
    scale: tuple[float | None, ...]
    channel_names: tuple[str, ...]

    def letters(self, shape: Sequence[int], called: str) -> str:
        """One letter of ``STCZYX`` by axis.

        Raises
        ------
        AxesError
            If there is not one for each axis of the array, or Y or X is not among them.
        """
        names = [str(axis.get("name", "")) for axis in self.axes]
        if len(names) != len(shape):
            raise AxesError(
                f"{called} names {len(names)} axes ({', '.join(names)}), but its pixels have "
                f"{len(shape)} ({' x '.join(map(str, shape))}); say what they are, one letter of STCZYX "
                "each."
            )
        letters = [_TYPES.get(str(a.get("type", "")).lower()) or _letter(n) for a, n in
                   zip(self.axes, names, strict=True)]  # fmt: skip
        # whatever else there is, such as angles or phases, is images beside each other
        free = [a for a in "STZC" if a not in letters]
        if letters.count(None) > len(free) or not {"Y", "X"} <= set(letters):
            raise AxesError(
                f"{called} has the axes {', '.join(names)}, of which not all are known; say what they "
                "are, one letter of STCZYX each."
            )
        return "".join(a or free.pop(0) for a in letters)

    def metadata(self, letters: str) -> ImageMetadata:
        """Sizes and names for axes with these letters."""
        sizes: dict[str, float] = {}
        step = None
        for letter, axis, scale in zip(letters, self.axes, self.scale, strict=False):
            unit = axis.get("unit")
            if letter in "ZYX" and (size := positive(scale, micrometres(unit))) is not None:
                sizes[letter] = size
            elif letter == "T":
                step = positive(scale, seconds(unit))
        return ImageMetadata(sizes, step, self.channel_names)


def multiscales(node: Node, called: str, *, level: str | None = None) -> list[Multiscale]:
    """The images of a group: mostly one.

    Parameters
    ----------
    node : Node
    called : str
        In messages.
    level : str, optional
        Of which level, by the name of its array, if not of the finest; images without are left out.

    Raises
    ------
    ImageFileError
        If the metadata lack what is needed to find the pixels.
    """
    listed = node.ome.get("multiscales")
    if not isinstance(listed, list):
        return []
    found = (_multiscale(one, node.ome, called, level) for one in listed)
    return [one for one in found if one is not None]


def _multiscale(
    one: Any, ome: Mapping[str, Any], called: str, level: str | None
) -> Multiscale | None:
    try:
        if level is None:
            finest = one["datasets"][0]
        else:
            finest = next((d for d in one["datasets"] if d["path"] == level), None)
            if finest is None:
                return None
        path = finest["path"]
    except (LookupError, TypeError):
        path = finest = None
    if not isinstance(path, str) or path.startswith("/") or ".." in Path(path).parts:
        raise ImageFileError(
            f"{called} does not say where its pixels are (multiscales, datasets, path: {path!r}); "
            "name the folder of the array itself, or write it again as OME-Zarr 0.4 or 0.5."
        )
    named = one.get("axes")
    axes = _axes(named if isinstance(named, list) else list(_OLD_AXES))
    of_level = _scale(finest.get("coordinateTransformations"), len(axes))
    of_all = _scale(one.get("coordinateTransformations"), len(axes))
    scale = tuple(_product(a, b) for a, b in zip(of_level, of_all, strict=True))
    has_sizes = isinstance(finest.get("coordinateTransformations"), list)
    return Multiscale(path, axes, scale if has_sizes else (None,) * len(axes), _channels(ome))


def _axes(named: list[Any]) -> tuple[Mapping[str, Any], ...]:
    """0.3 has names only."""
    return tuple(a if isinstance(a, dict) else {"name": str(a)} for a in named)


def _scale(transformations: Any, count: int) -> tuple[float | None, ...]:
    """All scales one behind the other; translations do not change sizes."""
    total: tuple[float | None, ...] = (1.0,) * count
    for one in transformations if isinstance(transformations, list) else []:
        if isinstance(one, dict) and one.get("type") == "scale":
            factors = one.get("scale")
            if not isinstance(factors, list) or len(factors) != count:
                return (None,) * count
            total = tuple(_product(a, positive(b)) for a, b in zip(total, factors, strict=True))
    return total


def _product(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a * b


def _channels(ome: Mapping[str, Any]) -> tuple[str, ...]:
    omero = ome.get("omero")
    listed = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(str(c.get("label") or "") if isinstance(c, dict) else "" for c in listed)


def _letter(name: str) -> str | None:
    name = name.strip().lower()
    known = {"time": "T", "channel": "C", "sample": "S", "depth": "Z"}
    return known.get(name) or (name.upper() if name and name in "stczyx" else None)


@dataclass(frozen=True)
class Field:
    """One field of view of a plate.

    Attributes
    ----------
    path : str
        Of its group, below the plate's.
    name : str
        ``B03_f1``: row, column, and which field of the well, counted from 1.
    """

    path: str
    name: str


def wells(node: Node) -> list[tuple[str, str]]:
    """Path and name (``B03``) of the wells of a plate that hold something."""
    plate = node.ome.get("plate")
    listed = plate.get("wells") if isinstance(plate, dict) else None
    paths = [
        w["path"] for w in listed or [] if isinstance(w, dict) and isinstance(w.get("path"), str)
    ]
    return [(path.strip("/"), well_name(path)) for path in paths if ".." not in Path(path).parts]


def well_name(path: str) -> str:
    """``B/3`` as ``B03``, so that files are in the order of the plate."""
    row, _, column = path.strip("/").partition("/")
    return f"{row}{int(column):02d}" if column.isdecimal() else f"{row}{column}".replace("/", "_")


def fields(well: Node, path: str) -> list[Field]:
    """The fields of a well whose folder is ``path`` below the plate's."""
    inside = well.ome.get("well")
    listed = inside.get("images") if isinstance(inside, dict) else None
    paths = [f.get("path") if isinstance(f, dict) else None for f in listed or []]
    return [
        Field(f"{path}/{p.strip('/')}", f"{well_name(path)}_f{number}")
        for number, p in enumerate(paths, 1)
        if isinstance(p, str) and ".." not in Path(p).parts
    ]
