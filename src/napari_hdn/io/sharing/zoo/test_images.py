"""A synthetic noisy image for the test of a package: nobody's data, in the range of the training's."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_hdn.core.hdn import HDN

_BLUR_PX = (3.0, 12.0)  # of fine and coarse structures
_SEED = 0


def noisy_image(model: HDN, side: int) -> np.ndarray:
    """(1, 1, side, side) float32 counts: smooth structures with noise of the model's noise model."""
    rng = np.random.default_rng(_SEED)
    fine, coarse = (gaussian_filter(rng.standard_normal((side, side)), b) for b in _BLUR_PX)
    shape = fine / fine.std() + 2 * coarse / coarse.std()
    low, high = model.summary.data_low, model.summary.data_high
    share = np.clip((shape - shape.min()) / (shape.max() - shape.min()), 0, 1)
    signal = torch.from_numpy(low + (high - low) * (0.1 + 0.8 * share)).float()[None, None]
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        noisy = model.noise_model.sample(signal, generator, torch.zeros(1, dtype=torch.long))
    return np.ascontiguousarray(noisy.numpy(), dtype=np.float32)
