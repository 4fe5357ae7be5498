"""Restoring by many processes, through ``dask.distributed`` (extra ``cluster``).

The client (`crew`, `restoring`) cuts a stack into regions and hands these out; workers (`worker`) read
a region from the file that the client names, restore it and write it to its own chunks of an OME-Zarr.
What travels between them is in `parcels`. Nothing else of napari-hdn knows ``distributed``.
"""

from __future__ import annotations

from napari_hdn.core.errors import HDNError


def need_distributed() -> None:
    """Find out whether the extra is installed.

    Raises
    ------
    HDNError
        If it is not, with what to do.
    """
    try:
        import distributed  # noqa: F401
        import zarr  # noqa: F401
    except ImportError as error:
        raise HDNError(
            f"Restoring by several processes needs the package {error.name}, which is not installed: "
            'pip install "napari-hdn[cluster]" (on all machines).'
        ) from error
