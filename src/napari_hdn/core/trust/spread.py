"""Is the predicted standard deviation as large as the errors are? From more frames of the same scene.

The error of a restored frame a is seen against data that do not hold a's noise:

- *repeats*: the mean of the other frames, less the variance that this mean has of its own (from how the
  frames differ, not from the noise model);
- *one second frame* b: (f(a) - b)² less b's noise variance under the noise model, of which only
  the shape is
  used: its size is that of (a - b)² / 2, which is b's noise if both frames are equally noisy.

What the samples' variance V predicts for a mean of N of them is V (1 + 1/N).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import spearmanr

BINS = 12
BLOCK_PX = 16  # errors of neighbours go together: blocks are what is independent
LEAST_PX = 32
_LEAST_BLOCKS = 4
UNEVEN = 1.5  # times what the factor says
LEAST_SIGMAS = 2.0  # standard errors above 0 from which on a factor is one


@dataclass(frozen=True)
class SpreadCalibration:
    """Predicted spread against observed error.

    Attributes
    ----------
    source : str
        ``repeats`` or ``second_frame``.
    predicted, observed, error : tuple of float
        Bin by bin of the predicted standard deviation: RMS of what was predicted, RMS of the error
        (0 where it is less than what noise makes of nothing), and its standard error; counts.
    factor, factor_error : float
        RMS of the error over RMS of what was predicted: what to multiply the spread by.
    ranks : float
        Rank correlation of both over blocks of 16 x 16 pixels; 1: larger where it is larger.
    frames, left_out : int
        Frames there were, and how many were not used because the scene moved or bleached.
    restored : int
        How many of them were restored.
    remarks : tuple of str
    flaws : tuple of str
        Why the frames cannot tell the factor: sentences without a full stop. It is not used then.
    """

    source: Literal["repeats", "second_frame"]
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    error: tuple[float, ...]
    factor: float
    factor_error: float
    ranks: float
    frames: int
    left_out: int
    restored: int
    remarks: tuple[str, ...] = ()
    flaws: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether the factor was measured, and may be used."""
        return not self.flaws and self._told_from_nothing

    @property
    def applied(self) -> float:
        """What the spread is multiplied by: the factor, 1 where it could not be measured."""
        return self.factor if self.measured else 1.0

    @property
    def uneven(self) -> int:
        """Bins whose errors the factor misses by half and more, and by three standard errors."""
        predicted, observed, error = (
            np.array(v) for v in (self.predicted, self.observed, self.error)
        )
        expected = self.factor * predicted
        large = np.maximum(observed, expected) > UNEVEN * np.minimum(observed, expected)
        return int(np.count_nonzero(large & (np.abs(observed - expected) > 3 * error)))

    @property
    def _told_from_nothing(self) -> bool:
        return self.factor > LEAST_SIGMAS * self.factor_error

    @property
    def verdict(self) -> Literal["good", "doubtful", "bad"]:
        """Whether the spread may be read as an error."""
        if not self.measured:
            return "doubtful"
        off = max(self.factor, 1e-9)
        off = max(off, 1 / off)
        if off <= 1.25 and self.ranks > 0.3:
            return "doubtful" if self.uneven else "good"
        return "doubtful" if off <= 2 else "bad"

    def in_words(self) -> str:
        """The number, and what to do with it."""
        if not self.measured:
            return self._why_not()
        text = (
            f"Observed errors are {self.factor:.2f} ± {self.factor_error:.2f} times the predicted "
            "standard "
            f"deviation (right: 1), rank correlation {self.ranks:.2f}."
        )
        if self.uneven:
            text += (
                f" In {self.uneven} of {len(self.predicted)} bins of the curve the errors are more than "
                f"{UNEVEN} times as large, or as small."
            )
        if self.verdict == "good":
            return text
        if self.factor > 1.25:
            return f"{text} The samples agree better with each other than with the truth."
        if self.factor < 0.8:
            return f"{text} The samples differ more than they are wrong: error bars are too long."
        if self.ranks > 0.3:
            return text
        return f"{text} Where the samples differ is not where the errors are."

    def _why_not(self) -> str:
        """Why the factor is not used, with what came out."""
        why = [*self.flaws]
        if not self._told_from_nothing:
            why.append("the errors are too small against the noise of the frames to be told from 0")
        return (
            f"The size of the standard deviation could not be measured: {'; '.join(why)}. Taken as they "
            f"are, errors would be {self.factor:.2f} ± {self.factor_error:.2f} times the predicted "
            "standard deviation; that is not used, the standard deviation stays as the samples have it."
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "source": self.source,
            "predicted_rms": list(self.predicted),
            "observed_rms": list(self.observed),
            "observed_error": list(self.error),
            "factor": self.factor,
            "factor_error": self.factor_error,
            "measured": self.measured,
            "flaws": list(self.flaws),
            "rank_correlation": self.ranks,
            "frames": self.frames,
            "frames_left_out": self.left_out,
            "frames_restored": self.restored,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class Curve:
    """What `compare` finds; fields as of `SpreadCalibration`."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    error: tuple[float, ...]
    factor: float
    factor_error: float
    ranks: float


def compare(
    predicted: np.ndarray, squares: np.ndarray, usable: np.ndarray, bins: int = BINS
) -> Curve:
    """Predicted variance against squared error.

    Parameters
    ----------
    predicted : ndarray
        (K, Y, X) variance that the samples predict for the error, counts squared.
    squares : ndarray
        (K, Y, X) squared error less the mean square of all that is not error: unbiased, may be negative.
    usable : ndarray of bool
        (K, Y, X).
    bins : int
        With as many pixels each.
    """
    blocks = blocks_of(predicted.shape)
    number = int(blocks.max()) + 1
    p, s, b = (a[usable].astype(np.float64) for a in (predicted, squares, blocks))
    b = b.astype(np.int64)
    order = np.argsort(p, kind="stable")
    rows = []
    for members in np.array_split(order, bins):
        ratio, error = ratio_of(p[members], s[members], b[members], number)
        mean = float(p[members].mean())
        observed = float(np.sqrt(max(ratio * mean, 0.0)))
        # of a root: d sqrt(v) = dv / (2 sqrt(v)), and sqrt(dv) near 0
        spread = error * mean / (2 * max(observed, np.sqrt(error * mean) / 2, 1e-15))
        rows.append((np.sqrt(mean), observed, spread))
    ratio, error = ratio_of(p, s, b, number)
    factor = float(np.sqrt(max(ratio, 0.0)))
    sums = [np.bincount(b, w, number) for w in (np.ones_like(p), p, s)]
    full = sums[0] >= BLOCK_PX**2 / 2
    means = [a[full] / sums[0][full] for a in sums[1:]]
    known = full.sum() >= _LEAST_BLOCKS and all(np.ptp(m) > 0 for m in means)
    ranks = float(spearmanr(*means).statistic) if known else float("nan")
    predicted_rms, observed_rms, errors = (
        tuple(float(v) for v in c) for c in zip(*rows, strict=True)
    )
    bound = error / (2 * max(factor, np.sqrt(error) / 2, 1e-15))
    return Curve(predicted_rms, observed_rms, errors, factor, float(bound), ranks)


def blocks_of(shape: tuple[int, ...]) -> np.ndarray:
    """(K, Y, X) the number of the block that a pixel is in."""
    frames, height, width = shape
    down, across = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
    y, x = np.mgrid[:height, :width] // BLOCK_PX
    inside = y * across + x
    return np.asarray(inside[None] + np.arange(frames)[:, None, None] * down * across)


def ratio_of(p: np.ndarray, s: np.ndarray, b: np.ndarray, number: int) -> tuple[float, float]:
    """Sum of ``s`` over sum of ``p``, and its standard error with blocks as what is drawn.

    Parameters
    ----------
    p, s, b : ndarray
        (n,) values, and the number of the block that each is in.
    number : int
        Of blocks.
    """
    whole = max(float(p.sum()), 1e-300)
    ratio = float(s.sum()) / whole
    left = np.bincount(b, s - ratio * p, number)
    count = max(len(np.unique(b)), 2)
    return ratio, float(np.sqrt((left**2).sum() * count / (count - 1))) / whole
