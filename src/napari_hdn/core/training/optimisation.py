"""Parts of a training step: schedule, guard against bad steps, averaged weights, batch-norm."""

from __future__ import annotations

import copy
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import nn

from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.model.ladder import Ladder

N = TypeVar("N", bound=nn.Module)

GUARD_FACTOR = 10.0
GUARD_MEMORY = 101
GUARD_MIN = 30
GUARD_STRIKES = 3
GUARD_FORGIVES = 500  # good steps after which the rate is doubled again and a fall-back forgotten


def learning_rate(config: TrainingConfig, fraction: float, steps_done: int, scale: float) -> float:
    """Linear warm-up by steps, then a cosine to zero over the budget.

    Parameters
    ----------
    fraction : float
        Of the budget that is used, 0..1.
    steps_done : int
        Steps since this budget began.
    scale : float
        What the step guard made of the rate.
    """
    warm = min(1.0, (steps_done + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return config.learning_rate * scale * warm * cosine


def make_optimizer(
    config: TrainingConfig, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimizer that the config names."""
    parameters = list(parameters)
    foreach = together(parameters[0].device)
    if config.optimizer == "adamax":
        return torch.optim.Adamax(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=foreach
        )
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=foreach
    )


def together(device: torch.device) -> bool | None:
    """Whether torch handles many tensors at once there: faster, but unknown to Apple's GPUs."""
    return True if device.type in ("cpu", "cuda") else None


class StepGuard:
    """Refuses steps with a non-finite loss or gradient, or a norm far above the usual.

    After three refusals in a row training has to fall back on the averaged weights, at half the
    learning rate; after many good steps that is forgiven.

    Attributes
    ----------
    rate_scale : float
        What the learning rate is multiplied by.
    fall_backs : int
        How many are not forgiven yet.
    """

    _NUMBERS: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "strikes": int,
        "good": int,
        "fall_backs": int,
        "rate_scale": float,
    }

    def __init__(self) -> None:
        self.norms: deque[float] = deque(maxlen=GUARD_MEMORY)
        self.strikes = 0
        self.good = 0
        self.fall_backs = 0
        self.rate_scale = 1.0

    def judge(self, loss: float, norm: float) -> Literal["apply", "skip", "fall_back"]:
        """What to do with a step of this loss and gradient norm."""
        usual = statistics.median(self.norms) if len(self.norms) >= GUARD_MIN else math.inf
        if math.isfinite(loss) and math.isfinite(norm) and norm <= GUARD_FACTOR * usual:
            self.norms.append(norm)
            self.strikes = 0
            self.good += 1
            if self.good % GUARD_FORGIVES == 0 and self.fall_backs:
                self.fall_backs -= 1
                self.rate_scale *= 2
            return "apply"
        self.strikes += 1
        if self.strikes < GUARD_STRIKES:
            return "skip"
        self.strikes = self.good = 0
        self.fall_backs += 1
        self.rate_scale *= 0.5
        self.norms.clear()  # what was usual may be no more
        return "fall_back"

    def state(self) -> dict[str, Any]:
        """What `load` restores."""
        numbers = {name: getattr(self, name) for name in self._NUMBERS}
        return {"norms": list(self.norms), **numbers}

    def load(self, state: dict[str, Any]) -> None:
        """Go on as the guard whose `state` this is."""
        self.norms = deque(state["norms"], maxlen=GUARD_MEMORY)
        for name, kind in self._NUMBERS.items():
            setattr(self, name, kind(state[name]))


class BatchNormMemory:
    """Batch-norm's running statistics as they were after the last good step.

    A forward pass changes them before anybody can judge it; one with infinite activations would
    spoil them for good.
    """

    def __init__(self, network: nn.Module) -> None:
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        buffers = [b for m in norms for b in m.buffers()]
        of_a_type = [[b for b in buffers if b.dtype == t] for t in {b.dtype for b in buffers}]
        self._theirs_and_mine = [(theirs, [b.clone() for b in theirs]) for theirs in of_a_type]

    def remember(self) -> None:
        """Take them as good."""
        for theirs, mine in self._theirs_and_mine:
            torch._foreach_copy_(mine, theirs)

    def restore(self) -> None:
        """Put them back."""
        for theirs, mine in self._theirs_and_mine:
            torch._foreach_copy_(theirs, mine)


class Averaged(Generic[N]):
    """Exponential moving average of a network's weights and batch-norm statistics.

    The decay grows from 0.1 to the given one over the first steps, so that the random start is
    soon forgotten.
    """

    def __init__(self, network: N, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    def update(self, network: N, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        mine = [t for t in self.network.state_dict().values() if t.is_floating_point()]
        theirs = [t for t in network.state_dict().values() if t.is_floating_point()]
        torch._foreach_lerp_(mine, theirs, weight)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy all parameters and buffers in place."""
    target.load_state_dict(source.state_dict())


@torch.no_grad()
def recompute_batch_norm(
    network: Ladder,
    batches: Iterable[torch.Tensor],
    rng: torch.Generator,
    held: Iterable[nn.Module] = (),
) -> None:
    """Set batch-norm statistics to those of ``batches``, without dropout, for these weights.

    Those of ``held`` modules stay as they are.

    Averaged weights have no activations of their own in training, and dropout widens those of the
    trained ones; both make running statistics slightly wrong.
    """
    from napari_hdn.core.model.ladder import generator_noise

    kept = {id(m) for module in held for m in module.modules()}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and id(m) not in kept]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a plain mean over the batches
        m.train()
    for normalised in batches:
        features = network.encode(normalised)
        choices = network.choices("sample", sampled_off=True)
        network.decode(features, choices, generator_noise(rng))
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    network.eval()
