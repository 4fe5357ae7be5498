"""The files about how far a restoration can be trusted; their names belong together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import napari_hdn
from napari_hdn.io.disk import check_room, check_writable
from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.naming import free_paths, write_new
from napari_hdn.io.ome_tiff import OmeTiffWriter
from napari_hdn.io.trust.report import trust_page

if TYPE_CHECKING:
    from napari_hdn.core.trust.judgement import Judgement

_ENDINGS = {
    "report": ".html",
    "numbers": ".json",
    "map": ".ome.tif",
    "parts": ".ome.tif",
    "recipe": ".json",
}


_MAPS = 10  # the trust map, and those of `trust_maps` but of levels
_PAGE_BYTES = 5_000_000  # of the report with its pictures, and the numbers


def trust_paths(folder: Path, stem: str) -> dict[str, Path]:
    """Where to write what, by name: report, numbers, map, parts and recipe.

    Returns
    -------
    dict of str to Path
        ``STEM_hdn-trust-report.html`` and so on; all with the same number where one of them exists.
    """
    endings = {name: (f"-{name}", ending) for name, ending in _ENDINGS.items()}
    return free_paths(folder, f"{stem}_hdn-trust", endings)


def trust_products(paths: Mapping[str, Path], written: Sequence[Path]) -> dict[str, Path]:
    """What each file that `write_trust` wrote holds, by name; numbered ones, too."""
    order = [name for name in ("map", "parts", "numbers", "report") if name in paths]
    return dict(zip(order, written, strict=True))


def check_trust_folder(folder: Path, shape: tuple[int, int], levels: int) -> None:
    """Find out before minutes of judging whether its files could be written; makes nothing.

    Parameters
    ----------
    folder : Path
        It need not exist.
    shape : tuple of int
        (Y, X) pixels to be judged.
    levels : int
        Of the model: each has a map.

    Raises
    ------
    OutputError
        If the folder, or the first one above it that exists, cannot be written to or has no room.
    """
    check_writable(folder, f"A trust report cannot be saved to {folder}")
    maps = _MAPS + levels
    check_room(folder, maps * shape[0] * shape[1] * 4 + _PAGE_BYTES, "A trust report with its maps")


def write_trust(
    judgement: Judgement,
    paths: Mapping[str, Path],
    *,
    where: str = "",
    facts: Mapping[str, Any] | None = None,
    metadata: ImageMetadata = NO_METADATA,
) -> list[Path]:
    """Write the report, its numbers, the trust map and the maps of its parts.

    Parameters
    ----------
    judgement : Judgement
    paths : mapping of str to Path
        From `trust_paths`; report and numbers alone are written if there is no ``map``.
    where : str
        Which part of which image this is, in words.
    facts : mapping, optional
        More about the image, for the numbers.
    metadata : ImageMetadata, optional
        Pixel size, time step and channel names.

    Raises
    ------
    OutputError
        If a file cannot be written; then nothing of it is left behind.
    """
    written = []
    if "map" in paths:
        written += _write_maps(judgement, paths, where, metadata)
    numbers = {"napari_hdn": napari_hdn.__version__, "where": where, **(facts or {})}
    text = json.dumps(_finite(numbers | judgement.to_json()), indent=2, ensure_ascii=False)
    written.append(write_new(paths["numbers"], f"{text}\n".encode()))
    page = trust_page(judgement, where, metadata.pixel_size_um)
    written.append(write_new(paths["report"], page.encode()))
    return written


def trust_maps(judgement: Judgement) -> dict[str, np.ndarray]:
    """All maps of a judgement but the trust map itself, (Y, X) float32 by name."""
    residuals = judgement.residuals
    maps = {f"trust by {name}": image for name, image in judgement.trust.parts.items()}
    maps |= {
        "lowest part": judgement.trust.lowest,
        "std": judgement.std,
        "residual variance": residuals.variance,
        "residual mean": residuals.mean,
        "residual lag y": residuals.lag_y,
        "residual lag x": residuals.lag_x,
    }
    if judgement.prior is not None:
        maps["share of the prior"] = judgement.prior.share
        for level in judgement.prior.on:
            maps[f"share of the prior, level {level}"] = judgement.prior.by_level[level - 1]
    return {name: image.astype(np.float32) for name, image in maps.items()}


def _write_maps(
    judgement: Judgement,
    paths: Mapping[str, Path],
    where: str,
    metadata: ImageMetadata,
) -> list[Path]:
    told = f"Judged by napari-hdn with {judgement.model.name}" + (f"; {where}" if where else "")
    maps = trust_maps(judgement)
    parts = list(judgement.trust.parts)
    meaning = "lowest part: " + ", ".join(f"{k} {p}" for k, p in enumerate(parts)) + ", -1 cut off"
    shape = judgement.mean.shape
    with OmeTiffWriter(
        paths["map"],
        shape,
        "YX",
        "float32",
        metadata=metadata,
        description=f"{told}; trust, 0 to 1; the lowest of {', '.join(parts)}",
        rescue=False,
    ) as file:
        file.write((), judgement.trust.trust)
    with OmeTiffWriter(
        paths["parts"],
        (len(maps), *shape),
        "CYX",
        "float32",
        metadata=metadata.with_channels(maps),
        description=f"{told}; {meaning}",
        rescue=False,
    ) as file:
        for k, image in enumerate(maps.values()):
            file.write((k,), image)
    return [paths["map"], paths["parts"]]


def _finite(value: Any) -> Any:
    """What JSON can hold: numbers that are none become null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
