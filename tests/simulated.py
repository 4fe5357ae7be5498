"""Tiny networks and simulated counts that the core's tests share."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.events import TrainingFinished
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.training.start import train

TINY = NetworkConfig(levels=2, blocks=1, channels=8, latent_channels=4)


def simulate(shape=(4, 64, 64), gain=2.0, offset=100.0, read=3.0, seed=0) -> np.ndarray:
    """Smooth scene, the same in every frame: Poisson-Gaussian counts, (T, Y, X) float32."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    photons = 60 + 50 * np.sin(x / 11) * np.cos(y / 13)
    noisy = rng.poisson(photons, shape) * gain + offset + rng.normal(0, read, shape)
    return noisy.astype(np.float32)


def scene(rng, size=256):
    """Photons, 10 to about 110, blurred structures."""
    cells = gaussian_filter(rng.standard_normal((size, size)), 6)
    return 10 + 100 * (cells - cells.min()) / (cells.max() - cells.min())


def counts(rng, photons, gain=2.0, offset=100.0, read=3.0, frames=1):
    shape = (frames, *photons.shape)
    return (rng.poisson(photons, shape) * gain + offset + rng.normal(0, read, shape)).astype(
        np.float32
    )


def true_variance(photons, gain=2.0, read=3.0):
    return gain**2 * photons + read**2


def network(config: NetworkConfig = TINY, seed: int = 0) -> Ladder:
    """A random network, in evaluation mode, with batch-norm statistics that are not trivial."""
    torch.manual_seed(seed)
    ladder = Ladder(config)
    for name, buffer in ladder.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.2)
        if name.endswith("running_var"):
            buffer.uniform_(0.7, 1.4)
    return ladder.eval()


def run_to_end(*args, **kwargs) -> tuple[TrainingFinished, list]:
    events = list(train(*args, **kwargs))
    assert isinstance(events[-1], TrainingFinished)
    return events[-1], events
