"""The files that a restoration makes: their names, their mark, and how to know them again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import napari_hdn
from napari_hdn.io.naming import split_suffix
from napari_hdn.io.ome_tiff import OmeTiffWriter

_MARK = "Restored by napari-hdn"
_MARK_WITHIN_BYTES = 8192  # of either end: tifffile writes the description behind the pixels
# STEM_hdn-mean, STEM_hdn-TAG-std-2, STEM_hdn-mean-partial
_NAME = re.compile(r"_hdn(-.+)?-(mean|std)(-\d+)?(-partial(-\d+)?)?\.ome\.tiff?$", re.IGNORECASE)


def restoration_writers(
    folder: Path,
    stem: str,
    dtypes: Mapping[str, Any],
    shape: tuple[int, ...],
    axes: str,
    *,
    tag: str = "",
    model: str = "",
    levels_off: Sequence[int] = (),
    pixel_size_um: dict[str, float] | None = None,
) -> dict[str, OmeTiffWriter]:
    """Writers for what is computed from one image; their names belong together.

    Parameters
    ----------
    folder : Path
        Where to write.
    stem : str
        What the names begin with; see `TiffStack.stem`.
    dtypes : mapping of str to dtype
        What to write, such as ``{"mean": "float32", "std": "float32"}``.
    shape, axes
        Of each of them.
    tag : str
        What tells this restoration from others of the same image, in the names: ``-TAG``.
    model : str
        Named in the files.
    levels_off : sequence of int
        Of all latent levels; named in the files, too.
    pixel_size_um : dict of str to float, optional
        Micrometres by axis letter.

    Returns
    -------
    dict of str to OmeTiffWriter
        Not yet entered, for ``STEM_hdn-mean.ome.tif`` and so on, or ``STEM_hdn-mean-2.ome.tif``
        and so on where one of these exists.
    """
    number = 1
    while True:
        numbered = f"-{number}" if number > 1 else ""
        paths = {p: folder / f"{stem}_hdn{tag}-{p}{numbered}.ome.tif" for p in dtypes}
        if not any(path.exists() for path in paths.values()):
            break
        number += 1
    mark = restoration_mark(model, levels_off)
    return {
        product: OmeTiffWriter(
            path, shape, axes, dtypes[product], pixel_size_um=pixel_size_um, description=mark
        )
        for product, path in paths.items()
    }


def restoration_mark(model: str = "", levels_off: Sequence[int] = ()) -> str:
    """What a restored file says of itself: by which version, with which model, which levels off."""
    mark = f"{_MARK} {napari_hdn.__version__}"
    if model:
        mark += f" with model {model}"
    if levels_off:
        plural = "s" if len(levels_off) > 1 else ""
        mark += f", level{plural} {', '.join(map(str, levels_off))} off"
    return mark


def is_restoration(path: Path) -> bool:
    """Whether a file was made by restoring, by its name or the mark in it."""
    if _NAME.search(path.name):
        return True
    if split_suffix(path.name)[1].lower() not in (".ome.tif", ".ome.tiff", ".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(_MARK_WITHIN_BYTES)
            file.seek(max(0, path.stat().st_size - _MARK_WITHIN_BYTES))
            return _MARK.encode() in begin or _MARK.encode() in file.read()
    except OSError:  # opening it as an image will tell
        return False
