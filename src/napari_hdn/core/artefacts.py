"""Is the noise structured? Its autocorrelation, against what white noise would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

StructureSource = Literal["background", "region", "repeats", "differences"]
StructureVerdict = Literal["white", "weak", "structured"]
Box = tuple[int, int, int, int]  # y0, y1, x0, x1 in pixels

MAX_LAG_PX = 24


@dataclass(frozen=True)
class Structure:
    """Autocorrelation of noise.

    Attributes
    ----------
    source : str
        Where the noise was seen: ``background`` found by the program, ``region`` that the user
        drew, residuals of ``repeats``, or ``differences`` of frames.
    autocorrelation : ndarray
        (2 L + 1, 2 L + 1) correlation at lags -L..L along y and x; 1 at the centre.
    bound : float
        Correlations of white noise stay below it (99.9 %), given how many pixels were seen.
    reach_y, reach_x : int
        Pixels up to which the noise is correlated; 0 for white noise.
    variance : float
        Of the noise seen, counts squared: all of it, lag 0.
    signal : float
        Mean counts where it was seen.
    verdict : str
        ``white``, ``weak`` or ``structured``.
    """

    source: StructureSource
    autocorrelation: np.ndarray
    bound: float
    reach_y: int
    reach_x: int
    variance: float
    signal: float
    verdict: StructureVerdict

    @property
    def profile_x(self) -> np.ndarray:
        """(L + 1,) correlation at lags 0..L along x."""
        middle = len(self.autocorrelation) // 2
        return self.autocorrelation[middle, middle:]

    @property
    def profile_y(self) -> np.ndarray:
        """(L + 1,) correlation at lags 0..L along y."""
        middle = len(self.autocorrelation) // 2
        return self.autocorrelation[middle:, middle]

    def in_words(self) -> str:
        """What it means for denoising, in a sentence or two."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "source": self.source,
            "autocorrelation": np.round(self.autocorrelation, 5).tolist(),
            "bound": self.bound,
            "reach_y": self.reach_y,
            "reach_x": self.reach_x,
            "variance": self.variance,
            "signal": self.signal,
            "verdict": self.verdict,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The reverse of `to_json`."""
        image = np.asarray(data["autocorrelation"], dtype=np.float64)
        return cls(**{**data, "autocorrelation": image})


def structure_of_residuals(
    residuals: Sequence[np.ndarray], signal: float, source: StructureSource
) -> Structure:
    """Judge residuals of repeats or differences of frames.

    Parameters
    ----------
    residuals : sequence of ndarray
        (Y, X) noise alone, in counts: a frame minus the mean of repeats times sqrt(R / (R - 1)), or
        the difference of two frames / sqrt(2). NaN where a pixel is to be left out.
    signal : float
        Mean counts of the images.
    source : str
        ``repeats`` or ``differences``.
    """
    raise NotImplementedError


def structure_of_background(
    planes: Sequence[np.ndarray], boxes: Sequence[Box] | None = None
) -> Structure | None:
    """Judge the noise of flat regions; None where there is none that is flat enough.

    Parameters
    ----------
    planes : sequence of ndarray
        (Y, X) counts.
    boxes : sequence of (y0, y1, x0, x1), optional
        Regions that the user drew; without, the flattest dark blocks of each plane are taken.

    Raises
    ------
    NoiseModelError
        If a box that the user drew lies outside the image or is too small.
    """
    raise NotImplementedError
