"""Layers to OME-TIFF and OME-Zarr: from the dock as a job, and through napari's save dialogue."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pint

from napari_hdn import api
from napari_hdn.api import ImageStack, Notice
from napari_hdn.core.errors import OutputError
from napari_hdn.ui.channel_names import channel_names
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.layers import METADATA_KEY, array_of, guess_layer_axes


@dataclass(frozen=True)
class Picture:
    """What of a layer goes into a file."""

    array: Any
    axes: str
    name: str
    metadata: api.ImageMetadata
    description: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)  # of a layer that was restored

    @classmethod
    def of(cls, layer: Any, axes: str | None = None) -> Picture:
        """Read it off a layer, on the main thread."""
        axes = guess_layer_axes(layer, axes)
        array = array_of(layer)
        known = metadata_of(axes, layer.scale, layer.units, layer.metadata, array)
        identity = layer.metadata.get(METADATA_KEY) or {}
        return cls(array, axes, layer.name, known, description_of(layer.metadata), identity)


def description_of(metadata: Mapping[str, Any]) -> str:
    """What a file of a layer says of it: with which model it was restored, if it was."""
    identity = metadata.get(METADATA_KEY)
    if not isinstance(identity, Mapping) or "restoration" not in identity:
        return ""
    return api.restoration_mark(identity.get("model", ""), identity.get("levels_off", ()))


def pixel_sizes(axes: str, scale: Sequence[float], units: Sequence[Any]) -> dict[str, float]:
    """Micrometres by axis letter, of the axes whose unit is a length."""
    sizes = {}
    for letter, step, unit in zip(axes, scale, units, strict=True):
        factor = _measured_in(unit, "micrometer")
        if letter in "ZYX" and factor is not None and _is_size(step):
            sizes[letter] = abs(float(step)) * factor
    return sizes


def _is_size(step: float) -> bool:
    """Some readers give NaN or 0 where a file does not say."""
    return math.isfinite(step) and step != 0


def metadata_of(
    axes: str,
    scale: Sequence[float],
    units: Sequence[Any],
    metadata: Mapping[str, Any],
    array: Any = None,
) -> api.ImageMetadata:
    """What a layer says of its image: pixel size, time step, and the names of its channels."""
    step = None
    if "T" in axes:
        k = axes.index("T")
        factor = _measured_in(units[k], "second")
        if factor is not None and _is_size(scale[k]):
            step = abs(float(scale[k])) * factor
    names = channel_names(axes, metadata, array)
    return api.ImageMetadata(pixel_sizes(axes, scale, units), step, names)


def _measured_in(unit: Any, other: str) -> float | None:
    """How much of another unit it is, if it is of that kind; napari keeps units as pint's."""
    try:
        return float(pint.get_application_registry().Quantity(1.0, str(unit)).m_as(other))
    except pint.PintError:
        return None


def ome_path(path: Path) -> Path:
    """A path that ends as OME-TIFF should; "cells 0.5um" has no suffix but a point in its name."""
    stem, suffix = api.split_suffix(path.name)
    if suffix.lower() in {".ome.tif", ".ome.tiff"}:
        return path
    is_tiff = suffix.lower() in {".tif", ".tiff"}
    return path.with_name(f"{stem if is_tiff else path.name}.ome.tif")


def is_zarr(path: Path) -> bool:
    """Whether a file of this name is an OME-Zarr."""
    return path.name.lower().endswith(".ome.zarr")


