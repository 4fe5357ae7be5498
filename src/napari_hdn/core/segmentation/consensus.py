"""What the segmentations of several samples agree on.

The paper compares such consensus segmentations (A.8); how it averages is not spelled out there, so
the rule below is this project's reading:

1. *Average.* Of each sample two maps: inside an object or not, and within a tolerance of a border or
   not. A border is where an object meets another or the background, a line of the skeleton among it:
   one that ends within a cell still votes, so that a gap in it, elsewhere in every sample, closes.
2. *Threshold* both means at one half: what most samples have inside, without what most have a border
   near. The tolerance lets borders agree that lie a pixel or two apart.
3. *Relabel* the connected components of that.
4. *Grow back* to all pixels that most samples have inside, by watershed on the mean of the borders.
   What most have inside but is too narrow for step 2 is kept as an object of its own, if in most
   samples one overlaps it by half.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import disk
from skimage.segmentation import find_boundaries, watershed

from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.segmentation.overlaps import overlaps
from napari_hdn.core.segmentation.recipes import without_small

AGREES_IOU = 0.5


@dataclass(frozen=True)
class Consensus:
    """Objects that the samples agree on.

    Attributes
    ----------
    labels : ndarray
        (Y, X) int32; object k of the arrays below has the label k + 1.
    confidence : ndarray
        (K,) mean over the samples of the best IoU of one of their objects with this one; 0 to 1.
    samples_with : ndarray
        (K,) in how many samples that IoU is at least 0.5.
    samples : int
        How many there were.
    """

    labels: np.ndarray
    confidence: np.ndarray
    samples_with: np.ndarray
    samples: int

    @property
    def agreed(self) -> int:
        """How many of the objects at least half of the samples have as one of their own."""
        return int(np.count_nonzero(2 * self.samples_with >= self.samples))

    def confidence_image(self) -> np.ndarray:
        """(Y, X) float32: at each pixel the confidence of its object, 0 in the background."""
        return np.concatenate([[0.0], self.confidence]).astype(np.float32)[self.labels]


def consensus(segmentations: np.ndarray, *, least_px: int = 1, tolerance_px: int = 2) -> Consensus:
    """The objects that most of several segmentations of one image have; see the module.

    Parameters
    ----------
    segmentations : ndarray
        (N, Y, X) integer labels, 0 background; numbers need not agree between samples. With N = 1
        the consensus is that segmentation.
    least_px : int
        Objects of fewer pixels are left out.
    tolerance_px : int
        Borders so near to each other agree. Objects less than twice as wide may be joined to their
        neighbours, where there is no background between.

    Raises
    ------
    ConfigurationError
        If there is no segmentation.
    """
    *_, agreed = find_consensus(segmentations, least_px=least_px, tolerance_px=tolerance_px)
    assert isinstance(agreed, Consensus)
    return agreed


def find_consensus(
    segmentations: np.ndarray, *, least_px: int = 1, tolerance_px: int = 2
) -> Iterator[float | Consensus]:
    """`consensus` with fractions done first, as large images take a while."""
    n = len(segmentations)
    if n == 0:
        raise ConfigurationError("A consensus needs at least one segmentation; there is none.")
    if n == 1:
        labels = without_small(segmentations[0], least_px)
        yield Consensus(labels, *_agreement(labels, segmentations), 1)
        return
    inside, near, border = (np.zeros(segmentations.shape[1:], np.float32) for _ in range(3))
    for number, labels in enumerate(segmentations):
        _add_maps(labels, tolerance_px, inside, near, border)
        yield 0.8 * (number + 1) / n
    most = inside > n / 2
    seeds = without_small(label(most & (near <= n / 2), connectivity=1), 1)
    grown = np.asarray(watershed(border, seeds, mask=most), dtype=np.int32)
    yield 0.85
    labels = without_small(_with_narrow(grown, most, segmentations), least_px)
    yield 0.9
    yield Consensus(labels, *_agreement(labels, segmentations), n)


def _add_maps(
    labels: np.ndarray, tolerance_px: int, inside: np.ndarray, near: np.ndarray, border: np.ndarray
) -> None:
    """Count a sample where it has pixels inside, near a border, at a border; (Y, X) each."""
    edge = _borders(labels)
    inside += labels > 0
    border += edge
    if edge.any():  # nearer than the tolerance: cheaper than a dilation by a disk
        near += ndimage.distance_transform_edt(~edge) <= tolerance_px


def _borders(labels: np.ndarray) -> np.ndarray:
    """Where an object ends: its outermost pixels, or the line beside it where that is thin."""
    background = labels == 0
    # lines one or two pixels wide, as a skeleton: they are the border, on neither side of it
    cross = disk(1)
    core = ndimage.binary_erosion(background, cross, border_value=1)  # the edge is no end
    lines = background & ~ndimage.binary_dilation(core, cross)
    return np.asarray(
        lines | find_boundaries(np.where(lines, _filled(labels), labels), mode="inner")
    )


def _filled(labels: np.ndarray) -> np.ndarray:
    """Each background pixel with the label of the object nearest to it."""
    _, (y, x) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.asarray(labels[y, x])


def _with_narrow(grown: np.ndarray, most: np.ndarray, segmentations: np.ndarray) -> np.ndarray:
    """Add what most samples have inside and no seed has reached, where they agree on it."""
    left = np.asarray(label(most & (grown == 0), connectivity=1), dtype=np.int32)
    if not left.any():
        return grown
    _, count = _agreement(left, segmentations)
    agreed = np.concatenate([[False], count > 0.5 * len(segmentations)])
    return np.where(agreed[left], left + grown.max(), grown).astype(np.int32)


def _agreement(labels: np.ndarray, segmentations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K,) mean best IoU over the samples, and in how many it is one half or more."""
    best = np.stack([overlaps(labels, s).best_iou() for s in segmentations])
    return best.mean(axis=0), np.count_nonzero(best >= AGREES_IOU, axis=0)
