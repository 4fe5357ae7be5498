"""Contrast and colours of new layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap

from napari_hdn.ui.layers import Placement

_LARGE = 512 * 512  # pixels
_SPARSE = 8
_BLUE, _WHITE, _RED = (0.13, 0.33, 0.75, 1.0), (0.97, 0.97, 0.97, 1.0), (0.75, 0.11, 0.15, 1.0)
_LESS, _SAME, _MORE = (0.1, 0.5, 1.0, 0.8), (0.5, 0.5, 0.5, 0.0), (1.0, 0.55, 0.0, 0.8)


def look_of_product(product: str, placement: Placement, picture: np.ndarray) -> dict[str, Any]:
    """How to show what was made of an image whose layer is placed so; ``picture`` is a part of it."""
    picture = sparse(picture)
    match product:
        case "std" | "cv":
            return {"colormap": "inferno", "contrast_limits": _percentiles(picture)}
        case "difference":
            limit = limit_of(picture)
            return {"colormap": difference_colours(), "contrast_limits": (-limit, limit)}
        case "mean-map":  # a faint colour over the image where they differ, else nothing
            limit = 2 * limit_of(picture)
            return {
                "colormap": Colormap([_LESS, _SAME, _MORE], name="blue-nothing-orange"),
                "contrast_limits": (-limit, limit),
                "blending": "translucent_no_depth",
            }
    return look_of(placement, picture)


def look_of(placement: Placement, picture: np.ndarray) -> dict[str, Any]:
    """Contrast and colours of the source, so that before and after compare honestly."""
    limits = placement.contrast_limits
    if limits is None or limits[1] <= limits[0]:
        limits = _percentiles(picture)
    return {"contrast_limits": limits, "colormap": placement.colormap}


def difference_colours() -> Colormap:
    """Blue below 0, white at it, red above."""
    return Colormap([_BLUE, _WHITE, _RED], name="blue-white-red")


def sparse(pictures: np.ndarray) -> np.ndarray:
    """(..., Y, X) pixels enough to tell percentiles of large pictures by, at once."""
    height, width = pictures.shape[-2:]
    return pictures[..., ::_SPARSE, ::_SPARSE] if height * width > _LARGE else pictures


def limit_of(differences: np.ndarray) -> float:
    """Counts up to which almost all of the (..., Y, X) differences reach."""
    return max(float(np.percentile(np.abs(sparse(differences)), 99.5)), 1e-3)


def _percentiles(picture: np.ndarray) -> tuple[float, float]:
    known = picture[np.isfinite(picture)]
    low, high = (float(v) for v in np.percentile(known, (0.1, 99.9))) if known.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)
