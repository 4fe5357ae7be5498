"""Tables of noise: checked, summed up, and made from pairs of counts and signals; pure functions.

`napari_hdn.core.noise.histogram` says what a table means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.pairs import KnownSignal

MAX_CELLS = 1_000_000
MAX_REACH = 60.0  # sigmas; the tails' density there is still a float32
TAIL_SHARE = 1e-3
TAIL_WIDTH = 1.5  # scale of the logistic distribution in sigmas: a standard deviation of 2.7

FOR_SHAPE, FOR_VARIANCE = 3_000, 20_000  # pairs; rows with fewer borrow from their neighbours
_NARROWEST, _WIDEST = 5.0, 20.0  # sigmas that a table reaches to either side
_SMOOTHING = 0.9  # Silverman's factor: a kernel's sigma is this times number^(-1/5)


def checked_table(
    signal: Any, sigma: Any, density: Any, low: float, high: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows' signals, their sigmas and their densities, if they make a histogram."""
    try:
        rows, widths, table = (np.asarray(v, dtype=np.float32) for v in (signal, sigma, density))
    except (TypeError, ValueError) as error:
        raise NoiseModelError("A histogram must be tables of numbers.") from error
    shape = " x ".join(str(n) for n in table.shape) or "a single number"
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 8 or table.size > MAX_CELLS:
        raise NoiseModelError(
            "A histogram needs a table of at least 2 signals x 8 bins, and at most "
            f"{MAX_CELLS} cells; this one is {shape}."
        )
    if rows.shape != (len(table),) or widths.shape != (len(table),):
        raise NoiseModelError(
            f"A table of {shape} needs a signal and a sigma for each of its {len(table)} rows; there "
            f"are {rows.size} and {widths.size}."
        )
    if not all(np.isfinite(v).all() for v in (rows, widths, table, low, high)):
        raise NoiseModelError("A histogram with numbers that are not finite cannot be used.")
    if not (np.diff(rows) > 0).all() or np.abs(rows).max() > 1e12:
        raise NoiseModelError("The signals of a histogram must ascend, within 1e12 counts.")
    if widths.min() < 1e-5 or widths.max() > 1e12:
        raise NoiseModelError(
            "The sigmas of a histogram must lie between 1e-5 and 1e12 counts; they run from "
            f"{widths.min():g} to {widths.max():g}."
        )
    if not -MAX_REACH <= low < 0 < high <= MAX_REACH:
        raise NoiseModelError(
            f"The columns of a histogram must reach from below 0 to above it, up to {MAX_REACH:g}; "
            f"not from {low:g} to {high:g}."
        )
    if table.min() < 0 or table[:, 0].any() or table[:, -1].any():
        raise NoiseModelError(
            "The densities of a histogram must not be negative, and 0 at its ends."
        )
    integral = table.astype(np.float64).sum(1) * (high - low) / (table.shape[1] - 1)
    worst = float(integral[np.argmax(np.abs(integral - 1))])
    if abs(worst - 1) > 1e-4:
        raise NoiseModelError(f"Each row of a histogram must integrate to 1, not to {worst:.4g}.")
    return rows, widths, table


def sums_of(density: np.ndarray, low: float, high: float) -> dict[str, np.ndarray]:
    """What is known of the rows once and for all: shares below and above, mean and mean square."""
    h = (high - low) / (density.shape[1] - 1)
    u = np.linspace(low, high, density.shape[1])
    areas = h / 2 * (density[:, :-1] + density[:, 1:])
    total = areas.sum(1, keepdims=True)
    areas = areas / total
    zero = np.zeros((len(density), 1))
    mean = h * (density @ u) / total[:, 0]
    square = h * (density @ (u**2 + h**2 / 6)) / total[:, 0]  # of a straight line between columns
    tails = (np.pi * TAIL_WIDTH) ** 2 / 3
    return {
        "below": np.concatenate([zero, np.cumsum(areas, 1)], 1),
        "above": np.concatenate([np.cumsum(areas[:, ::-1], 1)[:, ::-1], zero], 1),
        "mean": (1 - TAIL_SHARE) * mean,
        "square": (1 - TAIL_SHARE) * square + TAIL_SHARE * tails,
    }


