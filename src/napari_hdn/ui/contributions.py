"""What the manifest names besides the docks: sample data, and the writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info

from napari_hdn import api
from napari_hdn.core.errors import HDNError, OutputError
from napari_hdn.ui.export import description_of, metadata_of, ome_path, zarr_path
from napari_hdn.ui.layers import METADATA_KEY, layer_axes

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

    Never over another file: napari asks before it adds the suffix, so that what it asked about
    may be another file than this one. A name that is taken gets a number, and the user is told.

    Parameters
    ----------
    path : str
        As typed; a missing suffix is added.
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
    OutputError
        For pixels that cannot be written so, such as RGB pictures, with the reason. No ValueError,
        since napari takes that for "no writer found" and keeps the text to itself.
    """
    return _saved(ome_path(Path(path)), data, attributes, api.write_ome_tiff)


def write_zarr(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-Zarr 0.5 likewise, with a pyramid where its planes are large.

    Parameters
    ----------
    path, data, attributes
        As for `write_image`.

    Returns
    -------
    list of str
        The folder written.

    Raises
    ------
    OutputError
        As for `write_image`, and where zarr is not installed.
    """
    return _saved(zarr_path(Path(path)), data, attributes, api.write_ome_zarr)


def _saved(
    wanted: Path, data: Any, attributes: dict[str, Any], write: Callable[..., int]
) -> list[str]:
    name = attributes.get("name", wanted.stem)
    if attributes.get("rgb"):
        raise OutputError(f"{name} is an RGB picture; save it as PNG, or as .tif without 'ome'.")
    array = data[0] if attributes.get("multiscale") or isinstance(data, list | tuple) else data
    try:
        target = api.free_path(wanted)
        _write(write, target, array, name, attributes)
    except HDNError as error:
        raise OutputError(f"{name} was not saved: {error}") from error
    if target != wanted:
        show_info(f"{wanted.name} exists already and was left alone; saved as {target.name}.")
    if np.dtype(array.dtype).itemsize > 4:
        show_info(
            f"{target.name} has 32-bit numbers; the layer's are {np.dtype(array.dtype).name}."
        )
    _write_recipe(attributes.get("metadata") or {}, target)
    return [str(target)]


def _write_recipe(metadata: Mapping[str, Any], target: Path) -> None:
    """Beside the file of a layer that has one: what was done; the file is saved already."""
    identity = metadata.get(METADATA_KEY)
    recipe = identity.get("recipe") if isinstance(identity, Mapping) else None
    if not isinstance(recipe, Mapping):
        return
    assert isinstance(identity, Mapping)
    try:
        api.write_recipe_beside(recipe, str(identity.get("product", "image")), target)
    except HDNError as error:
        show_info(f"{target.name} is saved, but not the recipe beside it: {error}")


def _write(
    write: Callable[..., int], path: Path, array: Any, name: str, attributes: dict[str, Any]
) -> None:
    metadata = attributes.get("metadata") or {}
    axes = layer_axes(array.shape, attributes.get("axis_labels") or (), metadata)
    scale, units = attributes.get("scale"), attributes.get("units")
    known = metadata_of(
        axes,
        [1.0] * len(axes) if scale is None else scale,
        ["pixel"] * len(axes) if units is None else units,
        metadata,
        array,
    )
    told = description_of(metadata)
    write(path, array, axes, metadata=known, name=name, description=told)
