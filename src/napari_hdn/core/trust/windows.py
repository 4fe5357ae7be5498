"""Smooth windows over an image: local means that leave pixels out, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

WINDOW_PX = 8.0  # sigma; a window weighs about 800 pixels, so that a variance is known to 5 %
_REACH = 3.0  # sigmas at which a window is cut off
_FILLED = 0.1  # of a window has to be there


@dataclass(frozen=True)
class Window:
    """A Gaussian window over the usable pixels of an image.

    Parameters
    ----------
    usable : ndarray of bool
        (Y, X).
    sigma_px : float
    """

    usable: np.ndarray
    sigma_px: float = WINDOW_PX

    def smooth(self, image: np.ndarray) -> np.ndarray:
        """(Y, X) the image filtered, its borders reflected."""
        return np.asarray(gaussian_filter(image, self.sigma_px, truncate=_REACH, mode="reflect"))

    @property
    def share(self) -> np.ndarray:
        """(Y, X) how much of the window around each pixel is usable, 0..1."""
        return self.smooth(self.usable.astype(np.float32))

    def mean(self, image: np.ndarray) -> np.ndarray:
        """(Y, X) mean of the usable pixels around each; NaN where nearly none are."""
        return self._of_share(self.smooth(np.where(self.usable, image, 0.0)))

    def pixels(self) -> np.ndarray:
        """(Y, X) how many pixels each mean is worth: (sum of weights)² / sum of their squares."""
        down, across = (self._squares(n) for n in self.usable.shape)
        return np.asarray(np.clip(self.share / np.outer(down, across), 1.0, None))

    def _squares(self, length: int) -> np.ndarray:
        """(length,) sum of the squared weights along an axis; more at a border, where they fold."""
        weights = gaussian_filter1d(
            np.eye(length), self.sigma_px, axis=0, truncate=_REACH, mode="reflect"
        )
        return np.asarray((weights**2).sum(axis=1))

    def _of_share(self, filtered: np.ndarray) -> np.ndarray:
        share = self.share
        return np.where(share > _FILLED, filtered / np.maximum(share, _FILLED), np.nan)
