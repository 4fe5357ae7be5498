"""OME-Zarr as other programs write it, with zarr alone, so that nothing of ours takes part."""

import json
from pathlib import Path

import numpy as np
import zarr

AXES = {
    "t": {"name": "t", "type": "time", "unit": "second"},
    "c": {"name": "c", "type": "channel"},
    "z": {"name": "z", "type": "space", "unit": "micrometer"},
    "y": {"name": "y", "type": "space", "unit": "micrometer"},
    "x": {"name": "x", "type": "space", "unit": "micrometer"},
}


def write_attributes(folder: Path, ome: dict, version: str = "0.5", **others) -> None:
    """A Zarr group with these OME attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.5":
        attributes = {"ome": {"version": "0.5", **ome}, **others}
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (folder / "zarr.json").write_text(json.dumps(group))
    else:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps({**ome, **others}))


def multiscale(axes, scale, *, levels: int = 1, top=None) -> dict:
    """What ``multiscales`` holds for an image."""
    described = [AXES[a] if isinstance(a, str) else a for a in axes]
    lead = len(axes) - 2
    datasets = []
    for level in range(levels):
        factors = [*scale[:lead], *(s * 2**level for s in scale[lead:])]
        steps = [{"type": "scale", "scale": factors}]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    one = {"axes": described, "datasets": datasets, "version": "0.4"}
    return one | ({"coordinateTransformations": [{"type": "scale", "scale": top}]} if top else {})


def write_image(
    folder: Path, image: np.ndarray, axes="tcyx", *, scale=None, top=None, levels: int = 1,
    version: str = "0.5", chunks=None, names=(), others: dict | None = None, **array,
) -> Path:  # fmt: skip
    """An OME-Zarr image with so many levels, each half the size of the one before."""
    scale = scale or [1.0] * image.ndim
    ome: dict = {"multiscales": [multiscale(axes, scale, levels=levels, top=top)]}
    if names:
        ome["omero"] = {"channels": [{"label": n} for n in names]}
    write_attributes(folder, ome, version, **(others or {}))
    for level in range(levels):
        pixels = image[..., :: 2**level, :: 2**level]
        written = zarr.create_array(
            folder / str(level),
            shape=pixels.shape,
            dtype=pixels.dtype,
            chunks=chunks or (*(1,) * (image.ndim - 2), 16, 16),
            zarr_format=3 if version == "0.5" else 2,
            **array,
        )
        written[...] = pixels
    return folder
