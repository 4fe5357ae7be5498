"""Do repeats of a field show the same? Shift and brightness of each frame against the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter
from skimage.registration import phase_cross_correlation

SHIFT_PX = 0.25  # a frame farther from the others than this is left out
BRIGHTNESS = 0.02
UPSAMPLE = 20  # shifts are found to 1/20 pixel
SIDE_PX = 512
SMOOTH_PX = 1.5


@dataclass(frozen=True)
class Drift:
    """How repeats differ from each other beyond noise.

    Attributes
    ----------
    shift_px : float
        The farthest that two frames that were used lie from each other.
    brightness : float
        Relative change of the mean counts over the frames that were used.
    frames, left_out : int
        Frames there were, and how many of them were not used.
    whole_shift_px, whole_brightness : float
        The same of all frames.
    """

    shift_px: float
    brightness: float
    frames: int
    left_out: int = 0
    whole_shift_px: float = 0.0
    whole_brightness: float = 0.0
    registered: bool = False


@dataclass(frozen=True)
class Track:
    """Shift (dy, dx) in pixels of each frame against the first ones, and its mean counts."""

    shifts: np.ndarray  # (R, 2)
    means: np.ndarray  # (R,)

    def farthest(self, used: np.ndarray) -> float:
        """The largest distance along y or x between frames that are used."""
        shifts = self.quiet[used]
        return float(np.max(np.ptp(shifts, axis=0))) if len(shifts) else 0.0

    def brightness(self, used: np.ndarray) -> float:
        """Relative change of the mean counts from the first to the last third of the frames."""
        means = self.means[used]
        third = max(1, len(means) // 3)
        first, last = means[:third].mean(), means[-third:].mean()
        return float((last - first) / max(abs(first), 1e-12))

    def steady(self) -> np.ndarray:
        """(R,) which frames lie where most lie, and are as bright as most."""
        shifts = self.quiet
        off = np.abs(shifts - np.median(shifts, axis=0)).max(axis=1)
        middle = np.median(self.means)
        return (off <= SHIFT_PX) & (np.abs(self.means - middle) <= BRIGHTNESS * abs(middle))

    @property
    def quiet(self) -> np.ndarray:
        """(R, 2) shifts without the jitter of their estimate; a jump of a frame stays."""
        if len(self.shifts) < 3:
            return self.shifts
        smooth = median_filter(self.shifts, size=(min(5, len(self.shifts)), 1), mode="nearest")
        jitter = 1.4826 * np.median(np.abs(self.shifts - smooth), axis=0)
        jumps = np.abs(self.shifts - smooth) > np.maximum(6 * jitter, SHIFT_PX)
        return np.where(jumps, self.shifts, smooth)


class Tracker:
    """Follows a field through its frames.

    Parameters
    ----------
    reference : ndarray
        (Y, X) counts of the first frames' mean.
    noise : ndarray
        (Y, X) difference of two of the frames / sqrt(2): a field without structures above the
        noise, such as a flat one, has no shift that could be told.
    """

    def __init__(self, reference: np.ndarray, noise: np.ndarray) -> None:
        scene, grain = self._prepared(reference), self._prepared(noise)
        self._scene = scene
        self.visible = bool(scene.std() > 2 * grain.std())

    @staticmethod
    def _prepared(frame: np.ndarray) -> np.ndarray:
        y, x = (max(0, (n - SIDE_PX) // 2) for n in frame.shape)
        part = gaussian_filter(frame[y : y + SIDE_PX, x : x + SIDE_PX], SMOOTH_PX)
        window = np.outer(*(np.hanning(n + 2)[1:-1] for n in part.shape))
        return (part - part.mean()) * window

    def shift(self, frame: np.ndarray) -> tuple[float, float]:
        """(dy, dx) by which the scene of a frame lies from the reference's, in pixels."""
        if not self.visible:
            return 0.0, 0.0
        found = phase_cross_correlation(
            self._prepared(frame), self._scene, upsample_factor=UPSAMPLE, normalization=None
        )[0]
        return float(found[0]), float(found[1])
