"""Independent posterior samples of an image, as the restoration draws them."""

from __future__ import annotations

import numpy as np

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoration import Draw, Restorer


def drawn(
    model: HDN, counts: np.ndarray, samples: int, *, seed: int = 0, tile_px: int | None = None
) -> np.ndarray:
    """(samples, Y, X) counts, float32."""
    config = RestorationConfig(device="cpu", precision="float32", seed=seed, tile_px=tile_px)
    restorer = Restorer(
        model.network, model.normalisation, model.noise_model, config, Device("cpu", "", False)
    )
    images = []
    for key in range(samples):
        restorer.draws = [Draw(key, 1.0)]
        *_, result = restorer.plane(np.ascontiguousarray(counts, np.float32), 0, Stop())
        images.append(result[0])
    return np.stack(images)
