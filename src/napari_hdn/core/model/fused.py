"""A copy of a ladder that computes the same with less to carry to and from memory, for prediction.

The plain network (`napari_hdn.core.model.blocks`) spends half of its time beside the convolutions. Here

- batch-norm is part of the convolution before it, where there is one;
- SiLU, ReLU and the gate's sigmoid are part of the convolution before them, on processors where torch
  lets oneDNN do so;
- what is left works in place, the gate in one pass;
- weights are converted once, not in every pass;
- in a merge, what is the same for all samples of a batch is computed once.

The ladder itself, `Ladder.encode` and `Ladder.decode`, is not touched: its blocks are exchanged.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hdn.core.config import Activation
from napari_hdn.core.model.blocks import Blocks, Merge, ResidualBlock, Rng
from napari_hdn.core.model.ladder import Ladder

After = Activation | Literal["none", "sigmoid"]

BAND_BYTES = 8 * 2**20  # of one map; between the steps of a block there are about four
LEAST_ROWS = 32
HALO = 2  # rows that a block sees beside each of its own

_ONEDNN = {"none": "none", "silu": "swish", "relu": "relu", "sigmoid": "sigmoid"}


def for_prediction(network: Ladder, device: torch.device, dtype: torch.dtype) -> Ladder:
    """A copy of a network on a device, for prediction only.

    Parameters
    ----------
    network : Ladder
    device : torch.device
    dtype : torch.dtype
        ``float32``, or ``bfloat16`` to hold the weights in it; then it has to be called with
        autocast to that type, which leaves distributions and signal in float32.

    Returns
    -------
    Ladder
        In evaluation mode, its values the same but for rounding.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False).to(device)
    _exchange(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | FusedConv):
            module.to(dtype)
    fast: Ladder = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fast


def _exchange(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Blocks):
            _exchange(child)
            setattr(module, name, FusedBlocks(child))
        elif isinstance(child, ResidualBlock):
            setattr(module, name, FusedBlock(child))
        elif isinstance(child, Merge):
            setattr(module, name, FusedMerge(child))
        else:
            _exchange(child)


class FusedConv(nn.Module):
    """A convolution at the size of its input and what follows it, in one pass where torch can.

    Parameters
    ----------
    weight : Tensor
        (out, in, k, k).
    bias : Tensor, optional
        (out,).
    after : str
        What is done to the result.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, after: After = "none") -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
        self.bias = (
            None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
        )
        self.after = after
        self.padding = weight.shape[-1] // 2

    def forward(self, x: Tensor, *, above: bool = False, below: bool = False) -> Tensor:
        """(B, in, h, w) to (B, out, h, w).

        Where rows of the image follow ``above`` or ``below``, those at that edge, which would need
        them, are left out.
        """
        x = x.to(self.weight.dtype)
        p = self.padding
        if above and below:
            return self._padded(x, 0, p)
        h = self._padded(x, p, p)
        return h[:, :, p if above else 0 : h.shape[2] - (p if below else 0)]

    def _padded(self, x: Tensor, y: int, width: int) -> Tensor:
        if x.device.type != "cpu" or not onednn_fuses():
            h = functional.conv2d(x, self.weight, self.bias, padding=(y, width))
            return activate_(h, self.after)
        fused = _ONEDNN.get(self.after)
        h = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, [y, width], [1, 1], [1, 1], 1, fused or "none", [], ""
        )
        return h if fused else activate_(h, self.after)


@functools.cache
def onednn_fuses() -> bool:
    """Whether torch gives oneDNN's fused convolutions, and they are right.

    They are what torch's own compiler calls, but not promised to stay; without them all works.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x = torch.linspace(-3, 3, 2 * 16 * 4 * 4).reshape(2, 16, 4, 4)
    x = x.contiguous(memory_format=torch.channels_last)
    weight, bias = torch.linspace(-1, 1, 16 * 16).reshape(16, 16, 1, 1), torch.linspace(-1, 1, 16)
    try:
        with torch.autocast("cpu", enabled=False):
            for after, attribute in _ONEDNN.items():
                fused = torch.ops.mkldnn._convolution_pointwise(
                    x, weight, bias, [0, 0], [1, 1], [1, 1], 1, attribute, [], ""
                )
                plain = activate_(functional.conv2d(x, weight, bias), after)  # type: ignore[arg-type]
                if not torch.allclose(fused, plain, rtol=1e-4, atol=1e-4):
                    return False
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


def activate_(x: Tensor, kind: After) -> Tensor:
    """Apply an activation in place."""
    if kind == "none":
        return x
    if kind == "sigmoid":
        return x.sigmoid_()
    if kind == "silu":
        return functional.silu(x, inplace=True)
    if kind == "relu":
        return x.relu_()
    # exp(min(x, 0)) - 1 would be a quarter faster, but rounds to 1/512 near zero in bfloat16
    return functional.elu_(x)


