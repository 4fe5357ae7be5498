"""Fabric in one process, or in several that agree on every step."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, DeviceError, ProcessLostError
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.model.draws import SharedGenerator
from napari_hdn.core.ranks import ALONE, Rank
from napari_hdn.core.training import handover
from napari_hdn.core.training.objective import Losses
from napari_hdn.core.training.progress import Budget
from napari_hdn.core.training.run import Run
from napari_hdn.core.training.shared_norm import share_statistics


class Alone:
    """A training in this process only."""

    rank = ALONE

    def __init__(self, device: Device, config: TrainingConfig) -> None:
        self.device = device

    def prepared(self, prepare: Callable[[], Run], images: Sequence[ImageStack]) -> Run:
        """The run, as this process prepares it."""
        return prepare()

    def setup(self, run: Run) -> tuple[Any, Any, Callable[[Tensor], None]]:
        """Objective and optimizer as Fabric wraps them, and what adds gradients."""
        self.fabric = _fabric(self.device, run.config, self.rank)
        objective, optimizer = self.fabric.setup(run.objective, run.optimizer)
        return objective, optimizer, self.fabric.backward

    def generator(self) -> torch.Generator:
        """For the noise of a step."""
        return torch.Generator(device=self.fabric.device)

    def begin(self, budget: Budget) -> None:
        """Time runs from here."""
        budget.start()

    def agree(self, module: nn.Module, losses: Losses, stop: Stop) -> tuple[Losses, list[Tensor]]:
        """Make gradients and losses those of the whole batch; what else to read with them."""
        return losses, []

    def hear(self, told: Sequence[float]) -> None:
        """Take in what was read."""

    def stopping(self, stop: Stop) -> bool:
        """Whether all stop before the next step."""
        return stop.requested

    def look(self, run: Run, look: Callable[[], Iterator[Notice]]) -> Iterator[Notice]:
        """Look at the noise model."""
        yield from look()

    def close(self) -> None:
        """End what connects the processes."""


class Together(Alone):
    """One of several processes; everything here but ``stopping`` waits for all of them.

    Raises
    ------
    ProcessLostError
        By every method, if another process has ended.
    """

    def __init__(self, device: Device, config: TrainingConfig, rank: Rank) -> None:
        super().__init__(device, config)
        check_shareable(device, config, rank)
        self.rank = rank
        self._clock = _TheirClock()
        self._stopping = False
        self.fabric = _fabric(device, config, rank)
        with _quietly(), _others():
            self.fabric.launch()

    def prepared(self, prepare: Callable[[], Run], images: Sequence[ImageStack]) -> Run:
        """The run that the leading process prepares, in all of them."""
        if self.rank.leads:
            run = prepare()
            self._tell(handover.packed_run(run))
            return run
        return handover.unpacked_run(self._tell(b""), images, self.device)

    def setup(self, run: Run) -> tuple[Any, Any, Callable[[Tensor], None]]:
        """Objective and optimizer, batch-norm with the statistics of the whole batch."""
        share_statistics(run.network, self._mean, self.rank.of, self.fabric.device)
        objective, optimizer = self.fabric.setup(run.objective, run.optimizer)
        return objective, optimizer, self.fabric.backward

    def generator(self) -> torch.Generator:
        """For this process's share of the noise that one process would draw."""
        generator = SharedGenerator(device=self.fabric.device)
        generator.rank = self.rank
        return generator

    def begin(self, budget: Budget) -> None:
        """The leading process's time is everybody's."""
        budget.clock = self._clock
        budget.start()
        self._began = time.monotonic()

    def agree(self, module: nn.Module, losses: Losses, stop: Stop) -> tuple[Losses, list[Tensor]]:
        """Gradients, losses, time and whether somebody asked to stop, in one message."""
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        elapsed_s = self.rank.of * (time.monotonic() - self._began) if self.rank.leads else 0.0
        about = losses.loss.new_tensor([float(stop.requested), elapsed_s])
        said = [losses.loss.detach()[None], losses.reconstruction[None], losses.kl, about]
        parts = [*gradients, *(t.float() for t in said)]
        mean = self._mean(torch.cat([t.reshape(-1) for t in parts]))
        pieces = torch.split(mean, [t.numel() for t in parts])
        heard = [piece.view(t.shape) for piece, t in zip(pieces, parts, strict=True)]
        if gradients:
            torch._foreach_copy_(gradients, heard[: len(gradients)])
        loss, reconstruction, kl, about = heard[len(gradients) :]
        return Losses(loss[0], reconstruction[0], kl), list(about)

    def hear(self, told: Sequence[float]) -> None:
        """Take in whether somebody asked to stop, and the time."""
        stopping, self._clock.now = told
        self._stopping = stopping > 0

    def stopping(self, stop: Stop) -> bool:
        """Whether somebody had asked to stop when the last step was agreed on."""
        return self._stopping

    def look(self, run: Run, look: Callable[[], Iterator[Notice]]) -> Iterator[Notice]:
        """The leading process looks, the others do as it did."""
        if self.rank.leads:
            before = run.noise_model
            yield from look()
            self._tell(handover.packed_look(run, before))
        else:
            handover.take_over_look(run, self._tell(b""))

    def close(self) -> None:
        """Leave the others, who are done too."""
        torch.distributed.destroy_process_group()

    def _tell(self, packed: bytes) -> bytes:
        with _others():
            return self.fabric.broadcast(packed)

    def _mean(self, tensor: Tensor) -> Tensor:
        # Fabric's own all_reduce waits for everybody before it begins: twice the messages
        with _others():
            torch.distributed.all_reduce(tensor)
        return tensor.div_(self.rank.of)


