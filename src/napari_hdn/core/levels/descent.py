"""The way down a ladder, kept so that it can be gone again from any level on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_hdn.core.model.ladder import Choice, Ladder, Noise
from napari_hdn.core.model.stochastic import kl_divergence


def no_noise(level: int, shape: torch.Size) -> Tensor:
    """For descents that draw nothing."""
    raise AssertionError(f"level {level} draws noise, but only means were asked for")


class Descent:
    """Decodes one encoded image again and again, from the topmost level that changed.

    Parameters
    ----------
    network : Ladder
    features : sequence of Tensor
        From `Ladder.encode`; none to decode from the prior.
    size : (batch, height, width)
        Of the top level.
    with_kl : bool
        Compute the KL divergence of every level.
    """

    def __init__(
        self,
        network: Ladder,
        features: Sequence[Tensor] | None,
        size: tuple[int, int, int],
        *,
        with_kl: bool = False,
    ) -> None:
        self._network = network
        self._features = features
        self._size = torch.Size(size)
        self._measure = kl_divergence if with_kl else None
        self._path: list[tuple[Choice, Tensor, Tensor]] = []  # top first: choice, below, KL

    def signal(self, choices: Sequence[Choice], noise: Noise = no_noise) -> Tensor:
        """The signal with a choice at every level, level 1 first; (B, 1, Y, X) normalised.

        Levels whose own and whose higher levels' choices are those of the last call are not computed
        again; so what draws noise must draw the same one.
        """
        network = self._network
        kept = 0
        while kept < len(self._path) and _same(self._path[kept][0], choices[-1 - kept]):
            kept += 1
        del self._path[kept:]
        for level in reversed(network.levels[: network.config.levels - kept]):
            above = self._path[-1][1] if self._path else None
            size = self._size
            if above is not None:
                size = torch.Size((above.shape[0], *above.shape[-2:]))
            up = None if self._features is None else self._features[level - 1]
            choice = choices[level - 1]
            _, kl, below = network.descend(
                level, choice, up, above, noise, size, measure=self._measure
            )
            self._path.append((choice, below, kl))
        return network.finish(self._path[-1][1])

    @property
    def kl(self) -> tuple[Tensor, ...]:
        """(B, h, w) nats a latent of the last call, level 1 first."""
        return tuple(kl for _, _, kl in reversed(self._path))


def _same(a: Choice, b: Choice) -> bool:
    return a == b if isinstance(a, str) and isinstance(b, str) else a is b
