"""Scores for "this level holds noise": how each level's contribution behaves where there is none.

Contributions are divided by the noise's standard deviation at the signal, since noise that depends on
the signal would otherwise look like a structure. What an artefact adds is the same in the dark and
in the bright; what a structure adds is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_hdn.core.artefacts import Box, Structure
from napari_hdn.core.artefacts.autocorrelation import LagMap, autocorrelation
from napari_hdn.core.levels.decomposition import Decomposition

LevelVerdict = Literal["artefact", "mixed", "coarse", "structure", "empty", "off"]

DARK, BRIGHT = 0.25, 0.75  # quantiles of the smoothed signal that count as back- and foreground
SMOOTH_PX = 8.0  # sigma of the signal that tells them apart
TREND_PX = 16.0  # sigma; what is slower is illumination, or a faint structure
LAGS_PX = 12
ALIKE_IN_THE_DARK = 0.35  # S1 from which on a level may hold an artefact
ALIKE_CORRELATION = 0.5  # S2
DIRECTED_DB = 3.0  # S3
EVERYWHERE = 0.7  # S1 from which on a level holds as much in the dark as in the bright
VISIBLE = (
    0.1  # variance in the dark, in units of the noise's, that is no chance: clean data have 0.01
)
HOLDS_NOTHING = 0.02  # RMS in units of the noise


@dataclass(frozen=True)
class LevelScores:
    """What is known of one level.

    Attributes
    ----------
    level : int
        1 = finest.
    share : float
        Of the variance of all contributions.
    kl : float
        Nats per pixel.
    rms : float
        Of the contribution, counts.
    dark, everywhere : float
        Variance of the contribution without its slow part in the background, and in the whole image;
        in units of the noise's variance.
    s1 : float
        RMS in the background over RMS in the foreground.
    s2 : float or None
        Correlation of its autocorrelation in the background with that of the raw background, without
        lag 0; None where the raw background's is not known, or white.
    s3 : float
        Difference along the noise's direction against the one across, dB; > 0 for lines.
    verdict : str
        ``artefact``; ``mixed``, with structures; ``coarse``, as strong in the dark as in the bright
        but not like the raw image's noise; ``structure``; ``empty``; or ``off`` (the model was
        trained without).
    """

    level: int
    share: float
    kl: float
    rms: float
    dark: float
    everywhere: float
    s1: float
    s2: float | None
    s3: float
    verdict: LevelVerdict

    @property
    def scale_px(self) -> tuple[int, int]:
        """Size of the details that it is made for: its latents lie 2^level pixels apart."""
        return int(2**self.level), int(2 ** (self.level + 1))

    def in_words(self) -> str:
        """What the scores say, in a sentence."""
        told = f"S1 {self.s1:.2f}"
        if self.s2 is not None:
            told += f", S2 {self.s2:.2f}"
        told += f", S3 {self.s3:+.1f} dB"
        match self.verdict:
            case "off":
                return "The model was trained without this level."
            case "empty":
                return f"Holds next to nothing ({self.rms:.2g} counts)."
            case "artefact":
                how = _strength(self.s1)
                alike = self.s2 is not None and self.s2 > ALIKE_CORRELATION
                like = " and correlated as the noise is" if alike else ""
                lines = ", in lines" if self.s3 > DIRECTED_DB else ""
                return f"Looks like noise or an artefact: {how}{like}{lines} ({told})."
            case "mixed":
                return f"Holds structures and some of the artefact ({told})."
            case "coarse":
                how = _strength(self.s1)
                return (
                    f"{how[:1].upper()}{how[1:]}, yet not like the raw image's noise: a texture, or an "
                    f"artefact as coarse as the structures ({told})."
                )
        return f"Holds structures: it follows what is in the image ({told})."

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        numbers = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return numbers | {"details_px": list(self.scale_px), "in_words": self.in_words()}


def _strength(s1: float) -> str:
    if s1 <= EVERYWHERE:
        return "much in the dark"
    if s1 * EVERYWHERE <= 1:
        return "as strong in the dark as in the bright"
    return "stronger in the dark than in the bright"


def score_levels(
    decomposition: Decomposition,
    structure: Structure | None,
    boxes: Sequence[Box] | None = None,
) -> tuple[LevelScores, ...]:
    """Score every level of a decomposed plane, level 1 first.

    Parameters
    ----------
    decomposition : Decomposition
    structure : Structure or None
        Of the raw image's background, where it has one.
    boxes : sequence of (y0, y1, x0, x1), optional
        Background that the user drew; by default the darkest quarter of the image.
    """
    dark, bright = regions(decomposition, boxes)
    shares = decomposition.contributions.var(axis=(1, 2))
    total = max(float(shares.sum()), 1e-12)
    directions = _directions(structure)
    structured = structure is None or structure.verdict == "structured"
    noise = structure if structured else None
    found = []
    for k, contribution in enumerate(decomposition.contributions):
        level = k + 1
        units = contribution / decomposition.noise
        units = units - gaussian_filter(units, max(TREND_PX, 2.0 ** (level + 1)))
        in_dark, in_bright = float(np.var(units[dark])), float(np.var(units[bright]))
        lags = _lags(units, dark)
        numbers: dict[str, Any] = {
            "level": level,
            "share": float(shares[k]) / total,
            "kl": decomposition.kl[k],
            "rms": float(contribution.std()),
            "dark": in_dark,
            "everywhere": float(np.var(units)),
            "s1": float(np.sqrt(in_dark / max(in_bright, 1e-12))),
            "s2": None if lags is None else _likeness(lags, noise),
            "s3": 0.0 if lags is None else max(_directed(lags, *pair) for pair in directions),
        }
        untrained = level in decomposition.untrained
        verdict = _verdict(numbers, untrained=untrained, structured=structured)
        found.append(LevelScores(**numbers, verdict=verdict))
    return tuple(found)


def regions(
    decomposition: Decomposition, boxes: Sequence[Box] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(Y, X) booleans: where the image is background, and where it is foreground."""
    smooth = gaussian_filter(decomposition.image, SMOOTH_PX)
    low, high = np.quantile(smooth, [DARK, BRIGHT])
    dark = smooth <= low
    if boxes:
        dark = np.zeros(smooth.shape, bool)
        for y0, y1, x0, x1 in boxes:
            dark[y0:y1, x0:x1] = True
    bright = (smooth >= high) & ~dark if high > low else ~dark
    if not bright.any():  # nothing is brighter than the background
        bright = np.ones_like(dark)
    return dark, bright