def begin(device: Device, config: TrainingConfig, rank: Rank) -> Alone:
    """Join the other processes, where there are any.

    Raises
    ------
    ConfigurationError, DeviceError
        If the batch cannot be shared by that many, or there are not that many GPUs.
    """
    return Alone(device, config) if rank.of == 1 else Together(device, config, rank)


def check_shareable(device: Device, config: TrainingConfig, rank: Rank) -> None:
    """Find out whether that many processes can share batches here.

    Raises
    ------
    ConfigurationError, DeviceError
        If not.
    """
    of, size = rank.of, config.batch_size
    if size % of:
        fitting = [str(n) for n in range(2, size + 1) if size % n == 0]
        choice = f"choose {', '.join(fitting)} processes, or" if fitting else "choose"
        raise ConfigurationError(
            f"A batch of {size} patches cannot be shared equally by {of} processes; {choice} a batch "
            f"of {of * -(-size // of)}."
        )
    if device.name == "mps":
        raise DeviceError(
            "Apple's GPU trains in one process alone; leave out --devices, or choose --device cpu."
        )
    if device.name != "cuda":
        return
    found = torch.cuda.device_count()
    if found < rank.local_of:
        todo = f"give --devices {found}"
        if rank.begun_by == "slurm":
            todo = (
                f"ask SLURM for --gpus-per-node={rank.local_of}, and not for --gpus-per-task or "
                "--gpu-bind, which hide the others' GPUs"
            )
        elif rank.begun_by == "torchrun":
            todo = f"give torchrun --nproc-per-node={found}"
        raise DeviceError(
            f"{rank.local_of} processes on this machine need a GPU each, but {found} can be seen; "
            f"{todo}."
        )


class _TheirClock:
    """A clock that stands where the leading process's stood when they last agreed."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class _OneMessage(DDPStrategy):
    """Fabric's processes without its wrapper around modules.

    That wrapper sums gradients while they come, and must know which weights get none: with levels
    off, some do not. Here `Together.agree` sums them all, with everything else that the processes agree
    on; 0.5 million weights are 2 MB.
    """

    def setup_module(self, module: nn.Module) -> Any:
        """Leave it as it is."""
        return module


def _fabric(device: Device, config: TrainingConfig, rank: Rank) -> Fabric:
    bfloat16 = device.dtype(config.precision) is torch.bfloat16
    about: dict[str, Any] = {} if rank.of == 1 else {"strategy": _OneMessage()}
    with _quietly():
        return Fabric(
            accelerator=device.name,
            devices=rank.local_of,
            num_nodes=rank.nodes,
            plugins=_environment(rank),
            precision="bf16-mixed" if bfloat16 else "32-true",
            **about,
        )


def _environment(rank: Rank) -> ClusterEnvironment:
    # said explicitly: Fabric would take any job of SLURM's for one of several processes
    if rank.of > 1 and rank.begun_by == "torchrun":
        return TorchElasticEnvironment()
    if rank.of > 1 and rank.begun_by == "slurm":
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment()


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice for clusters; would become pop-ups in napari
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # and words on stderr
        yield


@contextmanager
def _others() -> Iterator[None]:
    """What waits for the other processes, and fails when one of them is gone."""
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's, whatever they say
        raise ProcessLostError(
            "Another of the processes that train together ended unexpectedly."
        ) from error
