"""Posterior samples as restoring draws them, of planes whose noise curve may be known already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.events import Stop
from napari_hdn.core.normalisation import NoiseCurve
from napari_hdn.core.restoring.planes import Prepared
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.restoring.tiled import Rows

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN


class Drawing:
    """Draws the same number of independent samples of one plane after another.

    Parameters
    ----------
    model : HDN
    samples : int
    seed : int
        The same seed draws the same samples.
    off : sequence of int
        Levels to switch off.
    device : str
    """

    def __init__(
        self,
        model: HDN,
        samples: int,
        *,
        seed: int = 0,
        off: Sequence[int] = (),
        device: Any = "auto",
        tile_px: int | None = None,
    ) -> None:
        config = RestorationConfig(
            outputs=("samples",),
            samples=samples,
            seed=seed,
            deactivated_levels=tuple(off),
            device=device,
            tile_px=tile_px,
        )
        network, chosen = model.network, choose(device)
        self._restorer = Restorer(network, model.normalisation, model.noise_model, config, chosen)
        self.prepared: Prepared = self._restorer.prepared
        self.samples, self.seed = samples, seed
        self.off = self._restorer.off

    def draw(
        self,
        counts: np.ndarray,
        stop: Stop,
        *,
        number: int = 0,
        curve: NoiseCurve | None = None,
    ) -> Iterator[float | np.ndarray]:
        """Samples of (Y, X) counts: yields fractions done, then (N, Y, X) counts unless stopped.

        Parameters
        ----------
        counts : ndarray
            (Y, X) float32.
        stop : Stop
            Looked at after every batch of samples.
        number : int
            Of the plane: others have noise of their own.
        curve : NoiseCurve, optional
            Of the plane, where it is not to be estimated from these counts.
        """
        rows = []

        def read(ys: slice, xs: slice) -> np.ndarray:
            return counts[ys, xs]

        for part in self._restorer.plane(read, counts.shape, number, stop, curve=curve):
            if isinstance(part, Rows):
                rows.append(part.planes["samples"])
            else:
                yield part
        if not stop.requested:
            yield np.concatenate(rows, axis=1)
