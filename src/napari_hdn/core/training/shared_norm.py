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
        var, mean = torch.var_mean(x.float(), _SPATIAL, correction=0)
        var, mean = var.double(), mean.double()  # of mean squares little is left after subtraction
        moments = mean_of_all(torch.stack([mean, var + mean**2]))
        mean, var = moments[0].float(), (moments[1] - moments[0] ** 2).clamp(min=0).float()
        ctx.mean_of_all, ctx.eps = mean_of_all, eps
        ctx.save_for_backward(x, weight, mean, var)
        ctx.mark_non_differentiable(mean, var)
        # as in evaluation: with given statistics
        return functional.batch_norm(x, mean, var, weight, bias, eps=eps), mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, weight, mean, var = ctx.saved_tensors
        # torch's gradients where the statistics are given, then what these depend on
        to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        count = x.numel() / x.shape[1]
        by_scale, by_mean = ctx.mean_of_all(torch.stack([to_weight, to_bias])) / count
        scale = torch.rsqrt(var + ctx.eps)
        slope = -weight * scale**2 * by_scale
        shift = -weight * scale * by_mean
        by_statistics = x.float() - mean[:, None, None]  # a new tensor, also where x is float32
        by_statistics = by_statistics.mul_(slope[:, None, None]).add_(shift[:, None, None])
        return by_statistics.add_(to_x).to(x.dtype), to_weight, to_bias, None, None
