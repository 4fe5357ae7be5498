"""What one source tells of the noise, before anything is fitted to it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np

from napari_hdn.core.artefacts.structure import StructureSource
from napari_hdn.core.calibration.drift import Drift
from napari_hdn.core.calibration.steps import Step
from napari_hdn.core.noise.curves import MeasuredCurve

MAX_PAIRS = 400_000
MAX_RESIDUALS = 16  # frames kept to judge the noise's structure by


@dataclass(frozen=True)
class Pairs:
    """Counts with the signal that they were measured at, a sample spread over the signal."""

    counts: np.ndarray  # (n,)
    signal: np.ndarray  # (n,)


@dataclass
class Evidence:
    """Noise as a source shows it.

    Attributes
    ----------
    words : str
        The source, as ``from 3 static fields with 50 repeats``.
    curves : list of MeasuredCurve
        One for each field or image.
    pairs : list of Pairs
        One for each field or image; empty where no pixel's own signal is known.
    residuals : list of ndarray
        (Y, X) noise alone, for its structure; with what they are in ``residuals_are``.
    signal : float
        Mean counts.
    dark : float or None
        Counts without light, where dark frames told.
    """

    words: str
    curves: list[MeasuredCurve] = field(default_factory=list)
    pairs: list[Pairs] = field(default_factory=list)
    residuals: list[np.ndarray] = field(default_factory=list)
    residuals_are: StructureSource = "repeats"
    signal: float = 0.0
    drift: Drift | None = None
    dark: float | None = None
    remarks: list[str] = field(default_factory=list)
    factor: float = 1.0  # by which curves were scaled, as their differences see a part of the noise

    def scale(self, factor: float) -> None:
        """Take all variances so many times as large."""
        self.curves = [curve.scaled(factor) for curve in self.curves]
        self.factor *= factor

    def keep_residual(self, residual: np.ndarray) -> None:
        """Keep the noise of a frame, as long as there are few."""
        if len(self.residuals) < MAX_RESIDUALS:
            self.residuals.append(np.asarray(residual, dtype=np.float32))


Steps = Generator[Step, None, Evidence]


def sample_pairs(
    counts: np.ndarray, signal: np.ndarray, at_most: int, rng: np.random.Generator
) -> Pairs:
    """Pixels of a frame with their signals, rare bright signals as likely as common dark ones.

    Half of them are drawn evenly over the range of the signal, half as they come.
    """
    counts, signal = counts.ravel(), signal.ravel()
    usable = np.flatnonzero(np.isfinite(signal) & np.isfinite(counts))
    counts, signal = counts[usable], signal[usable]
    if len(counts) <= at_most:
        return Pairs(counts.astype(np.float32), signal.astype(np.float32))
    common = rng.choice(len(counts), at_most // 2, replace=False)
    low, high = np.quantile(signal, [0.0, 0.9995])
    width = max(float(high - low), 1e-9)
    bins = np.clip(((signal - low) / width * 32).astype(int), 0, 32)
    weight = 1.0 / np.bincount(bins, minlength=33)[bins]
    # the largest of u^(1/w): weighted sampling without replacement (Efraimidis & Spirakis 2006)
    keys = np.log(rng.random(len(counts))) / weight
    even = np.argpartition(keys, len(keys) - at_most // 2)[-(at_most // 2) :]
    chosen = np.concatenate([common, even])
    return Pairs(counts[chosen].astype(np.float32), signal[chosen].astype(np.float32))


def joined(pairs: list[Pairs]) -> Pairs:
    """Pairs of several fields that share one noise curve."""
    return Pairs(
        np.concatenate([p.counts for p in pairs]), np.concatenate([p.signal for p in pairs])
    )
