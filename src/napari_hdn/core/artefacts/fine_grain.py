"""Noise correlation of an image that is nowhere flat, from its finest grain.

A microscope blurs its structures, in all directions; at the highest spatial frequencies an image
holds noise alone. A difference filter *across* a direction keeps these, and noise filtered so keeps
its correlation *along* the direction: exactly, where correlation is a product of one along and one
across (white noise, lines, a blur), and in part where it is a sum of such (blurred plus white).

What fine structures leave in the differences betrays itself: it is smooth across, too, where lines
are white. So lines cannot hide and structures are hardly taken for noise; but where both are blurred
alike only a flat background or repeats can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from napari_hdn.core.artefacts.autocorrelation import (
    NEGLIGIBLE,
    LagMap,
    autocorrelation,
    of_unit_size,
    white_bound,
)
from napari_hdn.core.artefacts.background import CLIPPED, lost_pixels, without_holes

MAX_PLANES = 8
LEAST_PIXELS = 4096  # in the flatter half of all planes together
MAX_SIDE_PX = 1024
Direction = tuple[int, int]  # y, x
ACROSS: dict[Direction, Direction] = {
    (0, 1): (1, 0),
    (1, 0): (0, 1),
    (1, 1): (1, -1),
    (1, -1): (1, 1),
}
FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)  # unit gain for white noise
# Correlation across, after the filter, of what was white before: (8 over 3) / (8 over 4). The sum of
# the squares of all of them is how many times fewer pairs are independent.
WHITE_ACROSS = -0.8
DEPENDENCE = 2.63
# Excess of that correlation, against the correlation along. Line noise: 0.01 (simulated), 0.14 (STEM),
# 0.23 (curtaining); structures: 0.6 to 2.
SMOOTH = 0.35


@dataclass(frozen=True)
class FineGrain:
    """What the fine grain of images tells of their noise."""

    lags: LagMap  # of the noise, without what structures left
    neighbours: dict[Direction, float]  # correlation of neighbours, structures included
    blurred: bool  # what is correlated is smooth in all directions: structures, or noise like them
    variance: float  # counts squared; of noise that is white along x or y, all of it
    signal: float  # mean counts where it was seen


@dataclass(frozen=True)
class _Profile:
    """Correlation along one direction, of differences across it."""

    correlation: np.ndarray  # (L + 1,)
    pairs: np.ndarray  # (L + 1,) independent ones
    smooth: bool  # across: left by structures

    @property
    def large(self) -> bool:
        """Whether neighbours are correlated."""
        bound = float(white_bound(self.pairs[1], 2 * len(self.pairs)))
        return bool(abs(self.correlation[1]) > max(bound, NEGLIGIBLE))


def fine_grain(planes: Sequence[np.ndarray], max_lag: int) -> FineGrain | None:
    """Correlation of the fine grain in the flatter half of the pixels; None where there is none.

    Parameters
    ----------
    planes : sequence of ndarray
        (Y, X) counts; at most `MAX_PLANES` of them and `MAX_SIDE_PX` from their middle are used.
    max_lag : int
        L, in pixels.
    """
    keep = np.linspace(0, len(planes) - 1, min(MAX_PLANES, len(planes))).round().astype(int)
    parts = [_middle(planes[k]) for k in keep if min(planes[k].shape) > max_lag]
    masks = [_flatter_half(part) for part in parts]
    seen = [(part, mask) for part, mask in zip(parts, masks, strict=True) if mask.any()]
    if sum(np.count_nonzero(mask) for _, mask in seen) < LEAST_PIXELS:
        return None
    profiles: dict[Direction, _Profile] = {}
    variances: dict[Direction, float] = {}
    for along, across in ACROSS.items():
        fields = [np.where(mask, _differences(part, across), np.nan) for part, mask in seen]
        fields = [field for field in fields if np.nansum(field**2) > 0]
        if not fields:
            return None
        variances[along] = float(np.mean([np.nanmean(field**2) for field in fields]))
        lags = autocorrelation(map(of_unit_size, fields), max_lag)
        profiles[along] = _profile(lags, along, across)
    trusted = [p for p in profiles.values() if p.large and not p.smooth]
    return FineGrain(
        lags=_assemble(profiles),
        neighbours={along: float(p.correlation[1]) for along, p in profiles.items()},
        blurred=not trusted and any(profiles[axis].large for axis in ((0, 1), (1, 0))),
        variance=max(variances[0, 1], variances[1, 0]),
        signal=float(np.mean([part[mask].mean() for part, mask in seen])),
    )


def _middle(plane: np.ndarray) -> np.ndarray:
    y0, x0 = (max(0, (n - MAX_SIDE_PX) // 2) for n in plane.shape)
    return plane[y0 : y0 + MAX_SIDE_PX, x0 : x0 + MAX_SIDE_PX]


def _flatter_half(plane: np.ndarray) -> np.ndarray:
    """Pixels where the image is flatter than in the other half and not clipped nearby."""
    lost = lost_pixels(plane)
    usable = uniform_filter(lost.astype(np.float64), 9) < CLIPPED
    if not usable.any():
        return usable
    smooth = gaussian_filter(without_holes(plane), 2.5)
    slope = uniform_filter(np.hypot(*np.gradient(smooth)), 9)
    return np.asarray(usable & (slope <= np.median(slope[usable])))


def _differences(plane: np.ndarray, across: tuple[int, int]) -> np.ndarray:
    """Fourth differences along a direction, (Y, X); NaN at the border."""
    out = sum(
        weight * np.roll(plane, (k * across[0], k * across[1]), axis=(0, 1))
        for k, weight in zip(range(-2, 3), FOURTH, strict=True)
    )
    inner = np.full(plane.shape, np.nan)
    inner[2:-2, 2:-2] = np.asarray(out)[2:-2, 2:-2]
    return inner


def _profile(lags: LagMap, along: Direction, across: Direction) -> _Profile:
    middle = len(lags.correlation) // 2
    line = _both_ways(along, middle)[0]
    correlation = lags.correlation[line]
    excess = lags.correlation[middle + across[0], middle + across[1]] - WHITE_ACROSS
    smooth = bool(excess > SMOOTH * abs(correlation[1]))
    return _Profile(correlation, lags.pairs[line] / DEPENDENCE, smooth)


def _assemble(profiles: dict[Direction, _Profile]) -> LagMap:
    """A map from profiles of noise along the axes, as their product, or along a diagonal.

    Lines in one direction leave negative correlations in the differences across all others; the
    direction with the largest correlation is the true one.
    """
    max_lag = len(profiles[0, 1].correlation) - 1
    white = np.eye(1, max_lag + 1)[0]
    lags = np.abs(np.arange(-max_lag, max_lag + 1))
    noise = {
        along: p.correlation if not (p.large and p.smooth) else white
        for along, p in profiles.items()
    }
    pairs = np.zeros((len(lags), len(lags)))  # none behind what was not measured
    for along, profile in profiles.items():
        for line in _both_ways(along, max_lag):
            pairs[line] = profile.pairs
    strongest = max(noise, key=lambda along: noise[along][1])
    if 0 in strongest or not profiles[strongest].large:
        return LagMap(np.outer(noise[1, 0][lags], noise[0, 1][lags]), pairs)
    correlation = np.outer(white[lags], white[lags])
    for line in _both_ways(strongest, max_lag):
        correlation[line] = noise[strongest]
    return LagMap(correlation, pairs)


def _both_ways(along: Direction, max_lag: int) -> list[tuple[np.ndarray, ...]]:
    """Indices into a map from its centre in a direction, and in the opposite one."""
    steps = np.arange(max_lag + 1)
    return [tuple(max_lag + sign * k * steps for k in along) for sign in (1, -1)]
