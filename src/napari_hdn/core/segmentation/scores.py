"""Scores of a segmentation against a truth that somebody drew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

from napari_hdn.core.errors import ConfigurationError, ImageError
from napari_hdn.core.segmentation.functions import whole_numbers
from napari_hdn.core.segmentation.overlaps import overlaps

THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))  # 0.5, 0.55 ... 0.95
_MASK_PIECES = 5  # one object in more pieces than this is a mask

DEFINITIONS = (
    "AP = TP / (TP + FP + FN), where an object is a TP if it overlaps an object of the truth with at "
    "least the IoU named, each used once (as in the cell-segmentation literature: StarDist, "
    "Cellpose); AP 0.5:0.95 is its mean over IoU 0.5, 0.55 ... 0.95. SEG = mean over the objects of "
    "the truth of the IoU with the object that covers more than half of it, 0 where none does (Cell "
    "Tracking Challenge)."
)


@dataclass(frozen=True)
class Scores:
    """How well objects agree with the truth; all from 0 to 1, 1 best.

    Attributes
    ----------
    ap50 : float
        TP / (TP + FP + FN) at an IoU of 0.5.
    ap : float
        The mean of the same over IoU 0.5, 0.55 ... 0.95.
    seg : float
        SEG of the Cell Tracking Challenge.
    objects, truth_objects : int
    """

    ap50: float
    ap: float
    seg: float
    objects: int
    truth_objects: int


def score(labels: np.ndarray, truth: np.ndarray) -> Scores:
    """Compare (Y, X) labels with (Y, X) labels of the truth; see `DEFINITIONS`.

    Raises
    ------
    ImageError
        If the shapes differ or the truth has no objects.
    """
    if labels.shape != truth.shape:
        raise ImageError(
            f"The truth has {_size(truth)} pixels and the segmentation {_size(labels)}; they must be "
            "of the same size."
        )
    found = overlaps(truth, labels)
    n_truth, n = len(found.first_areas), len(found.second_areas)
    if n_truth == 0:
        raise ImageError("The truth has no objects here: all its pixels are 0.")
    tps = [found.matched(t) for t in THRESHOLDS]
    aps = [tp / (n_truth + n - tp) for tp in tps]
    # more than half of a truth object can belong to one object only
    covers = found.shared > 0.5 * found.first_areas[found.first]
    seg = float(found.iou[covers].sum()) / n_truth
    return Scores(aps[0], float(np.mean(aps)), seg, n, n_truth)


def check_truth(truth: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """A truth as (Y, X) int32 labels.

    Raises
    ------
    ImageError
        If it is of another shape, has no objects, or marks all objects with one number.
    ConfigurationError
        If it does not hold whole numbers.
    """
    truth = np.asarray(truth)
    if truth.shape != tuple(shape):
        raise ImageError(
            f"The truth {name} has {_size(truth)} pixels, the image {' x '.join(map(str, shape))} (y, "
            "x); give labels of the same place and size."
        )
    todo = "Give a label image: whole numbers, 0 for background, one number for each object"
    if truth.dtype == bool:
        raise ConfigurationError(f"The truth {name} is a mask of True and False. {todo}.")
    labels = whole_numbers(truth, f"The truth {name}", todo)
    numbers = np.unique(labels)
    if not numbers.any():
        raise ImageError(f"The truth {name} has no objects here: all its pixels are 0.")
    if len(numbers[numbers > 0]) == 1:
        pieces = int(label(labels > 0, connectivity=2).max())
        if pieces > _MASK_PIECES:
            raise ImageError(
                f"The truth {name} marks one object in {pieces} separate pieces: it is a mask. Number "
                "its pieces first, for example with skimage.measure.label, or Analyze Particles in "
                "Fiji."
            )
    return labels


def _size(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))
