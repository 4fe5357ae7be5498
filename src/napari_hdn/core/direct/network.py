"""The direct network: a small U-Net that gives its input less what it takes for noise.

Without norms and gates, which cost more than their share on a processor, and with ReLU; blocks begin as
the straight way (their last convolution at zero), so that no norm is missed.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hdn.core.direct.config import DirectNetworkConfig


class _Block(nn.Module):
    """Two convolutions beside a straight way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(width, width, 3, padding=1)
        self.b = nn.Conv2d(width, width, 3, padding=1)
        _at_zero(self.b)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(functional.relu(self.a(x)))


class DirectNetwork(nn.Module):
    """(B, 1, Y, X) normalised noisy images to restored ones, float32.

    Parameters
    ----------
    config : DirectNetworkConfig
    """

    def __init__(self, config: DirectNetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths, pixels = config.widths, config.unshuffle**2
        steps = list(pairwise(widths))
        self.first = nn.Conv2d(pixels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_Block(w) for w in widths)
        self.up = nn.ModuleList(_Block(w) for w in widths[:-1])
        self.narrower = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in steps)
        self.wider = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in steps)
        self.last = nn.Conv2d(widths[0], pixels, 3, padding=1)
        _at_zero(self.last)

    def forward(self, image: Tensor) -> Tensor:
        """Restore; both sides are multiples of ``config.multiple``."""
        unshuffle = self.config.unshuffle
        h = self.first(functional.pixel_unshuffle(image, unshuffle))  # (B, W, Y/u, X/u)
        kept = []
        for block, narrower in zip(self.down, self.narrower, strict=False):
            h = block(h)
            kept.append(h)
            h = narrower(h)  # (B, W', Y/2u, X/2u)
        h = self.down[-1](h)
        for level in reversed(range(len(self.up))):
            h = self.up[level](self.wider[level](h) + kept[level])
        # the noise alone is small: in bfloat16 the image itself would lose its digits
        restored: Tensor = image + functional.pixel_shuffle(self.last(h).float(), unshuffle)
        return restored

    def once(self, image: Tensor, autocast: torch.autocast) -> Tensor:
        """Restore one (Y, X) normalised image, from and to the computer's memory."""
        batch = image[None, None].to(self.last.weight.device)
        with torch.inference_mode(), autocast:
            signal = self(batch.contiguous(memory_format=torch.channels_last))[0, 0]
        # leaves inference mode, so that it may be computed with
        return signal.clone().cpu()


def _at_zero(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)


def random_network(config: DirectNetworkConfig, seed: int) -> DirectNetwork:
    """A network before its first step; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DirectNetwork(config)
