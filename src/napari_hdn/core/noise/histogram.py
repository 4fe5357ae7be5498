"""Noise of any shape as a table: how often counts fall how far from their signal.

The table holds densities of u = (x - s) / sigma(s) + mean(s) at even steps of u, a row for each of
some signals, with ``sigma`` of its own; ``mean`` is that of the row, so that the mean of the counts
is s whatever the table holds. Densities and sigma are linear between the rows and between the
columns, so that a gradient in s exists, and a distribution between two rows is a mixture of both:
its integral, mean, variance and sums are known exactly. A small share is logistic: no bin is empty,
and far from the signal log p is a straight line that leads back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.pairs import known_signal, line_through
from napari_hdn.core.noise.tables import (
    FOR_SHAPE,
    TAIL_SHARE,
    TAIL_WIDTH,
    borrowing,
    checked_table,
    deposit,
    deposit_table,
    reach,
    row_variances,
    rows_for,
    smoothed,
    sums_of,
)
from napari_hdn.core.normalisation import NoiseCurve

BINS = 256
SIGNAL_BINS = 48


class Histogram(NoiseModel):
    """Noise from a table of densities around the signal, whose mean is the signal.

    Parameters
    ----------
    signal : array-like
        (S,) signals of the rows in counts, ascending; beyond them the noise is that of the nearest.
    sigma : array-like
        (S,) what a unit of the columns is in counts.
    density : array-like
        (S, bins) density at even steps from ``low`` to ``high``, linear in between; 0 in the first
        and the last column. Rows integrate to 1.
    low, high : float
        Where the columns begin and end, in units of sigma.
    line : tuple of float, optional
        (gain, offset, floor) of the line in whose units the network sees counts. Without it, the
        line closest to the variance.
    source : str
        How the model came about, in words.

    Raises
    ------
    NoiseModelError
        If the shapes do not fit, or a number is not finite or makes no noise model.
    """

    kind: ClassVar[str] = "histogram"

    def __init__(
        self,
        signal: np.ndarray | Sequence[float],
        sigma: np.ndarray | Sequence[float],
        density: np.ndarray | Sequence[Sequence[float]],
        low: float,
        high: float,
        *,
        line: tuple[float, float, float] | None = None,
        source: str = "given",
    ) -> None:
        super().__init__(source)
        rows, widths, table = checked_table(signal, sigma, density, low, high)
        self.low, self.high = float(low), float(high)
        self.signal: Tensor  # (S,)
        self.sigma: Tensor  # (S,)
        self.density: Tensor  # (S, bins)
        self.below: Tensor  # (S, bins) share of counts below each column
        self.above: Tensor  # (S, bins)
        self.mean: Tensor  # (S,) in units of sigma
        self.square: Tensor  # (S,) mean of u², with the tails
        self.line: Tensor  # gain, offset, floor
        for name, value in (("signal", rows), ("sigma", widths), ("density", table)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))
        for name, value in sums_of(self.density.double().numpy(), self.low, self.high).items():
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))
        given = self._closest_line() if line is None else line
        if len(given) != 3 or not np.isfinite(given).all() or given[2] <= 0:
            raise NoiseModelError(
                "The line of a histogram needs a finite gain and offset and a positive floor, not "
                f"{given}."
            )
        self.register_buffer("line", torch.tensor(given, dtype=torch.float32))

    @property
    def bins(self) -> int:
        """How many columns the table has."""
        return self.density.shape[1]

    @property
    def signal_range(self) -> tuple[float, float]:
        return float(self.signal[0]), float(self.signal[-1])

    def curve(self, image: Tensor | None = None) -> NoiseCurve:
        return NoiseCurve(*self.line)

    def _closest_line(self) -> tuple[float, float, float]:
        signal = np.linspace(*self.signal_range, 256)
        line = line_through(signal, self.variance_curve(signal).astype(np.float64))
        return line.gain, line.offset, line.floor

    @property
    def _step(self) -> float:
        return (self.high - self.low) / (self.bins - 1)

    def _row(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """The row below each signal, and how far it is to the next, 0..1."""
        rows = self.signal.to(signal.dtype)
        row = torch.searchsorted(rows, signal.detach().contiguous(), right=True) - 1
        row = row.clamp(0, len(rows) - 2)
        start, end = rows[row], rows[row + 1]
        return row, ((signal - start) / (end - start)).clamp(0, 1)

    def _units(self, row: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        """Sigma (counts) and mean (sigmas) between the rows."""
        sigma, mean = (_between(v[row], v[row + 1], part) for v in (self.sigma, self.mean))
        return sigma, mean

    def variance(self, signal: Tensor, image: Tensor | None = None) -> Tensor:
        row, part = self._row(signal)
        sigma, mean = self._units(row, part)
        return sigma**2 * (_between(self.square[row], self.square[row + 1], part) - mean**2)

    def log_density(self, counts: Tensor, signal: Tensor, image: Tensor | None = None) -> Tensor:
        row, part = self._row(signal)
        sigma, mean = self._units(row, part)
        u = (counts - signal) / sigma + mean
        column, rest = self._column(u)
        cell = row * self.bins + column
        dark, bright = (
            _between(self.density.take(c), self.density.take(c + 1), rest)
            for c in (cell, cell + self.bins)
        )
        inside = _between(dark, bright, part)
        # log(a + b) as log b + log(1 + a / b): b alone is left where the table ends, a being 0 there
        ratio = inside * torch.exp(-_log_logistic(u.clamp(self.low, self.high)))
        mixed = torch.log(TAIL_SHARE + (1 - TAIL_SHARE) * ratio)
        return _log_logistic(u) + mixed - torch.log(sigma)

    def _column(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The column below each ``u``, and how far it is to the next, 0..1."""
        position = (u.clamp(self.low, self.high) - self.low) / self._step
        column = position.detach().long().clamp(0, self.bins - 2)
        return column, (position - column).clamp(0, 1)

    def log_tails(
        self, edge: float | Tensor, signal: Tensor, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        row, part = self._row(signal)
        sigma, mean = self._units(row, part)
        u = (edge - signal) / sigma + mean
        column, rest = self._column(u)
        below, above = self._shares(row, part, column, rest)
        log_below = torch.where(
            u < self.low,
            math.log(TAIL_SHARE) + logsigmoid(u / TAIL_WIDTH),
            _log_mixed(below, u.clamp(min=self.low) / TAIL_WIDTH),
        )
        log_above = torch.where(
            u > self.high,
            math.log(TAIL_SHARE) + logsigmoid(-u / TAIL_WIDTH),
            _log_mixed(above, -u.clamp(max=self.high) / TAIL_WIDTH),
        )
        return log_below, log_above

    def _shares(
        self, row: Tensor, part: Tensor, column: Tensor, rest: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Share of the table below and above a place in it."""
        both = []
        for r in (row, row + 1):
            cell = r * self.bins + column
            here, there = self.density.take(cell), self.density.take(cell + 1)
            # the integral of a straight line, from either side
            left = self._step * rest * (here + rest / 2 * (there - here))
            right = self._step * (1 - rest) * (there + (1 - rest) / 2 * (here - there))
            both.append((self.below.take(cell) + left, self.above.take(cell + 1) + right))
        (dark_below, dark_above), (bright_below, bright_above) = both
        return _between(dark_below, bright_below, part), _between(dark_above, bright_above, part)

    def draw(self, signal: Tensor, rng: torch.Generator, image: Tensor | None = None) -> Tensor:
        row, part = self._row(signal)
        sigma, mean = self._units(row, part)
        which, tail, share = (
            torch.rand(signal.shape, generator=rng, device=signal.device, dtype=torch.float64)
            for _ in range(3)
        )
        chosen = row + (which < part)  # between two rows the noise is a mixture of theirs
        inside = self._quantile(chosen, share).to(signal.dtype)
        far = (TAIL_WIDTH * torch.logit(share, eps=1e-12)).to(signal.dtype)
        return signal + sigma * (torch.where(tail < TAIL_SHARE, far, inside) - mean)

    def _quantile(self, row: Tensor, share: Tensor) -> Tensor:
        """Where ``share`` of a row's table lies below."""
        below = self.below.double()
        # one ascending sequence of all rows: a search in it finds row and column
        sequence = (below + torch.arange(len(below), device=below.device)[:, None]).reshape(-1)
        share = share.clamp(1e-12, 1 - 1e-12)
        cell = torch.searchsorted(sequence, (row + share).contiguous(), right=True) - 1
        cell = torch.minimum(torch.maximum(cell, row * self.bins), (row + 1) * self.bins - 2)
        density = self.density.double()
        here, there = density.take(cell), density.take(cell + 1)
        missing = (share - below.take(cell)).clamp(min=0) / self._step
        root = torch.sqrt((here**2 + 2 * missing * (there - here)).clamp(min=0))
        rest = (2 * missing / (here + root).clamp(min=1e-30)).clamp(max=1)
        return self.low + self._step * (cell - row * self.bins + rest)

    def to_json(self) -> dict[str, Any]:
        return {
            "signal": _digits(self.signal),
            "sigma": _digits(self.sigma),
            "low": self.low,
            "high": self.high,
            "density": [_digits(row) for row in self.density],
            "line": _digits(self.line),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        line = data.get("line")
        return cls(
            data["signal"],
            data["sigma"],
            data["density"],
            float(data["low"]),
            float(data["high"]),
            line=None if line is None else tuple(float(v) for v in line),  # type: ignore[arg-type]
        )

    def describe(self) -> str:
        low, high = self.signal_range
        sigma = np.sqrt(self.variance_curve(np.array([low, high])))
        return (
            f"histogram of {len(self.signal)} x {self.bins}, sigma {sigma[0]:.3g} to {sigma[1]:.3g} "
            f"counts for signals of {low:.4g} to {high:.4g} ({self.source})"
        )


def _log_logistic(u: Tensor) -> Tensor:
    """Log-density of the tails, in units of sigma."""
    v = u / TAIL_WIDTH
    return logsigmoid(v) + logsigmoid(-v) - math.log(TAIL_WIDTH)


def _between(a: Tensor, b: Tensor, part: Tensor) -> Tensor:
    return a + (b - a) * part


def _log_mixed(share: Tensor, v: Tensor) -> Tensor:
    return torch.log((1 - TAIL_SHARE) * share.clamp(0, 1) + TAIL_SHARE * torch.sigmoid(v))


def _digits(values: Tensor) -> list[float]:
    """As few digits as give back the same float32."""
    return [float(str(v)) for v in values.cpu().numpy()]


def fit_histogram(
    counts: np.ndarray,
    signal: np.ndarray,
    *,
    bins: int = BINS,
    signal_bins: int = SIGNAL_BINS,
    floor: float,
    step: float = 0.0,
    seed: int = 0,
    stop: Stop | None = None,
    tell: Callable[[float], None] | None = None,
) -> Histogram:
    """Table of counts whose signal is known.

    The rows are even in units of the noise (variance-stabilised), so that neighbouring distributions
    are alike everywhere. A row with few pairs borrows from its neighbours, and each row is smoothed
    as its number of pairs asks for.

    Parameters
    ----------
    counts, signal : ndarray
        (n,) counts of pixels, and their signals; all are used.
    bins, signal_bins : int
        Columns and rows of the table.
    floor : float
        The least variance, counts squared.
    step : float
        Grey-level step of the counts, 0 where they are continuous. What rounding to it added to the
        variance (step² / 12) is taken off, but not where grey levels are photons.
    seed : int
        Same seed, same model.
    stop : Stop, optional
    tell : callable, optional
        Called with how much is done, 0..1.

    Raises
    ------
    NoiseModelError
        If the pairs are too few, not finite or all of one signal.
    StoppedEarly
        If ``stop`` was requested.
    """
    check_stop(stop)
    pairs = known_signal(counts, signal, floor=floor, step=step, seed=seed)
    rows = rows_for(pairs, signal_bins, step)
    place = np.interp(pairs.signal, rows, np.arange(len(rows)))
    number = deposit(place, len(rows))
    variance = row_variances(pairs, place, number, rows, floor)
    if tell is not None:
        tell(0.5)
    check_stop(stop)
    sigma = np.sqrt(np.interp(pairs.signal, rows, variance + pairs.coarseness))
    z = (pairs.counts - pairs.signal) / sigma
    low, high = reach(z)
    column = (z.clip(low, high) - low) / (high - low) * (bins - 1)
    borrow = borrowing(number, FOR_SHAPE)
    table = borrow @ deposit_table(place, column, (len(rows), bins))
    table = smoothed(table, borrow @ number, (high - low) / (bins - 1))
    sums = sums_of(table, low, high)
    unit = np.sqrt(variance / (sums["square"] - sums["mean"] ** 2))
    if tell is not None:
        tell(1.0)
    return Histogram(rows, unit, table, low, high)
