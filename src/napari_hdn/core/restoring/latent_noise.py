"""Noise for the latents of a whole image, of which any tile takes its own crop.

A sample is thus one coherent image, the same whatever the tiles and batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCK = 64  # latents; noise is drawn in blocks with a seed each


@dataclass(frozen=True)
class LatentNoise:
    """Standard normal noise on the latent grid of one plane.

    Parameters
    ----------
    seed : int
    plane : int
        Running number of the plane, so that planes differ.
    channels : int
        Latent channels.
    device : torch.device
    """

    seed: int
    plane: int
    channels: int
    device: torch.device

    def crop(self, sample: int, level: int, y0: int, x0: int, height: int, width: int) -> Tensor:
        """(channels, height, width) of the noise of a sample at a level, from latent (y0, x0)."""
        # the order in memory that the network's feature maps have; another costs it a copy
        out = torch.empty((height, width, self.channels), device=self.device).permute(2, 0, 1)
        for by in range(y0 // BLOCK, -(-(y0 + height) // BLOCK)):
            for bx in range(x0 // BLOCK, -(-(x0 + width) // BLOCK)):
                top, left = max(y0, by * BLOCK), max(x0, bx * BLOCK)
                bottom, right = (
                    min(y0 + height, (by + 1) * BLOCK),
                    min(x0 + width, (bx + 1) * BLOCK),
                )
                block = self._block(sample, level, by, bx)
                out[:, top - y0 : bottom - y0, left - x0 : right - x0] = block[
                    :,
                    top - by * BLOCK : bottom - by * BLOCK,
                    left - bx * BLOCK : right - bx * BLOCK,
                ]
        return out

    def _block(self, sample: int, level: int, by: int, bx: int) -> Tensor:
        entropy = np.random.SeedSequence([self.seed, self.plane, sample, level, by, bx])
        rng = torch.Generator(device=self.device)
        rng.manual_seed(int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        drawn = torch.randn((BLOCK, BLOCK, self.channels), generator=rng, device=self.device)
        return drawn.permute(2, 0, 1)
