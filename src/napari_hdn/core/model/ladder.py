"""The ladder VAE: encode, decode, generate (Prakash et al. 2022, section 4 and A.2).

Level 1 is the bottom (half the image's size, the finest), level n the top (1/2^n). The network
works on normalised images; it has no memory of image sizes or modes: what happens at each level is
an argument of `Ladder.decode`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model.blocks import Blocks, Merge, ResidualBlock, Rng
from napari_hdn.core.model.draws import normal
from napari_hdn.core.model.stochastic import Normal, StochasticLevel, kl_divergence

Choice = (
    Literal[
        "sample",
        "antithetic",
        "mean",
        "prior_sample",
        "prior_mean",
        "unmerged_sample",
        "unmerged_mean",
    ]
    | Tensor
)
"""What a level's latent is: drawn from the posterior, its antithetic partner (the same noise with
the other sign), the posterior mean, drawn from the prior, the prior mean; from the posterior's
convolution of the top-down features alone, blind to the image (how the published code switches a
level off); or a given value."""

Noise = Callable[[int, torch.Size], Tensor]
"""Standard normal noise for (level, shape)."""

Measure = Callable[[Normal, Normal], Tensor]
"""What the image told of the latents of a level: (B, Z, h, w) from posterior and prior, 0 for nothing;
such as their KL divergence."""


@dataclass(frozen=True)
class Decoded:
    """What one top-down pass gives."""

    signal: Tensor  # (B, 1, Y, X) normalised, float32
    latents: tuple[Tensor, ...]  # level 1 first; (B, Z, Y/2^i, X/2^i)
    kl: tuple[Tensor, ...] = ()  # level 1 first; (B,) nats a patch; empty unless asked for


class TopDownLevel(nn.Module):
    """A level on the way down: merge, latent, generative skip, then blocks at twice the size."""

    def __init__(self, config: NetworkConfig, level: int) -> None:
        super().__init__()
        c = config.channels
        is_top = level == config.levels
        self.merge = None if is_top else Merge(config)
        self.stochastic = StochasticLevel(config, is_top=is_top)
        self.skip = Merge(config) if config.generative_skip and not is_top else None
        upsample = nn.ConvTranspose2d(c, c, 3, stride=2, padding=1, output_padding=1)
        self.blocks = Blocks(config, None if _at_trunk_size(config, level) else upsample)


def _at_trunk_size(config: NetworkConfig, level: int) -> bool:
    return level == 1 and config.trunk == "half"


class Ladder(nn.Module):
    """The ladder VAE.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        c, k = config.channels, config.initial_kernel
        self.unshuffle = 2 if config.trunk == "half" else 1
        in_channels = self.unshuffle**2
        self.first = nn.Conv2d(in_channels, c, k, padding=k // 2)
        self.first_block = ResidualBlock(config, gated=False)
        self.bottom_up = nn.ModuleList(
            Blocks(
                config,
                None if _at_trunk_size(config, level) else nn.Conv2d(c, c, 3, stride=2, padding=1),
            )
            for level in self.levels
        )
        self.top_down = nn.ModuleList(TopDownLevel(config, level) for level in self.levels)
        self.final = Blocks(config)
        self.last = nn.Conv2d(c, in_channels, 3, padding=1)

    @property
    def levels(self) -> range:
        """1 (bottom) to n (top)."""
        return range(1, self.config.levels + 1)

    def choices(
        self, choice: Choice = "sample", off: Sequence[int] = (), *, sampled_off: bool = False
    ) -> tuple[Choice, ...]:
        """The same choice at every level that is on, and none of the image's at those that are off.

        Parameters
        ----------
        choice : Choice
            At the levels that are on.
        off : sequence of int
            Levels to switch off besides those that the network was trained without. Such a level
            takes its prior, since no other part of it ever saw features without the image.
        sampled_off : bool
            Draw the latents of levels that are off, as in training; else their means.
        """
        untrained = self.config.deactivated_levels
        how = "sample" if sampled_off else "mean"
        rule = "unmerged" if self.config.deactivation == "posterior" else "prior"
        chosen: list[Choice] = []
        for level in self.levels:
            if level in untrained:
                chosen.append(f"{rule}_{how}")  # type: ignore[arg-type]
            else:
                chosen.append(f"prior_{how}" if level in off else choice)  # type: ignore[arg-type]
        return tuple(chosen)

    def encode(self, image: Tensor, rng: Rng = None) -> tuple[Tensor, ...]:
        """Bottom-up pass: features of every level, level 1 first; once per image.

        Parameters
        ----------
        image : Tensor
            (B, 1, Y, X) normalised; Y and X multiples of ``config.multiple``.
        rng : torch.Generator, optional
            For dropout; none in prediction.
        """
        if image.shape[-2] % self.config.multiple or image.shape[-1] % self.config.multiple:
            raise ValueError(
                f"Image sides {tuple(image.shape[-2:])} are not multiples of {self.config.multiple}."
            )
        h = functional.pixel_unshuffle(image, self.unshuffle) if self.unshuffle > 1 else image
        h = self.first_block(self.first(h), rng)
        features = []
        for blocks in self.bottom_up:
            h = blocks(h, rng)  # (B, C, Y/2^i, X/2^i)
            features.append(h)
        return tuple(features)

    def decode(
        self,
        features: Sequence[Tensor] | None,
        choices: Sequence[Choice],
        noise: Noise,
        *,
        top_size: tuple[int, int, int] | None = None,
        rng: Rng = None,
        with_kl: bool = False,
    ) -> Decoded:
        """Top-down pass with a choice of latent at every level.

        Parameters
        ----------
        features : sequence of Tensor, optional
            From `encode`, level 1 first; none for levels that use only the prior throughout.
        choices : sequence of Choice
            One per level, level 1 first.
        noise : callable
            Gives standard normal noise for (level, shape); its sign is turned for ``antithetic``.
        top_size : tuple of int, optional
            (batch, height, width) of the top level, where ``features`` are not given.
        with_kl : bool
            Compute the KL divergence of every level, in nats a patch; 0 at levels on their prior.

        Returns
        -------
        Decoded
        """
        if len(choices) != self.config.levels:
            raise ValueError(
                f"{self.config.levels} levels need as many choices, not {len(choices)}."
            )
        if top_size is None:
            if features is None:
                raise ValueError("Without features, decode needs the size of the top level.")
            batch, _, height, width = features[-1].shape
        else:
            batch, height, width = top_size
        above: Tensor | None = None
        latents: list[Tensor] = []
        kls: list[Tensor] = []
        size = torch.Size((batch, height, width))
        measure = kl_divergence if with_kl else None
        for level in reversed(self.levels):
            up = None if features is None else features[level - 1]
            z, kl, above = self.descend(
                level, choices[level - 1], up, above, noise, size, rng=rng, measure=measure
            )
            latents.append(z)
            kls.append(kl.sum(dim=(1, 2)))
            size = torch.Size((batch, *above.shape[-2:]))
        return Decoded(
            self.finish(above, rng),
            tuple(reversed(latents)),
            tuple(reversed(kls)) if with_kl else (),
        )

    def descend(
        self,
        level: int,
        choice: Choice,
        up: Tensor | None,
        above: Tensor | None,
        noise: Noise,
        size: torch.Size,
        *,
        rng: Rng = None,
        measure: Measure | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One level on the way down; `decode` is these from the top, then `finish`.

        Whoever keeps ``above`` may change the choice of a level and go on from there.

        Parameters
        ----------
        level : int
        choice : Choice
        up : Tensor, optional
            Features of this level from `encode`.
        above : Tensor, optional
            What the level above gave; none at the top.
        noise : callable
        size : torch.Size
            (batch, height, width) of this level.
        measure : callable, optional
            What to tell of posterior and prior, such as their KL divergence.

        Returns
        -------
        latent : Tensor
            (B, Z, h, w).
        told : Tensor
            (B, h, w) sum over channels of what ``measure`` gives; 0 where none was asked for, or the
            posterior is not used.
        below : Tensor
            (B, C, 2 h, 2 w): ``above`` of the next level, or of `finish`.
        """
        module: TopDownLevel = self.top_down[level - 1]  # type: ignore[assignment]
        shape = torch.Size((size[0], self.config.latent_channels, *size[1:]))
        z, told = self._latent(module, level, choice, up, above, shape, noise, rng, measure)
        h = module.stochastic.out(z)  # (B, C, h, w)
        if module.skip is not None:
            h = module.skip(h, above, rng)
        return z, told, module.blocks(h, rng)

    def finish(self, below: Tensor | None, rng: Rng = None) -> Tensor:
        """From what level 1 gave to the signal, (B, 1, Y, X) normalised, float32."""
        h = self.last(self.final(below, rng))
        signal = functional.pixel_shuffle(h, self.unshuffle) if self.unshuffle > 1 else h
        return signal.float()

    def _latent(
        self,
        module: TopDownLevel,
        level: int,
        choice: Choice,
        up: Tensor | None,
        above: Tensor | None,
        shape: torch.Size,
        noise: Noise,
        rng: Rng,
        measure: Measure | None,
    ) -> tuple[Tensor, Tensor]:
        zero = torch.zeros((shape[0], *shape[2:]), device=self.last.weight.device)
        if isinstance(choice, Tensor):
            return choice, zero
        if choice in ("prior_sample", "prior_mean"):
            p = module.stochastic.prior_given(above)
            z = p.mean.expand(shape) if choice == "prior_mean" else p.at(noise(level, shape))
            return z, zero
        if choice in ("unmerged_sample", "unmerged_mean"):
            if above is None:
                raise ValueError("The top level has no features from above to be blind with.")
            q = Normal.from_parameters(module.stochastic.posterior(above))
        elif up is None:
            raise ValueError(f"Level {level} asks for the posterior, which needs encoded features.")
        else:
            merged = up if module.merge is None else module.merge(up, above, rng)
            q = Normal.from_parameters(module.stochastic.posterior(merged))
        if choice in ("mean", "unmerged_mean"):
            z = q.mean
        else:
            e = noise(level, shape)
            z = q.at(-e if choice == "antithetic" else e)
        if measure is None:
            return z, zero
        p = module.stochastic.prior_given(above)
        return z, measure(q, p).sum(dim=1)

    def generate(
        self,
        size: tuple[int, int],
        noise: Noise,
        *,
        batch: int = 1,
        choices: Sequence[Choice] | None = None,
    ) -> Tensor:
        """Images from the prior alone; (B, 1, Y, X) normalised, any ``size`` rounded up."""
        m = self.config.multiple
        top = (batch, -(-size[0] // m), -(-size[1] // m))
        prior: Sequence[Choice] = choices or ["prior_sample"] * self.config.levels
        decoded = self.decode(None, prior, noise, top_size=top)
        return decoded.signal[..., : size[0], : size[1]]


def generator_noise(rng: torch.Generator) -> Noise:
    """Noise for `Ladder.decode` drawn from one generator, level by level as they come."""

    def draw(level: int, shape: torch.Size) -> Tensor:
        return normal(shape, rng, rng.device)

    return draw
