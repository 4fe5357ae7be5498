"""Judging noise by its autocorrelation: of residuals, or of flat background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_hdn.core.artefacts.autocorrelation import (
    NEGLIGIBLE,
    LagMap,
    autocorrelation,
    of_unit_size,
    white_bound,
    without_trend,
)
from napari_hdn.core.artefacts.background import Box, Patch, drawn_patches, flat_patches
from napari_hdn.core.artefacts.fine_grain import FineGrain, fine_grain
from napari_hdn.core.artefacts.structure import (
    REACHED,
    Structure,
    StructureSource,
)
from napari_hdn.core.errors import NoiseModelError

MAX_LAG_PX = 24

CLEAR = 0.15  # a single correlation of that size is structure
# Several smaller ones are structure too: 1 + their sum is how many times more noise is left in the
# mean over many pixels than white noise would leave, and looks like faint structures.
INFLATION = 1.25
NOTICEABLE = 0.05  # one must be as large for that, or else slow trends would be enough
CONFIRMED = 1 / 3  # of a block's correlation is in the fine grain, if it is not faint structures
FILLED = 0.5  # share of the pairs of lag 0 that another lag must have to be judged
FEW = 4  # blocks; fewer are believed only where the image is too small for the fine grain


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

    Raises
    ------
    NoiseModelError
        If there is no noise in them.
    """
    flat = [without_trend(np.asarray(r, np.float64)).astype(np.float32) for r in residuals]
    try:
        lags = autocorrelation(map(of_unit_size, flat), _max_lag([r.shape for r in flat]))
    except ValueError as error:
        raise NoiseModelError(
            f"The {len(flat)} frames do not differ from each other, so that they show no noise; they "
            "are copies, or empty."
        ) from error
    squares = sum(float(np.nansum(np.square(r, dtype=np.float64))) for r in flat)
    pixels = sum(np.count_nonzero(np.isfinite(r)) for r in flat)
    return _judge(lags, source, squares / pixels, signal)


def structure_of_background(
    planes: Sequence[np.ndarray], boxes: Sequence[Box] | None = None
) -> Structure | None:
    """Judge the noise of flat regions; None where an image does not show it.

    What is correlated in a flat block can also be faint structures, blurred by the microscope. The
    fine grain of the image tells: it holds hardly any. Where it denies what the blocks show, or
    where hardly any block is flat, it is judged instead.

    Parameters
    ----------
    planes : sequence of ndarray
        (Y, X) counts.
    boxes : sequence of (y0, y1, x0, x1), optional
        Regions that the user drew, the same in each plane; without, the flattest dark blocks of
        each plane are taken.

    Raises
    ------
    NoiseModelError
        If a box that the user drew lies outside the image, is too small or shows no noise.
    """
    planes = [np.asarray(plane, dtype=np.float64) for plane in planes]
    if boxes:
        return _of_patches([p for plane in planes for p in drawn_patches(plane, boxes)], "region")
    patches = flat_patches(planes)
    found = _of_patches(patches, "background") if patches else None
    few = len(patches) < FEW
    white = found is not None and found.verdict == "white"
    if white and not few:
        return found
    grain = fine_grain(planes, _max_lag([plane.shape for plane in planes]))
    if grain is None or (found is not None and not few and _confirms(grain, found)):
        return found
    if grain.blurred:
        return found if white else None  # structures do not make noise white
    return _judge(grain.lags, "background", grain.variance, grain.signal, fine=True)


def _max_lag(shapes: Sequence[tuple[int, ...]]) -> int:
    """Half of the smallest side at most, so that every lag has many pairs."""
    return min([MAX_LAG_PX, *(min(shape) // 2 for shape in shapes)])


def _of_patches(patches: Sequence[Patch], source: StructureSource) -> Structure:
    unit = [patch.noise / patch.noise.std() for patch in patches]
    lags = autocorrelation(unit, _max_lag([u.shape for u in unit]))
    variance = float(np.mean([patch.variance for patch in patches]))
    signal = float(np.mean([patch.signal for patch in patches]))
    return _judge(lags, source, variance, signal)


def _confirms(grain: FineGrain, found: Structure) -> bool:
    """Whether the fine grain has what blocks show between neighbouring pixels.

    A diagonal counts where an axis does not: of noise that is blurred along both axes the fine grain
    keeps the axes' correlation, but turns the sign of the diagonals' (a camera's 3 x 3 mean).
    """
    middle = len(found.autocorrelation) // 2
    limit = max(found.bound, NEGLIGIBLE)

    def confirmed(lag: tuple[int, int]) -> bool | None:
        in_blocks = found.autocorrelation[middle + lag[0], middle + lag[1]]
        if in_blocks <= limit:
            return None  # nothing to confirm
        return bool(grain.neighbours[lag] >= CONFIRMED * in_blocks)

    axes = [confirmed(lag) for lag in grain.neighbours if 0 in lag]
    diagonals = [confirmed(lag) for lag in grain.neighbours if 0 not in lag]
    return all(axes) if None not in axes else False not in axes + diagonals


def _judge(
    lags: LagMap, source: StructureSource, variance: float, signal: float, fine: bool = False
) -> Structure:
    r, pairs = lags.correlation, lags.pairs
    middle = len(r) // 2
    bound = float(white_bound(pairs[middle, middle], 2 * middle))
    # Correlations of noise that is correlated scatter more (Bartlett 1946): by the sum of its r^2
    scatter = np.sqrt(np.sum(r**2, where=np.abs(r) > np.maximum(white_bound(pairs, 2), NEGLIGIBLE)))
    limit = white_bound(pairs, r.size // 2)
    for axis in (np.s_[middle], np.s_[:, middle]):  # fewer lags are looked at on the axes
        limit[axis] = white_bound(pairs[axis], 2 * middle)
    limit = np.maximum(scatter * limit, NEGLIGIBLE)
    limit[pairs < FILLED * pairs[middle, middle]] = np.inf  # corners of small blocks
    large = np.abs(r) > limit
    large[middle, middle] = False
    peak = float(np.max(np.abs(r), where=large, initial=0.0))
    inflation = 1 + float(np.sum(r, where=large & (r > 0)))
    # Once neighbours are correlated, one more lag needs only one lag's evidence
    further = scatter * white_bound(pairs, 1)
    reached = np.abs(r) > np.maximum(further, max(NEGLIGIBLE, REACHED * peak))
    reached[middle - 1 : middle + 2, middle - 1 : middle + 2] &= large[
        middle - 1 : middle + 2, middle - 1 : middle + 2
    ]
    structured = peak > CLEAR or (inflation > INFLATION and peak > NOTICEABLE)
    return Structure(
        source=source,
        autocorrelation=r,
        bound=bound,
        reach_y=_reach(reached[middle:, middle]),
        reach_x=_reach(reached[middle, middle:]),
        variance=variance,
        signal=signal,
        verdict="structured" if structured else "weak" if peak else "white",
        fine_grain=fine,
    )


def _reach(reached: np.ndarray) -> int:
    """Lags from 1 on without a gap, of (L + 1,) booleans."""
    gaps = np.flatnonzero(~reached[1:])
    return int(gaps[0]) if len(gaps) else len(reached) - 1