def zarr_path(path: Path) -> Path:
    """The same for OME-Zarr."""
    name = path.name
    for suffix in (".ome.zarr", ".zarr"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    return path.with_name(f"{name}.ome.zarr")


@dataclass(frozen=True)
class Clipping:
    """How many pixels an integer type could not hold."""

    clipped: int
    total: int
    dtype: str
    low: float
    high: float

    def __str__(self) -> str:
        limits = np.iinfo(self.dtype)
        if self.clipped == 0:
            return (
                f"No pixel is clipped: values from {self.low:.6g} to {self.high:.6g} fit "
                f"{self.dtype} and are rounded to whole counts."
            )
        return (
            f"{self.clipped:,} of {self.total:,} pixels ({self.clipped / self.total:.2%}) would be "
            f"clipped: values go from {self.low:.6g} to {self.high:.6g}, {self.dtype} holds "
            f"{limits.min} to {limits.max}. float32 keeps them."
        )


def count_clipping(picture: Picture, dtype: str) -> Clipping:
    """Count, plane by plane, what an integer type would clip; for any thread."""
    limits = np.iinfo(dtype)
    stack = ImageStack(picture.array, picture.axes, name=picture.name)
    clipped, low, high = 0, np.inf, -np.inf
    for index in stack.indices():
        plane = np.rint(stack.plane(index))
        clipped += int(np.count_nonzero((plane < limits.min) | (plane > limits.max)))
        low, high = min(low, float(plane.min())), max(high, float(plane.max()))
    return Clipping(clipped, int(np.prod(picture.array.shape)), dtype, low, high)


@dataclass(frozen=True)
class Exported:
    """The last event of an export."""

    path: Path
    clipped: int


class ExportJob(Job):
    """Write a layer as OME-TIFF or OME-Zarr, as its name ends.

    Parameters
    ----------
    picture : Picture
    path : Path
        A file that is there was agreed to be replaced; there is no folder of this name.
    dtype : str
        ``float32`` or an integer type.
    """

    kind = "export"

    def __init__(self, picture: Picture, path: Path, dtype: str) -> None:
        super().__init__(f"saving {path.name}")
        self.picture: Picture | None = picture  # until the job is over
        self.path = path
        self.dtype = dtype

    def work(self) -> Iterator[Any]:
        """Write, in the worker's thread."""
        assert self.picture is not None
        write = write_folder if is_zarr(self.path) else write_replacing
        clipped = write(self.picture, self.path, self.dtype)
        if isinstance(recipe := self.picture.identity.get("recipe"), Mapping):
            product = str(self.picture.identity.get("product", "image"))
            yield Notice(f"Recipe: {api.write_recipe_beside(recipe, product, self.path).name}")
        yield Exported(self.path, clipped)

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Exported):
            self.fraction = 1.0
            if event.clipped:
                self.notices.append(
                    Notice(f"{event.clipped:,} pixels were clipped to {self.dtype}.", "warning")
                )
            self.end(f"Saved {event.path}.")

    def close(self) -> None:
        """Let go of the pixels."""
        super().close()
        self.picture = None


def write_folder(picture: Picture, path: Path, dtype: Any = None) -> int:
    """Write an OME-Zarr, which appears when it is whole; return how many pixels were clipped.

    Raises
    ------
    OutputError
        If there is something of this name, or it cannot be written; then nothing is left behind.
    HDNError
        If zarr is not installed.
    """
    return _written(api.write_ome_zarr, path, picture, dtype)


def _written(write: Callable[..., int], path: Path, picture: Picture, dtype: Any) -> int:
    return write(
        path,
        picture.array,
        picture.axes,
        metadata=picture.metadata,
        dtype=dtype,
        name=picture.name,
        description=picture.description,
    )


def write_replacing(picture: Picture, path: Path, dtype: Any = None) -> int:
    """Write a file whose replacement was agreed to: the old one goes only when the new is whole.

    Returns
    -------
    int
        How many pixels were clipped.

    Raises
    ------
    OutputError
        If it cannot be written or the old file cannot be replaced, as when another program has it
        open; the old one is as it was, and nothing else is left behind.
    """
    target = path if not path.exists() else api.free_path(path)
    clipped = _written(api.write_ome_tiff, target, picture, dtype)
    if target != path:
        try:
            target.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                target.unlink()
            raise OutputError(
                f"{path} could not be replaced: {error.strerror or error}. It is as it was; close "
                "programs that have it open, or choose another name."
            ) from error
    return clipped
