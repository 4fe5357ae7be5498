"""The OME-Zarr 0.5 metadata of an image: axes, units, scales, channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.zarr.layout import Layout

_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_TYPES = {"T": "time", "C": "channel", "S": "sample"}  # of others: space

Window = tuple[float, float, float, float]
"""Darkest and brightest possible value, and what to show as black and as white."""


def ome_attributes(
    layout: Layout, metadata: ImageMetadata, name: str, windows: list[Window]
) -> dict[str, Any]:
    """What stands under ``ome``.

    Parameters
    ----------
    layout : Layout
    metadata : ImageMetadata
    name : str
    windows : list of Window
        Of each channel; one where there is no axis C.
    """
    from yaozarrs import v05

    steps = {a: _step(a, metadata) for a in layout.axes}
    datasets = []
    for level in range(len(layout.levels)):
        factor = 2.0**level
        scale = [s * factor if a in "YX" else s for a, s in steps.items()]
        # a pixel of a coarser level has its middle between those of the pixels it is the mean of
        moved = [s * (factor - 1) / 2 if a in "YX" else 0.0 for a, s in steps.items()]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level:
            transforms.append({"type": "translation", "translation": moved})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    image: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": [_axis(a, metadata) for a in layout.axes],
                "datasets": datasets,
                **({"type": "mean"} if len(datasets) > 1 else {}),
            }
        ],
    }
    if channels := _channels(layout, metadata, windows):
        image["omero"] = {"channels": channels}
    return v05.Image.model_validate(image).model_dump(mode="json", exclude_none=True)


def _axis(letter: str, metadata: ImageMetadata) -> dict[str, str]:
    axis = {"name": letter.lower(), "type": _TYPES.get(letter, "space")}
    if letter in metadata.pixel_size_um:
        axis["unit"] = "micrometer"
    if letter == "T" and metadata.time_step_s is not None:
        axis["unit"] = "second"
    return axis


def _step(letter: str, metadata: ImageMetadata) -> float:
    if letter == "T":
        return float(metadata.time_step_s or 1.0)
    return float(metadata.pixel_size_um.get(letter, 1.0))


def _channels(
    layout: Layout, metadata: ImageMetadata, windows: list[Window]
) -> list[dict[str, Any]]:
    """Names, colours and contrast; nothing where channels have no names."""
    count = layout.shape[layout.axes.index("C")] if "C" in layout.axes else 1
    names = list(metadata.channel_names)
    if layout.samples:
        names = names or [f"channel {k + 1}" for k in range(count // layout.samples)]
        names = [f"{n}, sample {s + 1}" for s in range(layout.samples) for n in names]
    if len(names) != count:
        return []
    return [
        {
            "label": name,
            "color": _COLOURS[k % len(_COLOURS)] if count > 1 else "FFFFFF",
            "active": k < len(_COLOURS),
            "window": dict(zip(("min", "max", "start", "end"), windows[k], strict=True)),
        }
        for k, name in enumerate(names)
    ]


def window_of(pixels: np.ndarray) -> Window:
    """How to show an image of which these are some pixels."""
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        return 0.0, 1.0, 0.0, 1.0
    black, white = (float(v) for v in np.percentile(finite, [0.1, 99.9]))
    if pixels.dtype.kind in "ui":
        limits = np.iinfo(pixels.dtype)
        return float(limits.min), float(limits.max), black, max(white, black + 1)
    return float(finite.min()), float(finite.max()), black, max(white, black + 1e-6)
