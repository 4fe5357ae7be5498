"""What a TIFF file says of its pixels' size, its time step and its channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.units import micrometres, positive, seconds


def metadata_of(file: tifffile.TiffFile, series: int = 0) -> ImageMetadata:
    """Of a series, from OME, ImageJ or plain TIFF metadata; empty as far as there is nothing."""
    try:
        if file.is_ome and file.ome_metadata:
            return _of_ome(file.ome_metadata, series)
        if file.is_imagej and file.imagej_metadata:
            return _of_imagej(file, file.imagej_metadata)
        # inches are dots per inch for a printer, which no microscope means
        centimetres = file.pages.first.tags.valueof(296) == tifffile.RESUNIT.CENTIMETER
        return ImageMetadata(_by_resolution(file, 1e4) if centimetres else {})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return ImageMetadata()  # nonsense there; the pixels may be whole


def pixel_size_of(file: tifffile.TiffFile, series: int = 0) -> dict[str, float]:
    """Micrometres by axis letter; see `metadata_of`."""
    return metadata_of(file, series).pixel_size_um


def _of_ome(xml: str, series: int) -> ImageMetadata:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:  # pixels are readable all the same
        return ImageMetadata()
    images = root.findall(".//{*}Image/{*}Pixels")
    if not images:
        return ImageMetadata()
    pixels = images[min(series, len(images) - 1)]
    sizes: dict[str, float] = {}
    for axis in "XYZ":
        unit = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if (size := positive(pixels.get(f"PhysicalSize{axis}"), unit)) is not None:
            sizes[axis] = size
    channels = pixels.findall("{*}Channel")
    names = tuple(c.get("Name", "") for c in channels)
    if any(positive(c.get("SamplesPerPixel", 1)) != 1 for c in channels):
        names = ()
    step = positive(pixels.get("TimeIncrement"), seconds(pixels.get("TimeIncrementUnit", "s")))
    return ImageMetadata(sizes, step or _step_of_planes(pixels), names)


def _step_of_planes(pixels: ElementTree.Element) -> float | None:
    """The median time between frames, from when each first plane was recorded."""
    begun: dict[int, float] = {}
    for plane in pixels.findall("{*}Plane"):
        unit, at = seconds(plane.get("DeltaTUnit", "s")), plane.get("DeltaT")
        if unit is not None and at is not None and plane.get("TheC") == plane.get("TheZ") == "0":
            begun[int(plane.get("TheT", 0))] = float(at) * unit
    times = [begun[t] for t in sorted(begun)]
    if len(times) < 2:
        return None
    return positive(median(b - a for a, b in pairwise(times)))


def _of_imagej(file: tifffile.TiffFile, metadata: dict[str, Any]) -> ImageMetadata:
    unit = micrometres(metadata.get("unit"))
    sizes = {} if unit is None else _by_resolution(file, unit)
    if (depth := positive(metadata.get("spacing"), unit)) is not None:
        sizes["Z"] = depth
    step = positive(metadata.get("finterval"), seconds(metadata.get("tunit", "sec")))
    if step is None and (rate := positive(metadata.get("fps"))) is not None:
        step = 1 / rate
    return ImageMetadata(sizes, step, _imagej_channels(metadata))


def _imagej_channels(metadata: dict[str, Any]) -> tuple[str, ...]:
    """The labels of slices, where they are names of channels: the same at all times and depths."""
    count, labels = int(metadata.get("channels", 1)), metadata.get("Labels")
    if count < 2 or not isinstance(labels, Sequence) or isinstance(labels, str):
        return ()
    names = tuple(str(label) for label in labels[:count])  # channels are ImageJ's fastest axis
    same = all(str(label) == names[i % count] for i, label in enumerate(labels))
    return names if same and len(names) == count else ()


def _by_resolution(file: tifffile.TiffFile, unit_um: float) -> dict[str, float]:
    """From pixels per unit, which TIFF keeps as a fraction."""
    sizes = {}
    for axis, tag in (("X", 282), ("Y", 283)):
        numerator, denominator = file.pages.first.tags.valueof(tag, default=(0, 0))
        if numerator and (size := positive(unit_um * denominator / numerator)) is not None:
            sizes[axis] = size
    return sizes
