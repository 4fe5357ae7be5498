"""One number a pixel for how far a restoration is supported: the lowest of its graded parts.

- *residuals*: 1 where what was taken away is the noise model's noise, 0.5 where it is off by what the
  check of a whole image calls doubtful, 0 at twice that;
- *spread*: 1 - spread / noise, the standard deviation of the samples against that of the raw pixel: 0
  where a restored pixel is no better known than the raw one.

Only what discriminates has a weight. *Measured* on images with a known truth
(`benchmarks/trust.py`): foreign structures are found by the residuals, large errors by the spread.
The prior's share (`core.trust.prior_share`) is no sign of either there (AUC 0.0 to 0.5): it is a
map of its own, and no part of this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_hdn.core.trust.residual_maps import ResidualMaps
from napari_hdn.core.trust.windows import Window

SPREAD_PX = 2.0  # sigma of the window in which the spread is averaged
LOW = 0.5


@dataclass(frozen=True)
class TrustMap:
    """Trust of each pixel, 0..1; NaN where the camera cut it off.

    Attributes
    ----------
    parts : dict of str to ndarray
        (Y, X) ``residuals`` and ``spread``; the spread alone where the noise has a structure.
    """

    parts: dict[str, np.ndarray]

    @property
    def trust(self) -> np.ndarray:
        """(Y, X) the lowest part."""
        return np.asarray(np.min(np.stack(list(self.parts.values())), axis=0))

    @property
    def lowest(self) -> np.ndarray:
        """(Y, X) int, which part is lowest: its place in ``parts``; -1 where cut off."""
        stacked = np.stack(list(self.parts.values()))
        gone = ~np.isfinite(stacked).all(axis=0)
        return np.where(gone, -1, np.argmin(np.where(np.isfinite(stacked), stacked, 2.0), axis=0))

    @property
    def low_share(self) -> float:
        """Share of the pixels below `LOW`; those cut off count."""
        return float(np.mean(~(self.trust >= LOW)))

    @property
    def blame(self) -> dict[str, float]:
        """Share of the pixels below `LOW` by the part that is lowest there."""
        low = self.trust < LOW
        if not low.any():
            return dict.fromkeys(self.parts, 0.0)
        return {p: float(np.mean(self.lowest[low] == k)) for k, p in enumerate(self.parts)}


def trust_map(
    residuals: ResidualMaps,
    std: np.ndarray,
    noise: np.ndarray,
    usable: np.ndarray,
    factor: float = 1.0,
    *,
    structured: bool = False,
) -> TrustMap:
    """Grade the parts.

    Parameters
    ----------
    residuals : ResidualMaps
    std, noise : ndarray
        (Y, X) standard deviation of the samples, and of the noise model, counts.
    usable : ndarray of bool
        (Y, X) pixels that were not cut off.
    factor : float
        What the spread has to be multiplied by, where that was measured.
    structured : bool
        Noise with a structure was to be taken away, too: residuals are then correlated by right, and
        the spread alone counts.
    """
    window = Window(np.ones(std.shape, bool), SPREAD_PX)
    spread = factor * np.sqrt(window.smooth(std**2)) / np.maximum(noise, 1e-15)
    fit = np.clip(1 - residuals.misfit / 2, 0, 1)
    parts = {} if structured else {"residuals": fit}
    parts["spread"] = np.clip(1 - spread, 0, 1)
    return TrustMap({k: np.where(usable, v, np.nan).astype(np.float32) for k, v in parts.items()})
