"""Autocorrelation of noise: of fields with holes, of one unit size, free of slow trends.

A *field* is a (Y, X) array of noise alone, NaN where a pixel is to be left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

TREND_PX = 16.0  # sigma; what is slower than that is illumination or drift, not noise
LOCAL_PX = 8.0  # sigma; the size of the noise follows the signal, seldom faster than that
# The size of a correlation decides, not only its significance: among ten million pixels one of 0.002
# is significant, and harmless.
NEGLIGIBLE = 0.03
FALSE_ALARMS = 0.001  # of white noise, all lags that are looked at taken together
FILLED = 0.05  # share of pixels around that must be there to know the local mean or size

_SECOND_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / 6  # [1 -2 1] with itself


@dataclass(frozen=True)
class LagMap:
    """Autocorrelation at lags -L..L along y and x."""

    correlation: np.ndarray  # (2 L + 1, 2 L + 1), 1 at the centre
    pairs: np.ndarray  # (2 L + 1, 2 L + 1) independent pairs of pixels behind each value


def autocorrelation(fields: Iterable[np.ndarray], max_lag: int) -> LagMap:
    """Autocorrelation averaged over fields, each value over the pairs of pixels that it has.

    Parameters
    ----------
    fields : iterable of ndarray
        (Y, X) with mean 0, all of the same unit; larger than ``max_lag``; NaN is left out.
    max_lag : int
        L, in pixels.

    Raises
    ------
    ValueError
        If all pixels are NaN or 0.
    """
    lags = np.arange(-max_lag, max_lag + 1)
    window = np.ix_(lags, lags)  # negative lags stand at the end of a circular correlation
    products = np.zeros((len(lags), len(lags)))
    pairs = np.zeros_like(products)
    for field in fields:
        seen = np.isfinite(field)
        # L zeros behind the image keep lags up to L from wrapping around
        shape = [next_fast_len(n + max_lag, real=True) for n in field.shape]
        for total, image in ((products, np.where(seen, field, 0.0)), (pairs, seen.astype(float))):
            total += irfft2(np.abs(rfft2(image, shape)) ** 2, shape)[window]
    pairs = np.rint(pairs)
    if not products[max_lag, max_lag] > 0:
        raise ValueError("there is no noise in these fields")
    covariance = np.where(pairs > 0, products / np.maximum(pairs, 1), 0.0)
    return LagMap(covariance / covariance[max_lag, max_lag], pairs)


def white_bound(pairs: np.ndarray | float, lags: int) -> np.ndarray:
    """What none of so many correlations of white noise exceeds, in 99.9 % of all cases.

    A correlation of n independent pairs is normal with variance 1 / n (Bartlett 1946).
    """
    z = -ndtri(FALSE_ALARMS / (2 * lags))
    return np.asarray(z / np.sqrt(np.maximum(pairs, 1.0)))


def without_trend(field: np.ndarray) -> np.ndarray:
    """A field minus its local mean over some `TREND_PX` pixels."""
    return np.asarray(field - _local_mean(field, TREND_PX))


def of_unit_size(field: np.ndarray) -> np.ndarray:
    """A field divided by its local standard deviation, so that bright regions count no more."""
    variance = _local_mean(field**2, LOCAL_PX)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, field / np.sqrt(variance), np.nan)


def _local_mean(field: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of the pixels that are there; NaN where hardly any are."""
    seen = np.isfinite(field)
    weight = gaussian_filter(seen.astype(np.float64), sigma, mode="constant", truncate=3.0)
    total = gaussian_filter(np.where(seen, field, 0.0), sigma, mode="constant", truncate=3.0)
    return np.where(weight > FILLED, total / np.maximum(weight, FILLED), np.nan)


def white_share(correlation: np.ndarray) -> float:
    """Variance that [1 -2 1] x [1 -2 1] / 6 sees of noise, relative to its true variance.

    The filter has unit gain for white noise: 1. Of noise that is smooth it sees less, and estimates
    from one image by that filter are to be divided by this share.

    Parameters
    ----------
    correlation : ndarray
        (2 L + 1, 2 L + 1) autocorrelation with 1 at the centre, L >= 2.
    """
    middle = len(correlation) // 2
    near = slice(middle - 2, middle + 3)
    return float(_SECOND_DIFFERENCE @ correlation[near, near] @ _SECOND_DIFFERENCE)
