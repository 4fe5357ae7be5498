"""What is known of the correlation of noise, and what it means for denoising."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from napari_hdn.core.artefacts.autocorrelation import NEGLIGIBLE, white_share

StructureSource = Literal["background", "region", "repeats", "differences"]
StructureVerdict = Literal["white", "weak", "structured"]

MOST_LEVELS = 3  # higher levels hold the structures themselves
REACHED = 0.1  # of the largest correlation; below, noise that is correlated along one axis scatters


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
        Correlations of white noise stay below it (99.9 %, all lags of both profiles together),
        given how many pixels were seen; at large lags in small blocks they scatter up to 1.4 times
        as much.
    reach_y, reach_x : int
        Pixels up to which the noise is correlated; 0 for white noise.
    variance : float
        Of the noise seen, counts squared: all of it, lag 0.
    signal : float
        Mean counts where it was seen.
    verdict : str
        ``white``, ``weak`` or ``structured``.
    fine_grain : bool
        No background was flat enough; the fine grain of the flatter half of the pixels was judged
        instead. Its correlation is known on the axes and the diagonals, and taken for the product
        of the axes elsewhere.
    """

    source: StructureSource
    autocorrelation: np.ndarray
    bound: float
    reach_y: int
    reach_x: int
    variance: float
    signal: float
    verdict: StructureVerdict
    fine_grain: bool = False

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

    @property
    def difference_gain(self) -> float:
        """Share of its variance that [1 -2 1] x [1 -2 1] / 6 sees of this noise; 1 if it is white."""
        return white_share(self.autocorrelation)

    @property
    def strongest(self) -> tuple[int, int]:
        """The lag (y, x) of the largest correlation, y >= 0, among the nearer half of the lags."""
        middle = len(self.autocorrelation) // 2
        near = middle // 2
        size = np.abs(self.autocorrelation[middle : middle + near + 1, middle - near :])
        size = size[:, : 2 * near + 1].copy()
        size[0, : near + 1] = 0  # the centre, and what point symmetry repeats
        y, x = np.unravel_index(int(size.argmax()), size.shape)
        return int(y), int(x) - near

    @property
    def reach(self) -> int:
        """Pixels up to which the noise is correlated in any direction; 0 for white noise."""
        if self.verdict == "white":
            return 0
        return max(self.reach_y, self.reach_x, self._slanted_reach())

    def _slanted_reach(self) -> int:
        """Along the direction of the strongest correlation, in pixels along y or x."""
        middle = len(self.autocorrelation) // 2
        y, x = self.strongest
        farthest = middle // max(y, abs(x))
        steps = np.arange(1, farthest + 1)
        values = np.abs(self.autocorrelation[middle + y * steps, middle + x * steps])
        ends = np.flatnonzero(values < max(NEGLIGIBLE, self.bound, REACHED * values[0]))
        return int(ends[0] if len(ends) else farthest) * max(y, abs(x))

    @property
    def levels(self) -> int:
        """How many levels, counted from the bottom, may hold this noise; 0 if it is not structured.

        Noise that is correlated over R pixels consists of specks or lines some R pixels long. The
        latents of level k lie 2^k pixels apart, and it takes two of them to describe a line, so
        that 2^k is R / 2 at most, rounded: lines over 9 px (R = 8) were removed best by switching
        off levels 1-2, and worse with 1-3.
        """
        if self.verdict != "structured":
            return 0
        return int(np.clip(np.rint(np.log2(max(1, self.reach))) - 1, 1, MOST_LEVELS))

    def in_words(self) -> str:
        """What it means for denoising, in a sentence or two."""
        words = {"white": self._white, "weak": self._weak, "structured": self._structured}
        remarks = [words[self.verdict]()]
        if self.fine_grain:
            remarks.append(
                "No background was flat enough: judged by the fine grain of the flatter half of the "
                "pixels."
            )
        elif self.source == "background" and self.reach_x and self.reach_y:
            remarks.append(
                "Fine structures all over an image look the same; a region drawn where it is empty "
                "would tell."
            )
        return " ".join(remarks)

    def _white(self) -> str:
        near = 1 + len(self.profile_x) // 2  # in small regions far lags have few pixels
        profiles = (self.profile_x[1:near], self.profile_y[1:near])
        largest = max(np.abs(profile).max() for profile in profiles)
        return (
            f"Noise is white: its largest correlation along x or y is {largest:.3f}; below "
            f"{max(self.bound, NEGLIGIBLE):.3f} it counts as none (in as many pixels, chance alone "
            f"reaches {self.bound:.3f}). Pixel-noise models fit."
        )

    def _weak(self) -> str:
        return (
            f"Noise is weakly correlated: {self._largest()}. No harm is expected; pixel-noise models "
            "fit well enough."
        )

    def _structured(self) -> str:
        axes = [
            f"along {axis} over {reach} pixel{'s' * (reach > 1)}"
            for axis, reach in (("x", self.reach_x), ("y", self.reach_y))
            if reach
        ]
        slanted = f"at a slant over {self.reach} pixels ({self._largest()})"
        where = " and ".join(axes) if axes else slanted
        many = self.levels > 1
        candidates = f"levels 1-{self.levels} are candidates" if many else "level 1 is a candidate"
        return (
            f"Noise is correlated {where}: pixel-noise models cannot describe it. Train, then open "
            f"the level inspector: {candidates}. The likelihood gets the whole variance, "
            f"{self.variance:.4g} counts² at {self.signal:.4g} counts."
        )

    def _largest(self) -> str:
        y, x = self.strongest
        middle = len(self.autocorrelation) // 2
        value = self.autocorrelation[middle + y, middle + x]
        if not (y and x):
            axis, lag = ("y", y) if y else ("x", x)
            return f"{value:.2f} with the pixel {lag} px further along {axis}"
        side = "right" if x > 0 else "left"
        return f"{value:.2f} with the pixel {y} px down and {abs(x)} px to the {side}"

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return asdict(self) | {"autocorrelation": np.round(self.autocorrelation, 5).tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The reverse of `to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the data are damaged.
        """
        image = np.asarray(data["autocorrelation"], dtype=np.float64)
        side = len(image) if image.ndim else 0
        if image.shape != (side, side) or side % 2 == 0 or side < 5:
            raise ValueError(f"an autocorrelation of shape {image.shape}")
        if data["source"] not in get_args(StructureSource):
            raise ValueError(f"noise seen in {data['source']!r}")
        if data["verdict"] not in get_args(StructureVerdict):
            raise ValueError(f"a verdict {data['verdict']!r}")
        numbers = {name: float(data[name]) for name in ("bound", "variance", "signal")}
        if not (np.isfinite(image).all() and np.isfinite(list(numbers.values())).all()):
            raise ValueError("numbers that are not finite")
        reaches = {name: int(data[name]) for name in ("reach_y", "reach_x")}
        fine = bool(data.get("fine_grain", False))
        return cls(**{**data, **numbers, **reaches, "autocorrelation": image, "fine_grain": fine})
