"""How many samples are enough: how near the mean of N samples is to its limit.

The error of the mean of N independent samples is MSE_inf + V / N, where V is the samples' variance
and MSE_inf what remains with infinitely many; in antithetic pairs it is MSE_inf + V_pair / (N / 2).
V and V_pair are measured on the image itself. MSE_inf is not known without a truth; it is taken as
V: where the posterior is right, the error of its mean is its variance (measured on simulated noise
with known truth, Fast: MSE_inf 1.5, 1.6, 8.2, 5.4 where V was 2.0, 2.0, 8.3, 6.6 counts squared). An
unbiased estimate from the residuals (Stein's) was 3.0, 3.3, 7.4, 3.9 on the same images: a noise model
that is 2 % off spoils it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WORTH_DB = 0.05


@dataclass(frozen=True)
class MeanSpread:
    """How much single samples and means of pairs scatter, in counts squared, mean over pixels.

    Attributes
    ----------
    single : float
        V, of a sample.
    pair : float or None
        V_pair, of the mean of an antithetic pair.
    samples, pairs : int
        How many the mean was made of; where there are pairs, of pairs only.
    """

    single: float
    pair: float | None
    samples: int
    pairs: int

    @property
    def excess(self) -> float:
        """Error of the mean beyond its limit, counts squared."""
        if self.pairs:
            return (self.single if self.pair is None else self.pair) / self.pairs
        return self.single / self.samples

    @property
    def decibels(self) -> float:
        """How far the mean's PSNR is from that with infinitely many samples, dB, at least 0."""
        return decibels(self.excess, self.single)

    @property
    def worth(self) -> float | None:
        """How many independent samples a pair is worth."""
        if self.pair is None:
            return None
        return self.single / self.pair if self.pair > 0 else math.inf

    def in_words(self) -> str:
        """How near the mean is to what more samples could bring."""
        made = f"{self.pairs} antithetic pairs" if self.pairs else f"{self.samples} samples"
        text = f"Mean of {made}: within {max(self.decibels, 0.01):.2f} dB of the limit"
        if self.worth is not None and self.worth > 1.5:
            text += f" (a pair is worth {min(self.worth, 999):.0f} independent samples here)"
        if self.decibels > WORTH_DB:
            text += f"; {self.enough()} samples would bring it within {WORTH_DB} dB"
        return text + "."

    def enough(self, within_db: float = WORTH_DB) -> int:
        """Samples that bring the mean within so many dB of its limit, in pairs where these are known."""
        most = self.single * (10 ** (within_db / 10) - 1)
        if most <= 0:
            return 1
        if self.pair is None:
            return max(1, math.ceil(self.single / most))
        return 2 * max(1, math.ceil(self.pair / most))


def decibels(excess: float, limit: float) -> float:
    """How many dB an error beyond ``limit`` costs; both in counts squared."""
    return 10 * math.log10(1 + excess / limit) if limit > 0 else 0.0


def pooled(spreads: Sequence[tuple[MeanSpread, int]]) -> MeanSpread | None:
    """Of several tiles or planes, each with its pixels."""
    if not spreads:
        return None
    total = sum(n for _, n in spreads)
    first = spreads[0][0]
    pair = None
    if first.pair is not None:
        pair = sum((s.pair or 0.0) * n for s, n in spreads) / total
    return MeanSpread(
        sum(s.single * n for s, n in spreads) / total, pair, first.samples, first.pairs
    )


@dataclass(frozen=True)
class Convergence:
    """The measured law of an image.

    Attributes
    ----------
    spread : MeanSpread
        Of all samples that were drawn; ``samples`` counts them.
    counts : tuple of int
        Numbers of samples.
    singles, paired : tuple of float
        Measured error of the mean of so many independent samples, or of samples in pairs, beyond
        the limit, counts squared; NaN where there were too few.
    """

    spread: MeanSpread
    counts: tuple[int, ...]
    singles: tuple[float, ...]
    paired: tuple[float, ...]

    def law(self, n: int, *, pairs: bool) -> float:
        """The fitted error beyond the limit of the mean of n samples."""
        if pairs and self.spread.pair is not None:
            return self.spread.pair / (n / 2)
        return self.spread.single / n
