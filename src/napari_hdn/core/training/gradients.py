"""The gradients of one batch, in smaller parts where memory is short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_hdn.core.devices import Device
from napari_hdn.core.errors import is_memory_short
from napari_hdn.core.training.objective import Losses

Objective = Callable[[Tensor, Tensor, torch.Generator], Losses]


@dataclass
class Gradients:
    """Adds up gradients over parts of a batch, of which there are more once memory has run short.

    The sum is that of the whole batch, since losses are means over patches; only batch-norm then sees
    fewer patches at a time.

    Parameters
    ----------
    objective : callable
    backward : callable
        Adds a loss's gradients to those there are.
    device : Device
    """

    objective: Objective
    backward: Callable[[Tensor], None]
    device: Device
    parts: int = 1

    def add(self, counts: Tensor, image: Tensor, rng: torch.Generator) -> Losses:
        """Gradients and losses of a batch of (B, 1, Y, X) counts."""
        if self.parts == 1:
            losses = self.objective(counts, image, rng)
            self.backward(losses.loss)
            return losses
        total: Losses | None = None
        for some, whose in zip(counts.chunk(self.parts), image.chunk(self.parts), strict=True):
            share = len(some) / len(counts)
            part = self.objective(some, whose, rng)
            self.backward(part.loss * share)
            part = Losses(part.loss.detach() * share, part.reconstruction * share, part.kl * share)
            total = part if total is None else Losses(
                total.loss + part.loss,
                total.reconstruction + part.reconstruction,
                total.kl + part.kl,
            )  # fmt: skip
        assert total is not None
        return total

    def make_smaller(self, error: Exception, patches: int) -> None:
        """Take half as many patches at a time from now on.

        Raises
        ------
        Exception
            The error itself, if it is about something else than memory, or nothing can be less.
        """
        if not is_memory_short(error) or self.parts >= patches:
            raise error
        self.parts = min(2 * self.parts, patches)
        self.device.release()

    def at_a_time(self, patches: int) -> int:
        """How many patches that is."""
        return -(-patches // self.parts)
