"""The files that a segmentation makes; their names belong together, and never go over others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.naming import free_paths
from napari_hdn.io.ome_tiff import OmeTiffWriter
from napari_hdn.io.restorations import restoration_mark

_ENDINGS = {
    "consensus": ".ome.tif",
    "samples": ".ome.tif",
    "confidence": ".ome.tif",
    "objects": ".csv",
    "scores": ".csv",
    "recipe": ".json",
}


def segmentation_paths(folder: Path, stem: str) -> dict[str, Path]:
    """Where to write what, by name: consensus, samples, confidence, objects, scores and recipe.

    Parameters
    ----------
    folder : Path
    stem : str
        What the names begin with; see `FileStack.stem`.

    Returns
    -------
    dict of str to Path
        All with the same number where one of them exists.
    """
    endings = {name: (f"-{name}", ending) for name, ending in _ENDINGS.items()}
    return free_paths(folder, f"{stem}_hdn-segmented", endings)


def label_writer(
    path: Path,
    shape: tuple[int, ...],
    axes: str,
    *,
    least_px: int,
    recipe: str,
    model: str = "",
    levels_off: Sequence[int] = (),
    metadata: ImageMetadata = NO_METADATA,
    remark: str = "",
) -> OmeTiffWriter:
    """A file for labels, of 16 bits where the number of objects of a plane is sure to fit.

    Parameters
    ----------
    path : Path
    shape, axes
        Of the labels.
    least_px : int
        Of every object, which bounds their number.
    recipe : str
        Named in the file, as are the others.
    model : str
    levels_off : sequence of int
    metadata : ImageMetadata, optional
    remark : str
        See `segmentation_mark`.
    """
    most = shape[axes.index("Y")] * shape[axes.index("X")] // max(1, least_px)
    return OmeTiffWriter(
        path,
        shape,
        axes,
        "uint16" if most < 2**16 else "uint32",
        metadata=metadata,
        description=segmentation_mark(recipe, model, levels_off, remark),
    )


def segmentation_mark(
    recipe: str, model: str = "", levels_off: Sequence[int] = (), remark: str = ""
) -> str:
    """What the files say of themselves; begins as restored ones do, which folders leave out.

    ``remark`` ends it, such as ``consensus of 10 of 12 samples``.
    """
    told = f"{restoration_mark(model, levels_off)}; segmented with recipe {recipe}"
    return f"{told}; {remark}" if remark else told
