"""What jobs will take, found out before they begin."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig, TrainingConfig
from napari_hdn.core.estimates.words import Estimate
from napari_hdn.core.events import Stop
from napari_hdn.core.settings import cores_here
from napari_hdn.io.disk import existing
from napari_hdn.io.images import find_files, open_images

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.io.restorations import Format

MOST_FILES = 100  # that are opened for an estimate


def estimate_restoration(
    model: HDN,
    stacks: Sequence[ImageStack],
    config: RestorationConfig,
    *,
    student: Direct | None = None,
    folder: Path | None = None,
    integers: bool = False,
    format: Format = "ome-tiff",
    pyramid: bool | None = None,
    workers: int = 1,
    stop: Stop | None = None,
) -> Estimate | None:
    """Time, memory and disk of a restoration into files in ``folder``, or into layers without it.

    ``workers`` share the cores of this machine. See `napari_hdn.core.estimates.restoration`.
    """
    from napari_hdn.core.estimates.restoration import estimate_restoration as _estimate
    from napari_hdn.io.zarr.layout import has_pyramid

    estimate = _estimate(
        model,
        stacks,
        config,
        student=student,
        in_memory=folder is None,
        integers=integers,
        free_disk=_free(folder),
        workers=workers,
        threads=max(1, cores_here() // workers) if workers > 1 else None,
        stop=stop,
    )
    if estimate is None or format != "ome-zarr":
        return estimate
    larger = any(has_pyramid(stack.plane_shape, pyramid) for stack in stacks)
    copies = 4 / 3 if larger else 1.0  # a quarter of the pixels, a quarter of these, and so on
    return replace(estimate, disk_bytes=copies * estimate.disk_bytes, compressed=True)


def estimate_files(
    model: HDN,
    images: Sequence[str | Path],
    config: RestorationConfig,
    folder: Path,
    *,
    axes: str | None = None,
    channel_name: str | None = None,
    student: Direct | None = None,
    integers: bool = False,
    format: Format = "ome-tiff",
    pyramid: bool | None = None,
    workers: int = 1,
    stop: Stop | None = None,
) -> Estimate | None:
    """Time, memory and disk of a restoration of files; of very many, some tell of the others.

    Parameters as those of `napari_hdn.api.restore_batch`.

    Raises
    ------
    HDNError
        If the files cannot be opened, or do not fit the config.
    """
    files = find_files(images)
    some = files[:: -(-len(files) // MOST_FILES)]
    estimate = estimate_restoration(
        model,
        open_images(some, axes=axes, channel=channel_name or config.channel),
        config,
        student=student,
        folder=folder,
        integers=integers,
        format=format,
        pyramid=pyramid,
        workers=workers,
        stop=stop,
    )
    return None if estimate is None else estimate.times(len(files) / len(some))


def estimate_training(
    config: TrainingConfig, *, folder: Path | None = None, stop: Stop | None = None
) -> Estimate | None:
    """Time, steps and memory of a training, and what its model takes on disk in ``folder``.

    See `napari_hdn.core.estimates.training`.
    """
    from napari_hdn.core.estimates.training import estimate_training as _estimate

    return _estimate(config, free_disk=_free(folder), stop=stop)


def _free(folder: Path | None) -> float | None:
    """Bytes on the disk of a folder, or of the first one above it that exists."""
    if folder is None:
        return None
    return float(shutil.disk_usage(existing(folder)).free)
