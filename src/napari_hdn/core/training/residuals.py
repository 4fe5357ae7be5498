"""Does the noise model hold after training? What a posterior sample leaves of the image.

z = (x - s) / sigma(s) with a posterior *sample* s, not the mean, has variance 1, no correlation
between neighbours and the noise model's own skew if signal and noise were told apart.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from napari_hdn.core.config import Frozen

BINS = 8
LEAST = 400  # pixels in a bin
VARIANCE_GOOD, VARIANCE_DOUBTFUL = 0.1, 0.25
LAG_GOOD, LAG_DOUBTFUL = 0.05, 0.12


class ResidualCheck(Frozen):
    """z-scores of posterior samples; kept with the model.

    Attributes
    ----------
    pixels : int
        How many were looked at.
    variance, kurtosis : float
        Of all z; kurtosis is the excess over the normal distribution's.
    lag_y, lag_x : float
        Correlation of neighbours along y and x.
    signal, variance_at, kurtosis_at : tuple of float
        In bins of the signal (counts).
    """

    pixels: int
    variance: float
    kurtosis: float
    lag_y: float
    lag_x: float
    signal: tuple[float, ...]
    variance_at: tuple[float, ...]
    kurtosis_at: tuple[float, ...]

    @property
    def verdict(self) -> Literal["good", "doubtful", "bad"]:
        """Whether the noise model holds."""
        off, lag = abs(self.variance - 1), max(abs(self.lag_y), abs(self.lag_x))
        if off <= VARIANCE_GOOD and lag <= LAG_GOOD:
            return "good"
        return "doubtful" if off <= VARIANCE_DOUBTFUL and lag <= LAG_DOUBTFUL else "bad"

    def in_words(self) -> str:
        """What was found, and what it means."""
        text = (
            f"What restoring took away has {self.variance:.2f} times the variance of the noise "
            f"model, neighbours correlate with {self.lag_y:+.2f} along y and {self.lag_x:+.2f} along "
            "x (right would be 1 and 0)."
        )
        if self.verdict == "good":
            return text
        if max(abs(self.lag_y), abs(self.lag_x)) > LAG_GOOD:
            meaning = (
                "Structure was taken for noise (trained too short, or details that repeat nowhere), "
                "or the noise itself is structured."
            )
        elif self.variance > 1:
            meaning = "The noise model is too small, or training was too short for the details."
        else:
            meaning = "The noise model is too large: details may be blurred. Calibrate again."
        return f"{text} {meaning}"


def check_residuals(
    counts: np.ndarray, signal: np.ndarray, variance: np.ndarray, usable: np.ndarray | None = None
) -> ResidualCheck | None:
    """Judge posterior samples.

    Parameters
    ----------
    counts, signal, variance : ndarray
        (B, Y, X) noisy counts, a posterior sample of the signal, the noise model's variance there.
    usable : ndarray of bool, optional
        (B, Y, X) pixels that were not cut off.

    Returns
    -------
    ResidualCheck or None
        None where there are too few usable pixels.
    """
    z = (counts - signal) / np.sqrt(np.maximum(variance, 1e-30))
    good = np.isfinite(z) if usable is None else usable & np.isfinite(z)
    if good.sum() < LEAST:
        return None
    inside, at = z[good], signal[good]
    whole = float(np.mean(inside**2))

    def neighbours(a: np.ndarray, b: np.ndarray, both: np.ndarray) -> float:
        return float(np.mean((a * b)[both]) / whole) if both.any() else 0.0

    order = np.argsort(at, kind="stable")
    rows = []
    for members in np.array_split(order, max(1, min(BINS, len(at) // LEAST))):
        part = inside[members]
        rows.append((float(at[members].mean()), float(np.mean(part**2)), _excess(part)))
    bins = np.array(rows)
    return ResidualCheck(
        pixels=int(good.sum()),
        variance=whole,
        kurtosis=_excess(inside),
        lag_y=neighbours(z[:, :-1], z[:, 1:], good[:, :-1] & good[:, 1:]),
        lag_x=neighbours(z[:, :, :-1], z[:, :, 1:], good[:, :, :-1] & good[:, :, 1:]),
        signal=tuple(bins[:, 0]),
        variance_at=tuple(bins[:, 1]),
        kurtosis_at=tuple(bins[:, 2]),
    )


def _excess(z: np.ndarray) -> float:
    centred = z - z.mean()
    return float(np.mean(centred**4) / max(float(np.mean(centred**2)) ** 2, 1e-30) - 3)
