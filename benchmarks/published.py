"""The published way of working, written plainly: what the program is compared with.

Float32, the default memory format, the whole network for every sample. It is
spared what else the published code did (building the autograd graph in prediction, the likelihood,
keeping all samples), so that ratios against it are on the low side.
"""

from __future__ import annotations

import numpy as np
import torch

import napari_hdn as hdn
from napari_hdn.core.model.ladder import Ladder, generator_noise

SAMPLES = 100


def sample(network: Ladder, normalised: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """One sample, (B, 1, Y, X) normalised."""
    with torch.no_grad():
        features = network.encode(normalised)
        return network.decode(features, network.choices("sample"), generator_noise(rng)).signal


def mean(model: hdn.HDN, counts: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
    """Mean of independent samples of (Y, X) counts, whose sides are multiples of what it needs."""
    from napari_hdn.core.calibration.choose import curve_of_plane

    curve = None
    if model.normalisation.stabilised:
        curve = curve_of_plane(model.noise_model, counts)
    rng = torch.Generator().manual_seed(0)
    normalised = model.normalisation.apply(torch.from_numpy(counts), curve)[None, None]
    total = torch.zeros(counts.shape)
    for _ in range(samples):
        total += model.normalisation.invert(sample(model.network, normalised, rng)[0, 0], curve)
    return (total / samples).numpy()
