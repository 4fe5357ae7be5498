"""What the channels of a layer are called, whichever reader opened it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_hdn.ui.layers import METADATA_KEY


def channel_names(axes: str, metadata: Mapping[str, Any], array: Any = None) -> tuple[str, ...]:
    """One name for each index of axis C, or one in all without that axis; empty if nobody says.

    Parameters
    ----------
    axes : str
    metadata : mapping
        Of the layer. This plugin's own comes first; then what OME-Zarr readers leave there
        (``omero``), and ``channel_names``.
    array : array-like, optional
        The layer's pixels: readers of CZI, LIF and ND2 give xarrays, whose coordinates have names.
    """
    own = metadata.get(METADATA_KEY)
    candidates = [
        own.get("channel_names") if isinstance(own, Mapping) else None,
        _coordinates(axes, array),
        metadata.get("channel_names"),
        _omero(metadata),
    ]
    count = 1
    if array is not None and "C" in axes and len(axes) == len(array.shape):
        count = int(array.shape[axes.index("C")])
    for names in candidates:
        if isinstance(names, Sequence) and not isinstance(names, str):
            texts = tuple(n.strip() for n in names if isinstance(n, str) and n.strip())
            if len(texts) == len(names) and (array is None or len(texts) == count):
                return texts
    return ()


def _coordinates(axes: str, array: Any) -> list[Any] | None:
    dims, coords = getattr(array, "dims", None), getattr(array, "coords", None)
    if "C" not in axes or dims is None or coords is None or len(dims) != len(axes):
        return None
    name = dims[axes.index("C")]
    return [v for v in coords[name].values.tolist()] if name in coords else None


def _omero(metadata: Mapping[str, Any]) -> list[Any] | None:
    omero = metadata.get("omero")
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, Sequence):
        return None
    return [c.get("label") if isinstance(c, Mapping) else None for c in channels]
