"""What the manifest names besides the docks: sample data, and the writer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.core.errors import ImageError
from napari_hdn.ui.export import Picture, pixel_sizes, write_replacing
from napari_hdn.ui.layers import METADATA_KEY

if TYPE_CHECKING:
    from napari_hdn.io.samples import Sample

LayerData = tuple[Any, dict[str, Any], str]


def open_cells_with_pixel_noise() -> list[LayerData]:
    """Noisy frames of simulated cells, and the truth as a hidden layer."""
    return _layers(api.cells_with_pixel_noise())


def open_cells_with_stripes() -> list[LayerData]:
    """The same kind of scene with line noise on top, and the truth as a hidden layer."""
    return _layers(api.cells_with_stripes())


def _layers(sample: Sample) -> list[LayerData]:
    size = sample.pixel_size_um
    limits = (float(sample.truth.min()), float(sample.truth.max()))
    noisy = {
        "name": sample.name,
        "scale": (1.0, size, size),
        "units": ("pixel", "micrometer", "micrometer"),
        "axis_labels": ("t", "y", "x"),
        "contrast_limits": limits,
        "metadata": {METADATA_KEY: {"product": "sample", "gain": sample.gain}},
    }
    truth = {
        "name": f"{sample.name} (truth)",
        "scale": (size, size),
        "units": ("micrometer", "micrometer"),
        "axis_labels": ("y", "x"),
        "contrast_limits": limits,
        "visible": False,
        "metadata": {METADATA_KEY: {"product": "truth"}},
    }
    return [(sample.truth, truth, "image"), (sample.noisy, noisy, "image")]


def write_image(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-TIFF with its pixel size and axes, in its own pixel type.

    Parameters
    ----------
    path : str
        napari's save dialogue has asked already whether to replace a file.
    data : array-like
        The layer's pixels; of a multiscale layer all levels, of which the finest is written.
    attributes : dict
        The layer's, as napari passes them.

    Returns
    -------
    list of str
        The path written.

    Raises
    ------
    ImageError
        For RGB layers, which are pictures rather than measurements.
    """
    if attributes.get("rgb"):
        raise ImageError(
            f"{attributes.get('name', 'The layer')} is an RGB picture; save it as PNG instead."
        )
    array = data[0] if attributes.get("multiscale") or isinstance(data, list | tuple) else data
    identity = attributes.get("metadata", {}).get(METADATA_KEY)
    known = identity.get("axes") if isinstance(identity, dict) else None
    axes = known or api.guess_axes(tuple(array.shape), tuple(attributes.get("axis_labels") or ()))
    sizes = pixel_sizes(
        axes,
        attributes.get("scale") or [1.0] * len(axes),
        attributes.get("units") or ["pixel"] * len(axes),
    )
    picture = Picture(array, axes, attributes.get("name", Path(path).stem), sizes)
    write_replacing(picture, Path(path))
    return [path]
