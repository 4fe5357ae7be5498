"""The objective: reconstruction under the noise model plus KL of every level (ELBO).

Loss = mean over pixels of -log p(x | s) + sum over levels of max(KL, free bits), in nats per pixel
(Prakash et al. 2022, eq. 6; free bits: Kingma et al. 2016).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from napari_hdn.core.model.ladder import Ladder, generator_noise
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.normalisation import Normalisation


class Losses(NamedTuple):
    """Parts of the objective in nats per pixel; ``loss`` with free bits, ``kl`` without."""

    loss: Tensor  # scalar
    reconstruction: Tensor  # scalar
    kl: Tensor  # (levels,), level 1 first


class Objective(nn.Module):
    """Network, noise model and normalisation as one module, so that Fabric can wrap it.

    Parameters
    ----------
    network : Ladder
    noise_model : NoiseModel
    normalisation : Normalisation
    free_bits_per_pixel : float
        Nats per level and pixel that cost nothing; the published code's 1 nat per 64 x 64
        patch is 1 / 4096.
    """

    def __init__(
        self,
        network: Ladder,
        noise_model: NoiseModel,
        normalisation: Normalisation,
        free_bits_per_pixel: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.noise_model = noise_model
        self.normalisation = normalisation
        self.free_bits_per_pixel = free_bits_per_pixel

    def forward(
        self, counts: Tensor, image: Tensor, rng: torch.Generator, dropout: bool = True
    ) -> Losses:
        """Losses of a batch of patches.

        Parameters
        ----------
        counts : Tensor
            (B, 1, Y, X) camera counts.
        image : Tensor
            (B,) which noise curve each patch belongs to.
        rng : torch.Generator
            For the latents and for dropout.
        dropout : bool
            Off for validation.
        """
        dropout_rng = rng if dropout else None
        curve = self.noise_model.curve(image)
        features = self.network.encode(self.normalisation.apply(counts, curve), dropout_rng)
        decoded = self.network.decode(
            features,
            self.network.choices("sample", sampled_off=True),
            generator_noise(rng),
            rng=dropout_rng,
            with_kl=True,
        )
        pixels = counts.shape[-2] * counts.shape[-1]
        with torch.autocast(counts.device.type, enabled=False):
            signal = self.normalisation.invert(decoded.signal, curve)
            reconstruction = -self.noise_model.log_likelihood(counts, signal, image).mean()
            kl = torch.stack(decoded.kl) / pixels  # (levels, B)
            free = kl.clamp(min=self.free_bits_per_pixel).mean(dim=1).sum()
        return Losses(reconstruction + free, reconstruction.detach(), kl.detach().mean(dim=1))

    def posterior_sample(self, counts: Tensor, image: Tensor, rng: torch.Generator) -> Tensor:
        """One sample of the signal behind each patch, (B, 1, Y, X) counts; without dropout."""
        curve = self.noise_model.curve(image)
        features = self.network.encode(self.normalisation.apply(counts, curve))
        choices = self.network.choices("sample", sampled_off=True)
        decoded = self.network.decode(features, choices, generator_noise(rng))
        with torch.autocast(counts.device.type, enabled=False):
            return self.normalisation.invert(decoded.signal.float(), curve)