def _lags(units: np.ndarray, dark: np.ndarray) -> LagMap | None:
    lags = min(LAGS_PX, min(units.shape) // 2 - 1)
    try:
        return autocorrelation([np.where(dark, units, np.nan)], lags) if lags >= 2 else None
    except ValueError:  # nothing there
        return None


def _likeness(lags: LagMap, structure: Structure | None) -> float | None:
    """Correlation of two autocorrelation maps without their centres, where pixels may be white."""
    if structure is None:
        return None
    own, noise = lags.correlation, structure.autocorrelation
    reach = min(len(own), len(noise)) // 2
    a, b = (_without_centre(values, reach) for values in (own, noise))
    if min(float(a.std()), float(b.std())) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _without_centre(correlation: np.ndarray, reach: int) -> np.ndarray:
    middle = len(correlation) // 2
    near = slice(middle - reach, middle + reach + 1)
    return np.delete(correlation[near, near].ravel(), (2 * reach + 1) ** 2 // 2)


Lag = tuple[int, int]  # y, x


def _directions(structure: Structure | None) -> list[tuple[Lag, Lag]]:
    """Lags across and along lines: those of the raw noise, or where it is not known all there are."""
    if structure is None:
        return [((1, 0), (0, 1)), ((0, 1), (1, 0)), ((1, -1), (1, 1)), ((1, 1), (1, -1))]
    if structure.verdict == "white":
        return [((1, 0), (0, 1))]
    y, x = structure.strongest
    size = max(abs(y), abs(x), 1)
    y, x = round(y / size), round(x / size)
    return [((x, -y), (y, x))]


def _directed(lags: LagMap, across: Lag, along: Lag) -> float:
    middle = len(lags.correlation) // 2

    def difference(lag: Lag) -> float:
        return max(1e-6, 1 - float(lags.correlation[middle + lag[0], middle + lag[1]]))

    return 10 * float(np.log10(difference(across) / difference(along)))


def _verdict(numbers: dict[str, Any], *, untrained: bool, structured: bool) -> LevelVerdict:
    if untrained:
        return "off"
    if numbers["everywhere"] < HOLDS_NOTHING**2:
        return "empty"
    if numbers["s1"] <= ALIKE_IN_THE_DARK:
        return "structure"
    # of white noise there is no pattern to be alike with, but what chance and structures make
    lines, alike = numbers["s3"] > DIRECTED_DB, (numbers["s2"] or 0.0) > ALIKE_CORRELATION
    if structured and (lines or alike):
        return "artefact" if numbers["dark"] > 0.5 * numbers["everywhere"] else "mixed"
    everywhere = numbers["s1"] > EVERYWHERE and numbers["dark"] > VISIBLE
    return "coarse" if everywhere else "structure"
