"""Residual blocks of the ladder (Prakash et al. 2022, A.2), after the published architecture.

Dropout draws from an explicit generator, given with every forward pass; none means none.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from napari_hdn.core.config import Activation, NetworkConfig
from napari_hdn.core.model.draws import uniform

Rng = torch.Generator | None


def activate(x: Tensor, kind: Activation) -> Tensor:
    """Apply the activation."""
    if kind == "silu":
        return functional.silu(x)
    if kind == "relu":
        return functional.relu(x)
    return functional.elu(x)


def drop_channels(x: Tensor, probability: float, rng: Rng) -> Tensor:
    """Dropout2d: zero whole channels, scale the others."""
    if rng is None or probability == 0:
        return x
    draw = uniform((*x.shape[:2], 1, 1), rng, x.device)  # (B, C, 1, 1)
    return x * ((draw >= probability) / (1 - probability)).to(x.dtype)


def soft_clamp(x: Tensor, bound: float) -> Tensor:
    """Keep values within (-bound, bound), smoothly, with a gradient everywhere."""
    return bound * torch.tanh(x / bound)


def memory_format_of(x: Tensor) -> torch.memory_format:
    """The order of a (B, C, h, w) map in memory."""
    last = torch.channels_last
    return last if x.is_contiguous(memory_format=last) else torch.contiguous_format


class Gate(torch.autograd.Function):
    """``x + activation(a) * sigmoid(b)`` of maps (a, b) stacked along the channels, (B, 2 C, h, w).

    Torch's own gradient of this makes two maps of the halves' gradients and copies them into a third;
    here they are written where they belong: a training step is some 5 % cheaper.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, stacked: Tensor, kind: Activation) -> Tensor:
        a, b = stacked.chunk(2, dim=1)
        active, opening = activate(a, kind), torch.sigmoid(b)
        ctx.kind = kind
        # the gradients of ELU and ReLU need only the result
        ctx.save_for_backward(active, opening, a if kind == "silu" else active)
        return torch.addcmul(x, active, opening)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        active, opening, a = ctx.saved_tensors
        batch, channels, *size = active.shape
        stacked = torch.empty(
            (batch, 2 * channels, *size), dtype=grad.dtype, device=grad.device,
            memory_format=memory_format_of(grad),
        )  # fmt: skip
        to_a, to_b = stacked.chunk(2, dim=1)
        by_a = grad * opening
        if ctx.kind == "silu":
            torch.ops.aten.silu_backward.grad_input(by_a, a, grad_input=to_a)
        elif ctx.kind == "relu":
            torch.ops.aten.threshold_backward.grad_input(by_a, active, 0, grad_input=to_a)
        else:
            torch.ops.aten.elu_backward.grad_input(by_a, 1, 1, 1, True, active, grad_input=to_a)
        torch.ops.aten.sigmoid_backward.grad_input(grad * active, opening, grad_input=to_b)
        return grad, stacked, None


def through_gate(x: Tensor, stacked: Tensor, kind: Activation) -> Tensor:
    """Apply the `Gate`."""
    # another type of numbers is not so in a ladder, but torch knows how to mix them; and what is traced
    # for other programs knows no functions of ours
    if x.dtype != stacked.dtype or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        a, b = stacked.chunk(2, dim=1)
        return x + activate(a, kind) * torch.sigmoid(b)
    out: Tensor = Gate.apply(x, stacked, kind)  # type: ignore[no-untyped-call]
    return out


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
            return through_gate(x, self.gate(h), self.activation)
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
