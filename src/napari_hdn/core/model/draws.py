"""Random numbers of the network: whole, or those of a share of the batch.

Where several processes share a batch, each draws what one process would draw for the whole batch and
takes its own patches' part. So the noise of a patch does not depend on how many processes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from napari_hdn.core.ranks import ALONE, Rank


class SharedGenerator(torch.Generator):
    """A generator for one process's share of every batch."""

    rank: Rank = ALONE


def uniform(shape: Sequence[int], rng: torch.Generator, device: torch.device) -> Tensor:
    """Numbers in 0..1; the first axis is that of the patches."""
    return _draw(torch.rand, shape, rng, device)


def normal(shape: Sequence[int], rng: torch.Generator, device: torch.device) -> Tensor:
    """Numbers of mean 0 and variance 1; the first axis is that of the patches."""
    return _draw(torch.randn, shape, rng, device)


def _draw(
    draw: Callable[..., Tensor], shape: Sequence[int], rng: torch.Generator, device: torch.device
) -> Tensor:
    if not isinstance(rng, SharedGenerator):
        return draw(shape, generator=rng, device=device)
    patches = shape[0] * rng.rank.of
    whole = draw((patches, *shape[1:]), generator=rng, device=device)
    return whole[rng.rank.share(patches)]
