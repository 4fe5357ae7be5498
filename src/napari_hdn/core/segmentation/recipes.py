"""Simple recipes from one restored image to labelled objects, built on scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage, signal
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import disk, h_maxima, skeletonize
from skimage.segmentation import watershed

Recipe = Callable[[np.ndarray], np.ndarray]  # (Y, X) counts -> (Y, X) integer labels, 0 background

RADIUS_PX = 15  # of the mean filter; Prakash et al. 2022, A.8
_WIDER_PX = 25  # for objects that would fill a window of the paper's size
_ROUNDING = 1e-6  # of the image's range: what the filter's arithmetic makes of a flat area
_NECK = 0.9  # of the width beside it; what is wider is no border between two objects
_FLAT_PX = 1.0  # distances to the border below this are not told apart


def membranes(image: np.ndarray, radius_px: int = RADIUS_PX) -> np.ndarray:
    """Cells between bright membranes, by the paper's recipe (Prakash et al. 2022, A.8).

    Local threshold with a mean filter, the foreground (membranes) thinned to a skeleton, and the
    connected components of all that is not skeleton are the cells. That the filter is a disk, that
    the image is mirrored beyond its edge for it and for the thinning, and that cells are connected
    over edges and not over corners are this project's reading.

    Parameters
    ----------
    image : ndarray
        (Y, X) counts.
    radius_px : int
        Of the mean filter.

    Returns
    -------
    ndarray
        (Y, X) int32 labels; the skeleton is 0, also where it ends within a cell.
    """
    image = np.asarray(image, dtype=np.float64)
    span = float(np.ptp(image))
    if span == 0:
        return np.zeros(image.shape, np.int32)
    foreground = image - local_mean(image, radius_px) > _ROUNDING * span
    # thinning draws the ends of lines back; mirrored, they run on over the edge of the image
    lines = skeletonize(np.pad(foreground, radius_px, mode="symmetric"))
    inside = (slice(radius_px, -radius_px),) * 2
    return np.asarray(label(~lines[inside], connectivity=1), dtype=np.int32)


def bright(image: np.ndarray, radius_px: int = _WIDER_PX) -> np.ndarray:
    """Bright objects on a darker background; those that touch are split by watershed.

    Brighter than Otsu's threshold; or, for dim ones, brighter than the mean of the surroundings and
    than half-way from the background to that threshold. Holes are filled, hairs opened, and objects
    split at necks narrower than nine tenths of the width on either side.

    Parameters
    ----------
    image : ndarray
        (Y, X) counts.
    radius_px : int
        Of the surroundings.

    Returns
    -------
    ndarray
        (Y, X) int32 labels, 0 background.
    """
    image = np.asarray(image, dtype=np.float64)
    span = float(np.ptp(image))
    if span == 0:
        return np.zeros(image.shape, np.int32)
    smooth = ndimage.gaussian_filter(image, 1.0)
    otsu = float(threshold_otsu(smooth))
    background = float(np.median(smooth[smooth <= otsu]))
    above = smooth - local_mean(smooth, radius_px) > _ROUNDING * span
    mask = above & (smooth > (background + otsu) / 2)
    # within an object as wide as the surroundings nothing stands out from them
    mask = ndimage.binary_fill_holes(mask | (smooth > otsu))
    mask = ndimage.binary_opening(mask, disk(1))
    return _split(mask)


RECIPES: dict[str, Recipe] = {"membranes": membranes, "bright": bright}


def local_mean(image: np.ndarray, radius_px: int) -> np.ndarray:
    """Mean over a disk around each pixel, mirrored at the edges; (Y, X) float64."""
    # mirrored as often as needed, where the disk is larger than the image
    padded = np.pad(image, radius_px, mode="symmetric")
    window = disk(radius_px).astype(np.float64)
    return np.asarray(signal.oaconvolve(padded, window / window.sum(), mode="valid"))


def without_small(labels: np.ndarray, least_px: int) -> np.ndarray:
    """The objects of at least so many pixels, numbered from 1 in their order; (Y, X) int32."""
    numbers, inverse, areas = np.unique(labels, return_inverse=True, return_counts=True)
    kept = (areas >= least_px) & (numbers > 0)
    new = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(new[inverse].reshape(labels.shape))


def _split(mask: np.ndarray) -> np.ndarray:
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.0)
    # of the logarithm: a neck counts by its share of the width, whatever the size of the object
    widths = np.log(np.maximum(distance, _FLAT_PX)) * mask
    seeds = label(h_maxima(widths, -np.log(_NECK)) & mask, connectivity=2)
    return np.asarray(watershed(-distance, seeds, mask=mask), dtype=np.int32)