class FusedBlock(ResidualBlock):
    """A `ResidualBlock` for prediction; see there for what it computes.

    A large map goes through the whole block in bands of rows, so that what lies between its steps
    stays in the processor's cache, and large pieces of memory need not be asked for.
    """

    def __init__(self, block: ResidualBlock) -> None:
        nn.Module.__init__(self)
        kind = self.activation = block.activation
        first, second = block.convs
        self.norm = block.norms[0]
        weight, bias = with_norm_after(first, block.norms[1])
        self.first = FusedConv(weight, bias, kind)
        self.second = FusedConv(second.weight, second.bias)  # type: ignore[arg-type]
        self.value = self.opening = None
        if block.gate is not None:
            assert block.gate.bias is not None
            weights, biases = block.gate.weight.chunk(2), block.gate.bias.chunk(2)
            self.value = FusedConv(weights[0], biases[0], kind)
            self.opening = FusedConv(weights[1], biases[1], "sigmoid")

    def forward(self, x: Tensor, rng: Rng = None, *, in_place: bool = False) -> Tensor:
        """As `ResidualBlock.forward`; ``in_place`` overwrites ``x``."""
        dtype = self.second.weight.dtype
        in_place = in_place and x.dtype == dtype
        x = x.to(dtype)
        out = x if in_place else torch.empty_like(x)
        for images, bands in plan_bands(x):
            self._image(x[images], out[images], bands)
        return out

    def _image(self, x: Tensor, out: Tensor, bands: list[slice]) -> None:
        """From ``x`` to ``out``, which may be the same, one band of rows after the other."""
        rows, before = x.shape[2], None  # the two rows before the band, activated
        for band in bands:
            above, below = band.start > 0, band.stop < rows
            top = max(0, band.start - HALO)
            piece = x[:, :, top : band.stop + HALO]
            h = piece.clone() if isinstance(self.norm, nn.Identity) else self.norm(piece)
            h = activate_(h, self.activation)
            if before is not None:
                h[:, :, :HALO] = before  # in ``x`` they may be overwritten
            before = h[:, :, band.stop - HALO - top : band.stop - top].clone() if below else None
            h = self.first(h, above=above, below=below)
            h = self.second(h, above=above, below=below)
            mine, x_mine = out[:, :, band], x[:, :, band]
            if self.value is None or self.opening is None:
                torch.add(x_mine, h, out=mine)
            else:
                torch.addcmul(x_mine, self.value(h), self.opening(h), out=mine)


def plan_bands(x: Tensor) -> Iterator[tuple[slice, list[slice]]]:
    """Which images of a batch (B, C, h, w) go through a block together, and in which rows."""
    batch, channels, height, width = x.shape
    row = channels * width * x.element_size()
    if x.device.type != "cpu" or batch * height * row <= BAND_BYTES:
        yield slice(None), [slice(0, height)]
        return
    rows = max(LEAST_ROWS, BAND_BYTES // row)
    count = max(1, round(height / rows))
    edges = [height * k // count for k in range(count + 1)]
    bands = [slice(a, b) for a, b in itertools.pairwise(edges)]
    for image in range(batch):
        yield slice(image, image + 1), bands


class FusedBlocks(Blocks):
    """`Blocks` for prediction: all but a first block that is given its input work in place."""

    def __init__(self, blocks: Blocks) -> None:
        nn.ModuleList.__init__(self, blocks)

    def forward(self, x: Tensor, rng: Rng = None) -> Tensor:
        """As `Blocks.forward`."""
        mine = False
        for module in self:
            x = module(x, in_place=mine) if isinstance(module, FusedBlock) else module(x)
            mine = True
        return x


class FusedMerge(Merge):
    """A `Merge` for prediction: the convolution of what is concatenated is a sum of two."""

    def __init__(self, merge: Merge) -> None:
        nn.Module.__init__(self)
        weights = merge.mix.weight.chunk(2, dim=1)
        self.mix_a = FusedConv(weights[0], merge.mix.bias)
        self.mix_b = FusedConv(weights[1], None)
        self.block = FusedBlock(merge.block)

    def forward(self, a: Tensor, b: Tensor, rng: Rng = None) -> Tensor:
        """As `Merge.forward`."""
        shared = a.shape[0] > 1 and a.stride(0) == 0  # the same features for all samples
        mixed = self.mix_b(b).add_(self.mix_a(a[:1] if shared else a))
        return self.block(mixed, in_place=True)


def with_norm_after(conv: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with batch-norm after it, by its running statistics."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    if not isinstance(norm, nn.BatchNorm2d):
        return conv.weight, conv.bias
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (C,)
    return conv.weight * scale[:, None, None, None], norm.bias + scale * (
        conv.bias - norm.running_mean
    )
