"""A piece of an image whose levels are switched off and on while the user looks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch

from napari_hdn.core.levels.descent import Descent
from napari_hdn.core.restoring.planes import Prepared
from napari_hdn.core.restoring.restorer import check_levels


class LevelView:
    """A piece encoded once; each new choice of levels decodes from the highest that changed.

    Parameters
    ----------
    prepared : Prepared
    counts : ndarray
        (Y, X) float32 camera counts, small enough to be decoded in one piece.

    Safe from any thread; one decodes at a time.
    """

    def __init__(self, prepared: Prepared, counts: np.ndarray) -> None:
        self._prepared = prepared
        self._plane = prepared.plane(counts, max(counts.shape), 1)
        (self._tile,) = self._plane.tiles
        features = prepared.encode(self._plane.image, self._tile)
        batch, _, height, width = features[-1].shape
        self._lock = threading.Lock()
        self._descent = Descent(prepared.network, features, (batch, height, width))

    def restored(self, off: Sequence[int] = ()) -> np.ndarray:
        """(Y, X) counts with the means of all levels, those of ``off`` at their prior's mean.

        Raises
        ------
        ConfigurationError
            If there is no such level, or it is the top.
        """
        network = self._prepared.network
        off = check_levels(network.config, off)
        with self._lock, torch.inference_mode(), self._prepared.autocast():
            signal = self._descent.signal(network.choices("mean", off))[0, 0]
        height, width = self._plane.size
        counts = self._prepared.to_counts(signal.float(), self._plane)
        return counts[:height, :width].cpu().numpy()
