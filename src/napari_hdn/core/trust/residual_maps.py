"""Where what restoring took away looks like the noise model's noise, and where it does not.

z = (x - s) / sigma(s) with posterior samples s has, everywhere, variance 1, mean 0 and no correlation
between neighbours if signal and noise were told apart. Samples of one plane share its noise x, so that
several of them make the maps smoother, but not surer: standard errors are those of one sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_hdn.core.training.residuals import (
    LAG_DOUBTFUL,
    LAG_GOOD,
    VARIANCE_DOUBTFUL,
    VARIANCE_GOOD,
    ResidualCheck,
    check_residuals,
)
from napari_hdn.core.trust.windows import Window

SAMPLES = 4  # of those drawn; more change the maps by less than a tenth of their standard error
SURE = 3.0  # standard errors: of a few hundred windows of an image one is off by so much
MEAN_GOOD, MEAN_DOUBTFUL = 0.1, 0.25  # of the noise's standard deviation


@dataclass(frozen=True)
class ResidualMaps:
    """Local statistics of z, (Y, X) each; NaN where pixels are cut off.

    Attributes
    ----------
    variance, mean, lag_y, lag_x : ndarray
        In windows; the lags are correlations of neighbours.
    variance_error, error : ndarray
        Standard errors: of the variance, and of mean and lags.
    check : ResidualCheck or None
        Of all z together; None where too few pixels are usable.
    cut_off : float
        Share of pixels that the camera cut off.
    """

    variance: np.ndarray
    mean: np.ndarray
    lag_y: np.ndarray
    lag_x: np.ndarray
    variance_error: np.ndarray
    error: np.ndarray
    check: ResidualCheck | None
    cut_off: float

    @property
    def misfit(self) -> np.ndarray:
        """(Y, X) the worst of the four as a share of what is still called doubtful; 0 is right.

        Only what is off by more than `SURE` standard errors counts.
        """
        parts = (
            (np.abs(self.variance - 1), self.variance_error, VARIANCE_GOOD, VARIANCE_DOUBTFUL),
            (np.abs(self.mean), self.error, MEAN_GOOD, MEAN_DOUBTFUL),
            (np.abs(self.lag_y), self.error, LAG_GOOD, LAG_DOUBTFUL),
            (np.abs(self.lag_x), self.error, LAG_GOOD, LAG_DOUBTFUL),
        )
        worst = np.zeros_like(self.variance)
        for off, error, good, doubtful in parts:
            sure = np.maximum(off - np.maximum(SURE * error, good), 0.0)
            worst = np.fmax(worst, sure / doubtful)
        return np.where(np.isfinite(self.variance), worst, np.nan)


def local_residuals(
    counts: np.ndarray, samples: np.ndarray, sigma: np.ndarray, usable: np.ndarray
) -> ResidualMaps:
    """Statistics of z around each pixel.

    Parameters
    ----------
    counts : ndarray
        (Y, X) raw counts.
    samples, sigma : ndarray
        (S, Y, X) posterior samples, and the noise's standard deviation at each.
    usable : ndarray of bool
        (Y, X) pixels that were not cut off.
    """
    z = (counts - samples) / np.maximum(sigma, 1e-15)
    z = np.where(usable, z, 0.0)
    window = Window(usable)
    variance, mean = window.mean((z**2).mean(axis=0)), window.mean(z.mean(axis=0))
    inside = float(np.mean(z[:, usable] ** 2)) if usable.any() else 1.0
    check = check_residuals(
        np.broadcast_to(counts, samples.shape),
        samples,
        sigma**2,
        np.broadcast_to(usable, samples.shape),
    )
    kurtosis = 0.0 if check is None else max(check.kurtosis, -1.0)
    pixels = window.pixels()
    return ResidualMaps(
        variance=variance.astype(np.float32),
        mean=mean.astype(np.float32),
        lag_y=_lag(z, usable, 1, variance, inside),
        lag_x=_lag(z, usable, 2, variance, inside),
        variance_error=np.sqrt((2 + kurtosis) / pixels).astype(np.float32),
        error=np.sqrt(1 / pixels).astype(np.float32),
        check=check,
        cut_off=1 - float(usable.mean()),
    )


def _lag(
    z: np.ndarray, usable: np.ndarray, axis: int, variance: np.ndarray, inside: float
) -> np.ndarray:
    """Correlation of neighbours along an axis of (S, Y, X), in windows."""
    later = np.roll(z, -1, axis)
    both = usable & np.roll(usable, -1, axis - 1)
    last = [slice(None)] * 2
    last[axis - 1] = slice(-1, None)
    both[tuple(last)] = False  # the last one has no neighbour
    covariance = Window(both).mean((z * later).mean(axis=0))
    # where a window has next to no variance, its correlation would be a quotient of nothings
    correlation = covariance / np.maximum(variance, 0.05 * max(inside, 1e-12))
    return np.clip(correlation, -1, 1).astype(np.float32)
