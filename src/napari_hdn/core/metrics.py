"""How near an image is to a truth: PSNR with its range stated, SSIM, scale-invariant PSNR.

PSNR = 20 log10(range) - 10 log10(MSE); the range is by default max - min of the truth's plane, as in
the paper for microscopy (255 for natural images and digits there).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from skimage.metrics import structural_similarity

from napari_hdn.core.errors import ImageError

Range = Literal["truth"] | float

SSIM_WINDOW_PX = 7  # skimage's default, and the least that an image may measure


def psnr(mse: float, span: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite where the error is 0."""
    if mse <= 0:
        return np.inf
    return float(20 * np.log10(span) - 10 * np.log10(mse))


def mean_squared_error(image: np.ndarray, truth: np.ndarray) -> float:
    """Mean over (Y, X) pixels of the squared difference, counts squared."""
    difference = image.astype(np.float64) - truth
    return float(np.mean(difference**2))


def ssim(image: np.ndarray, truth: np.ndarray) -> float | None:
    """Structural similarity of (Y, X) images with ``data_range`` = max - min of the truth.

    None where the image is smaller than its window of 7 x 7 pixels.
    """
    if min(truth.shape) < SSIM_WINDOW_PX:
        return None
    a, b = image.astype(np.float64), truth.astype(np.float64)
    return float(structural_similarity(b, a, data_range=float(np.ptp(b)), win_size=SSIM_WINDOW_PX))


def best_scale(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The a and b of a * image + b that come nearest to the truth, by least squares."""
    x, y = image.astype(np.float64), truth.astype(np.float64)
    middle_x, middle_y = float(x.mean()), float(y.mean())
    variance = float(np.mean((x - middle_x) ** 2))
    if variance == 0:  # of a flat image nothing can be scaled
        return 0.0, middle_y
    a = float(np.mean((x - middle_x) * (y - middle_y))) / variance
    return a, middle_y - a * middle_x


def scaled_error(image: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared error of a * image + b with the best a and b, counts of the truth squared."""
    a, b = best_scale(image, truth)
    return mean_squared_error(a * image.astype(np.float64) + b, truth)


def span_of(truth: np.ndarray, chosen: Range, where: str) -> float:
    """The range of PSNR, in counts.

    Raises
    ------
    ImageError
        If the truth is the same everywhere: against that nothing can be judged.
    """
    low, high = float(truth.min()), float(truth.max())
    if high <= low:
        raise ImageError(
            f"All pixels of {where} are {low:g}: against a constant truth neither PSNR nor SSIM mean "
            "anything. Is it the right image?"
        )
    return high - low if chosen == "truth" else float(chosen)