def rows_for(pairs: KnownSignal, signal_bins: int, step: float) -> np.ndarray:
    """Signals at even distances in units of the noise, a grey level apart or more.

    Rows between grey levels would hold what rounding does there.
    """
    curve = pairs.curve
    low, high = curve.stabilise(torch.tensor(pairs.signal_range, dtype=torch.float64)).tolist()
    rows = curve.unstabilise(torch.linspace(low, high, signal_bins, dtype=torch.float64)).numpy()
    rows[0], rows[-1] = pairs.signal_range
    nearest = float(np.diff(rows).min())
    if nearest >= step or signal_bins == 2:
        return rows
    return rows_for(pairs, max(2, int(signal_bins * min(nearest / step, 0.9))), step)


def deposit(place: np.ndarray, length: int, values: np.ndarray | float = 1.0) -> np.ndarray:
    """(length,) sums of values, each given to the two places next to its own by nearness."""
    at = np.minimum(place.astype(np.int64), length - 2)
    rest = place - at
    return np.bincount(at, (1 - rest) * values, length) + np.bincount(at + 1, rest * values, length)


def deposit_table(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The same in two directions: each value is given to four cells."""
    at = np.minimum(row.astype(np.int64), shape[0] - 2)
    rest = row - at
    table = np.zeros(shape[0] * shape[1])
    for r, weight in ((at, 1 - rest), (at + 1, rest)):
        left = np.minimum(column.astype(np.int64), shape[1] - 2)
        part = column - left
        cell = r * shape[1] + left
        table += np.bincount(cell, weight * (1 - part), table.size)
        table += np.bincount(cell + 1, weight * part, table.size)
    return table.reshape(shape)


def borrowing(number: np.ndarray, least: int) -> np.ndarray:
    """(S, S) weights by which each row adds up itself and as many neighbours as it needs.

    The window is a triangle, just wide enough to hold ``least`` pairs, or a third of all.
    """
    least = min(least, number.sum() / 3)
    away = np.abs(np.arange(len(number))[:, None] - np.arange(len(number)))
    weights = np.eye(len(number))
    for width in range(2, 2 * len(number)):
        short = weights @ number < least
        if not short.any():
            break
        weights[short] = np.maximum(1 - away[short] / width, 0)
    return weights


def row_variances(
    pairs: KnownSignal, place: np.ndarray, number: np.ndarray, rows: np.ndarray, floor: float
) -> np.ndarray:
    """Variance of the noise at each row: measured in units of the line, so that slopes do no harm."""
    z = (pairs.counts - pairs.signal) / np.sqrt(pairs.line.variance(pairs.signal))
    borrow = borrowing(number, FOR_VARIANCE)
    mean, square = (borrow @ deposit(place, len(rows), v) / (borrow @ number) for v in (z, z**2))
    variance = (square - mean**2) * pairs.line.variance(rows) - pairs.coarseness
    return np.maximum(variance, floor)


def reach(z: np.ndarray) -> tuple[float, float]:
    """How far the table has to go, in sigmas."""
    low, high = np.quantile(z, [1e-4, 1 - 1e-4])
    return -float((1 - 1.2 * low).clip(_NARROWEST, _WIDEST)), float(
        (1 + 1.2 * high).clip(_NARROWEST, _WIDEST)
    )


def smoothed(table: np.ndarray, number: np.ndarray, step: float) -> np.ndarray:
    """Densities from sums, each row with the kernel that its number of pairs asks for."""
    rows = []
    for row, n in zip(table, number, strict=True):
        smooth = gaussian_filter1d(row, _SMOOTHING * n**-0.2 / step, mode="constant")
        smooth[[0, -1]] = 0
        rows.append(smooth / (smooth.sum() * step))
    return np.stack(rows)
