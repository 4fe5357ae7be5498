"""Writing a whole image as OME-Zarr in one go."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import OutputError
from napari_hdn.io.disk import check_room, writing
from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.naming import publish_folder, split_suffix
from napari_hdn.io.zarr.image import ZarrImage


def write_ome_zarr(
    path: Path | str,
    image: Any,
    axes: str,
    *,
    metadata: ImageMetadata = NO_METADATA,
    dtype: Any = None,
    name: str | None = None,
    description: str = "",
    pyramid: bool | None = None,
) -> int:
    """Write an image as OME-Zarr 0.5, some rows of a plane at a time.

    Parameters
    ----------
    path : Path or str
        Must not exist; see `napari_hdn.io.naming.free_path` for one that does not.
    image : array-like
        Anything with ``shape``, ``dtype`` and indexing.
    axes : str
        One letter of ``STCZYX`` per axis of ``image``. They are stored in the order T, C, Z, Y, X, as
        OME-Zarr wants them. S (sample) is stored as an axis of its own type in the place of C; where
        there is a C too, as further channels.
    metadata : ImageMetadata, optional
        Pixel size, time step and channel names.
    dtype : dtype, optional
        As for `napari_hdn.io.ome_tiff.write_ome_tiff`.
    name : str, optional
        Of the image in the metadata.
    description : str, optional
        Who made it, in the metadata.
    pyramid : bool, optional
        Whether there are coarser copies; by default for planes of more than 1024 pixels a side.

    Returns
    -------
    int
        How many pixels were clipped.

    Raises
    ------
    OutputError
        If the folder exists or cannot be written; then nothing is left behind.
    MissingExtraError
        If zarr is not installed.
    """
    path = Path(path)
    stack = ImageStack(image, axes)
    if path.exists():
        raise OutputError(f"{path} exists already; choose another name or folder.")
    made_folder = not path.parent.exists()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    clipped = 0
    try:
        dtype = image.dtype if dtype is None else dtype
        made = ZarrImage.create(temporary, tuple(image.shape), stack.axes, dtype, pyramid=pyramid)
        check_room(path.parent, made.nbytes, path.name)
        for index in stack.indices():
            for first, rows in _rows(stack, index, made.region[0]):
                clipped += made.write(index, rows, first)
            made.shrink(index)
        own = name or split_suffix(path.name)[0]
        made.seal(name=own, metadata=metadata, made_by=description)
        with writing(path):
            publish_folder(temporary, path, numbered=False)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made_folder and path.parent.exists() and not any(path.parent.iterdir()):
            path.parent.rmdir()
    return clipped


def _rows(stack: ImageStack, index: tuple[int, ...], step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Bands of a plane in the array's own type, which `ImageStack.crop` would turn into float32."""
    height = stack.plane_shape[0]
    for first in range(0, height, step):
        rows = slice(first, min(first + step, height))
        piece = np.asarray(stack.array[stack.selection(index, rows, slice(None))])
        yield first, piece.T if stack.x_before_y else piece
