"""How much the objects of two label images overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from napari_hdn.core.segmentation.recipes import without_small


@dataclass(frozen=True)
class Overlaps:
    """Pairs of objects that share pixels, and the areas of all objects.

    Attributes
    ----------
    first, second : ndarray
        (P,) indices of objects from 0, in the order of their labels.
    shared : ndarray
        (P,) pixels that both have.
    first_areas, second_areas : ndarray
        (A,), (B,) pixels of each object.
    """

    first: np.ndarray
    second: np.ndarray
    shared: np.ndarray
    first_areas: np.ndarray
    second_areas: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """(P,) pixels in both over pixels in either."""
        either = self.first_areas[self.first] + self.second_areas[self.second] - self.shared
        return self.shared / either

    def best_iou(self) -> np.ndarray:
        """(A,) of each object of the first image, its largest IoU with one of the second; else 0."""
        best = np.zeros(len(self.first_areas))
        np.maximum.at(best, self.first, self.iou)
        return best

    def matched(self, least_iou: float) -> int:
        """How many pairs of objects, each used once, overlap with at least that IoU.

        Above 0.5 an object has one partner at most; at exactly 0.5 it may have two, of which one
        counts: the largest possible number of pairs is taken.
        """
        enough = self.iou >= least_iou
        if not enough.any():
            return 0
        pairs = sparse.csr_array(
            (np.ones(int(enough.sum()), np.int8), (self.first[enough], self.second[enough])),
            shape=(len(self.first_areas), len(self.second_areas)),
        )
        partners = sparse.csgraph.maximum_bipartite_matching(pairs, perm_type="column")
        return int(np.count_nonzero(partners >= 0))


def overlaps(first: np.ndarray, second: np.ndarray) -> Overlaps:
    """Compare two (Y, X) label images; 0 is background."""
    # counted without gaps: labels of millions would need tables of that size
    a, b = without_small(first, 1), without_small(second, 1)
    n_a, n_b = int(a.max(initial=0)), int(b.max(initial=0))
    pairs, shared = np.unique(a.astype(np.int64) * (n_b + 1) + b, return_counts=True)
    of_a, of_b = np.divmod(pairs, n_b + 1)
    both = (of_a > 0) & (of_b > 0)
    return Overlaps(
        of_a[both] - 1,
        of_b[both] - 1,
        shared[both],
        np.bincount(a.ravel(), minlength=n_a + 1)[1:],
        np.bincount(b.ravel(), minlength=n_b + 1)[1:],
    )
