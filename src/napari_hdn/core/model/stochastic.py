"""One latent level: its distributions, and the latent back to features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model.blocks import soft_clamp

MAX_LOG_VARIANCE = 10.0


@dataclass(frozen=True)
class Normal:
    """A diagonal normal distribution; (B, C, h, w) or broadcastable to it, float32."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> Normal:
        """Split (B, 2 Z, h, w) into mean and bounded log-variance."""
        mean, log_variance = parameters.float().chunk(2, dim=1)
        return cls(mean, soft_clamp(log_variance, MAX_LOG_VARIANCE))

    def at(self, noise: Tensor) -> Tensor:
        """The value that standard normal noise stands for (reparametrisation)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise


def kl_divergence(q: Normal, p: Normal) -> Tensor:
    """KL(q || p) of each element, in nats; analytic, as both are normal."""
    difference = q.log_variance - p.log_variance
    distance = (q.mean - p.mean) ** 2 * torch.exp(-p.log_variance)
    return 0.5 * (torch.exp(difference) + distance - 1.0 - difference)


class StochasticLevel(nn.Module):
    """One latent level: prior and posterior from features, and the latent back to features."""

    def __init__(self, config: NetworkConfig, *, is_top: bool) -> None:
        super().__init__()
        c, z = config.channels, config.latent_channels
        if is_top:
            self.prior = None
            shape = (1, 2 * z, 1, 1)
            if config.top_prior == "learned":
                self.top_prior = nn.Parameter(torch.zeros(shape))
            else:
                self.register_buffer("top_prior", torch.zeros(shape), persistent=False)
        else:
            self.prior = nn.Conv2d(c, 2 * z, 3, padding=1)
        self.posterior = nn.Conv2d(c, 2 * z, 3, padding=1)
        self.out = nn.Conv2d(z, c, 3, padding=1)

    def prior_given(self, above: Tensor | None) -> Normal:
        """The prior of this level, given the features from above (none at the top)."""
        if self.prior is None:
            return Normal.from_parameters(self.top_prior)
        assert above is not None
        return Normal.from_parameters(self.prior(above))
