"""What a TIFF file says about the size of its pixels, in micrometres."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import tifffile

_MICROMETRES = {
    "pm": 1e-6,
    "å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,  # the Greek letter, which looks the same
    "um": 1.0,
    "\\u00b5m": 1.0,  # as ImageJ writes it
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}


def pixel_size_of(file: tifffile.TiffFile, series: int = 0) -> dict[str, float]:
    """Micrometres by axis letter from OME, ImageJ or plain TIFF metadata; empty if it has none."""
    try:
        sizes = _sizes(file, series)
    except (ArithmeticError, TypeError, ValueError):  # nonsense there; the pixels may be whole
        return {}
    return {a: s for a, s in sizes.items() if math.isfinite(s) and s > 0}


def _sizes(file: tifffile.TiffFile, series: int) -> dict[str, float]:
    if file.is_ome and file.ome_metadata:
        sizes = _from_ome(file.ome_metadata, series)
    elif file.is_imagej and file.imagej_metadata:
        metadata = file.imagej_metadata
        unit = _MICROMETRES.get(str(metadata.get("unit", "")).lower())
        sizes = {} if unit is None else _from_resolution(file, unit)
        if unit is not None and "spacing" in metadata:
            sizes["Z"] = float(metadata["spacing"]) * unit
    else:
        # inches are dots per inch for a printer, which no microscope means
        page = file.pages.first
        centimetres = page.tags.valueof(296) == tifffile.RESUNIT.CENTIMETER
        sizes = _from_resolution(file, 1e4) if centimetres else {}
    return sizes


def _from_ome(xml: str, series: int) -> dict[str, float]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:  # pixels are readable all the same
        return {}
    pixels = root.findall(".//{*}Image/{*}Pixels")
    if not pixels:
        return {}
    attributes = pixels[min(series, len(pixels) - 1)].attrib
    sizes = {}
    for axis in "XYZ":
        unit = _MICROMETRES.get(attributes.get(f"PhysicalSize{axis}Unit", "µm").lower())
        value = attributes.get(f"PhysicalSize{axis}")
        if value is not None and unit is not None:
            sizes[axis] = float(value) * unit
    return sizes


def _from_resolution(file: tifffile.TiffFile, unit_um: float) -> dict[str, float]:
    """From pixels per unit, which TIFF keeps as a fraction."""
    sizes = {}
    for axis, tag in (("X", 282), ("Y", 283)):
        numerator, denominator = file.pages.first.tags.valueof(tag, default=(0, 0))
        if numerator and denominator:
            sizes[axis] = unit_um * denominator / numerator
    return sizes
