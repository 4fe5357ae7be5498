"""The machine's own convolution ceiling for a network: bare convolutions of every layer's shape.

No network can be faster than its convolutions alone, each called with ``torch.nn.functional.conv2d``
on a channels-last map that is there already. What share of a measured time that is, is how far a
program is from what the machine can do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from napari_hdn.core.model.ladder import Ladder


@dataclass(frozen=True)
class Shape:
    """One call of a convolution."""

    batch: int
    height: int  # of the input
    width: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    transposed: bool

    @property
    def multiply_adds(self) -> float:
        """Of one call."""
        pixels = self.batch * self.height * self.width / (1 if self.transposed else self.stride**2)
        return pixels * self.inputs * self.outputs * self.kernel**2

    def __str__(self) -> str:
        kind = "transposed " if self.transposed else ""
        return (
            f"{kind}{self.kernel}x{self.kernel} {self.inputs}->{self.outputs}"
            f"{'/' + str(self.stride) if self.stride > 1 else ''}, "
            f"{self.batch} x {self.height} x {self.width}"
        )


def convolutions(network: Ladder, run: Callable[[Ladder], object]) -> Counter[Shape]:
    """How often ``run`` of a plain network calls a convolution of which shape."""
    found: Counter[Shape] = Counter()

    def seen(
        module: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[torch.Tensor], _: object
    ) -> None:
        batch, _channels, height, width = inputs[0].shape
        found[
            Shape(
                batch, height, width, module.in_channels, module.out_channels,
                module.kernel_size[0], module.stride[0], isinstance(module, nn.ConvTranspose2d),
            )
        ] += 1  # fmt: skip

    handles = [
        m.register_forward_hook(seen)
        for m in network.modules()
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    run(network)
    for handle in handles:
        handle.remove()
    return found


def bare(shape: Shape, dtype: torch.dtype, *, training: bool = False) -> Callable[[], object]:
    """The bare convolution; with ``training`` also its gradients by input, weight and bias."""
    k = shape.kernel
    last = torch.channels_last
    size = (shape.batch, shape.inputs, shape.height, shape.width)
    x = torch.randn(size).to(dtype).contiguous(memory_format=last)
    channels = (shape.outputs, shape.inputs)
    weight = torch.randn(*(channels[::-1] if shape.transposed else channels), k, k) / k
    weight, bias = (
        weight.to(dtype).contiguous(memory_format=last),
        torch.randn(shape.outputs).to(dtype),
    )

    def forward() -> torch.Tensor:
        if shape.transposed:
            return functional.conv_transpose2d(
                x,
                weight,
                bias,
                stride=shape.stride,
                padding=k // 2,
                output_padding=shape.stride - 1,
            )
        return functional.conv2d(x, weight, bias, stride=shape.stride, padding=k // 2)

    if not training:

        def run() -> object:
            with torch.inference_mode():
                return forward()

        return run
    leaves = [weight.requires_grad_(), bias.requires_grad_()]
    if shape.inputs > 4:  # nobody needs the gradient of the image
        leaves.append(x.requires_grad_())
    with torch.no_grad():
        grad = torch.randn_like(forward())
    return lambda: torch.autograd.grad(forward(), leaves, grad)
