"""Batch-norm over a batch that several processes share.

Torch's own `SyncBatchNorm` is for GPUs alone; on CPUs this does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

AllReduce = Callable[[Tensor], Tensor]  # the mean over all processes
_SPATIAL = (0, 2, 3)


def share_statistics(
    network: nn.Module, mean_of_all: AllReduce, processes: int, device: torch.device
) -> None:
    """Make a network's batch-norms take the statistics of the whole batch; keeps their tensors."""
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, SharedBatchNorm(child, mean_of_all, processes))


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch-norm with another's weights and buffers; all processes have equally many patches."""

    def __init__(self, norm: nn.BatchNorm2d, mean_of_all: AllReduce, processes: int) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)
        self._mean_of_all, self._processes = mean_of_all, processes

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, h, w), and remember the statistics while training."""
        if not self.training:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        out: Tensor
        out, mean, var = _Shared.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.eps, self._mean_of_all
        )
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        count = x.numel() / x.shape[1] * self._processes
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        return out


class _Shared(torch.autograd.Function):
    """Normalise (B, C, h, w) by mean and variance over the patches of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, mean_of_all: AllReduce
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.float()
        var, mean = torch.var_mean(wide, _SPATIAL, correction=0)
        var, mean = var.double(), mean.double()  # of mean squares little is left after subtraction
        moments = mean_of_all(torch.stack([mean, var + mean**2]))
        mean, var = moments[0], (moments[1] - moments[0] ** 2).clamp(min=0)
        centre, scale = mean.float()[:, None, None], (var + eps).rsqrt().float()[:, None, None]
        normed = (wide - centre) * scale
        ctx.mean_of_all, ctx.like = mean_of_all, x.dtype
        ctx.save_for_backward(normed, scale, weight)
        out = (normed * weight[:, None, None] + bias[:, None, None]).to(x.dtype)
        mean, var = mean.float(), var.float()
        ctx.mark_non_differentiable(mean, var)
        return out, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        normed, scale, weight = ctx.saved_tensors
        wide = grad.float()
        to_bias, to_weight = wide.sum(_SPATIAL), (wide * normed).sum(_SPATIAL)
        count = normed.numel() / normed.shape[1]
        sums = ctx.mean_of_all(torch.stack([to_bias, to_weight])) / count
        by_mean, by_scale = sums[0][:, None, None], sums[1][:, None, None]
        to_x = (wide - by_mean - normed * by_scale) * (scale * weight[:, None, None])
        return to_x.to(ctx.like), to_weight, to_bias, None, None
