"""Everything that one training holds in its hands."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import napari_hdn
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.events import Notice
from napari_hdn.core.hdn import HDN
from napari_hdn.core.model.held import held_modules, hold_above
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import (
    NoiseModel,
    noise_model_from_json,
    noise_model_to_json,
)
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.recipes.environment import environment_on
from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.parts import Ended, TrainingPart
from napari_hdn.core.training.objective import Objective
from napari_hdn.core.training.optimisation import (
    Averaged,
    BatchNormMemory,
    StepGuard,
    copy_weights,
    make_optimizer,
    recompute_batch_norm,
)
from napari_hdn.core.training.patches import Patches, Split
from napari_hdn.core.training.progress import Budget, History
from napari_hdn.core.training.refinement import NoiseWatch
from napari_hdn.core.training.residuals import ResidualCheck, check_residuals
from napari_hdn.core.training.statistics import ImageStatistics
from napari_hdn.core.training.summary import Origin, TrainingSummary

VALIDATION_PATCHES = 16
BATCH_NORM_BATCHES = 24
RESIDUAL_BATCHES = 6
ELSEWHERE = 2**40  # step numbers for batches that are not training steps


@dataclass
class Run:
    """The state of one training; `napari_hdn.core.training` turns it into events."""

    config: TrainingConfig
    statistics: ImageStatistics
    normalisation: Normalisation
    noise_model: NoiseModel
    network: Ladder
    split: Split
    patches: Patches
    data: tuple[str, ...]
    device: Device
    remarks: list[Notice] = field(default_factory=list)
    step: int = 0
    guard: StepGuard = field(default_factory=StepGuard)
    history: History = field(default_factory=History)
    watch: NoiseWatch = field(default_factory=NoiseWatch)
    residuals: ResidualCheck | None = None
    family: str = ""
    origin: Origin | None = None
    images: tuple[ImageRecord, ...] = ()
    earlier: tuple[TrainingPart, ...] = ()  # of a training that goes on
    given_noise: dict[str, Any] | None = None
    split_batches: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        config, at = self.config, self.device.torch
        self.first_step = self.step
        self.network.to(at).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        if config.learns == "below":
            hold_above(self.network)
        self.objective = Objective(
            self.network, self.noise_model.to(at), self.normalisation, config.free_bits_per_pixel
        )
        trained = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(config, trained)
        self.batch_norm = BatchNormMemory(self.network)
        self.averaged = Averaged(self.network, config.ema_decay)
        self.averaged_objective = Objective(
            self.averaged.network, self.noise_model, self.normalisation, config.free_bits_per_pixel
        )
        self.budget = Budget(config.minutes, config.steps)
        self.at_least_kl: tuple[int, dict[str, Tensor]] | None = None  # averaged weights
        self.validation: tuple[Tensor, Tensor] | None = None
        if self.split.validation:
            held_out = Patches(self.split.validation, config, at)
            self.validation = held_out.batch(ELSEWHERE, size=VALIDATION_PATCHES)
        self.watched = self.validation or self.patches.batch(ELSEWHERE, size=VALIDATION_PATCHES)

    @property
    def averaged_network(self) -> Ladder:
        """The network with averaged weights, in evaluation mode."""
        return self.averaged.network

    @property
    def draw(self) -> int:
        """The number of this step's random draws.

        A warm start goes on where its parent stopped, with patches of its own; the seed, and with
        it what is held out, stays.
        """
        return self.step + (self.origin.steps_before if self.origin else 0)

    @property
    def planes(self) -> int:
        """How many planes there are, to train on and held out."""
        return 1 + max(r.plane for r in self.split.training + self.split.validation)

    def change_noise_model(self, noise_model: NoiseModel) -> None:
        """Go on with another noise model, in the same units of the network."""
        self.noise_model = noise_model.to(self.device.torch)
        self.objective.noise_model = self.noise_model
        self.averaged_objective.noise_model = self.noise_model

    def remember_least(self) -> None:
        """Keep the averaged weights of the least KL of the watched level so far."""
        self.at_least_kl = self.step, copy.deepcopy(self.averaged.network.state_dict())

    def posterior_pairs(
        self, batches: Sequence[tuple[Tensor, Tensor]], device: Device
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts, a posterior sample of the signal and the noise model's variance there.

        Parameters
        ----------
        batches : sequence of (counts, image)
            As `Patches.batch` gives them.

        Returns
        -------
        counts, signal, variance : ndarray
            (B, Y, X) each, in counts and counts squared.
        """
        rng = torch.Generator(device=device.torch).manual_seed(self.config.seed)
        found = []
        for counts, image in batches:
            with torch.no_grad(), self.autocast(device):
                signal = self.averaged_objective.posterior_sample(counts, image, rng)
            with torch.no_grad():
                variance = self.noise_model.variance(signal, image)
            found.append([v[:, 0].float().cpu().numpy() for v in (counts, signal, variance)])
        columns = [np.concatenate(v) for v in zip(*found, strict=True)]
        return columns[0], columns[1], columns[2]

    def check_residuals(self, device: Device) -> ResidualCheck | None:
        """How well the noise model holds, on what is held out, else on the training images."""
        patches = self.patches
        if self.split.validation:
            patches = Patches(self.split.validation, self.config, self.device.torch)
        batches = [patches.batch(ELSEWHERE - 1 - k, size=8) for k in range(RESIDUAL_BATCHES)]
        counts, signal, variance = self.posterior_pairs(batches, device)
        usable = None
        if (clipping := self.noise_model.clipping) is not None:
            usable = (counts > clipping.below) & (counts < clipping.above)
        self.residuals = check_residuals(counts, signal, variance, usable)
        return self.residuals

    def autocast(self, device: Device) -> AbstractContextManager[Any]:
        """Computing as precisely as the config says."""
        dtype = device.dtype(self.config.precision)
        return torch.autocast(device.name, dtype, enabled=dtype is not torch.float32)

    def fall_back(self) -> None:
        """Go back to the averaged weights, with a fresh optimizer."""
        copy_weights(self.averaged.network, self.network)
        self.batch_norm.remember()
        self.optimizer.state.clear()

    def finish_weights(self) -> None:
        """Give the averaged weights batch-norm statistics of their own."""
        at = self.device.torch
        rng = torch.Generator(device=at).manual_seed(self.config.seed)
        with self.autocast(self.device):
            batches = (
                self.normalisation.apply(counts, self.noise_model.curve(image))
                for counts, image in map(
                    self.patches.batch, range(ELSEWHERE + 1, ELSEWHERE + 1 + BATCH_NORM_BATCHES)
                )
            )
            network = self.averaged.network
            held = held_modules(network) if self.config.learns == "below" else ()
            recompute_batch_norm(network, batches, rng, held)

    def part(self, seconds: float, ended: Ended, processes: int = 1) -> TrainingPart:
        """What was done since this training began or was continued, to be repeated."""
        whole = (image for part in reversed(self.earlier) if (image := part.images))
        before = next(whole, ())
        return TrainingPart(
            first_step=self.first_step,
            last_step=self.step,
            minutes=self.budget.minutes,
            steps=self.budget.steps,
            origin_step=self.budget.origin_step,
            schedule=tuple(k for k in self.budget.pace.knots if k[0] < self.step),
            split_batches=tuple(k for k in self.split_batches if k[0] < self.step),
            ended=ended,
            seconds=round(seconds - self.budget.seconds_before, 3),
            environment=environment_on(self.device, self.config.precision, processes),
            images=() if self.images == before else self.images,
        )

    def model(
        self,
        *,
        seconds: float,
        ended: Ended,
        device: Device,
        folder: Path | None,
        processes: int = 1,
    ) -> HDN:
        """The model as it is now, with averaged weights, on the CPU."""
        network = Ladder(self.config.network)
        state = {k: v.detach().cpu() for k, v in self.averaged.network.state_dict().items()}
        network.load_state_dict(state)
        summary = TrainingSummary(
            version=napari_hdn.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            steps=self.step,
            seconds=seconds,
            stopped=ended in ("stopped", "cut"),
            device=device.label,
            data=self.data,
            data_low=self.statistics.low,
            data_high=self.statistics.high,
            history=tuple(self.history.records),
            residuals=self.residuals,
            family=self.family,
            origin=self.origin,
            parts=(*self.earlier, self.part(seconds, ended, processes)),
            given_noise=self.given_noise,
        )
        noise_model = noise_model_from_json(noise_model_to_json(self.noise_model))
        return HDN(self.config, network.eval(), noise_model, self.normalisation, summary, folder)

    def state(self, budget: Budget) -> dict[str, Any]:
        """What `load` needs: tensors, numbers, lists."""
        return {
            "step": self.step,
            "seconds": budget.elapsed_s,
            "origin": budget.origin,
            "origin_step": budget.origin_step,
            "guard": self.guard.state(),
            "watch": self.watch.state(),
            "at_least_kl": self.at_least_kl,
            "network": self.network.state_dict(),
            "averaged": self.averaged.network.state_dict(),
            "noise_model": self.noise_model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any], *, noise_model: bool = True) -> None:
        """Go on as the run whose `state` this is, with its noise model unless that is of other images.

        Raises
        ------
        KeyError, TypeError, ValueError, RuntimeError
            If the state does not fit.
        """
        self.network.load_state_dict(state["network"])
        self.averaged.network.load_state_dict(state["averaged"])
        if noise_model:
            self.noise_model.load_state_dict(state["noise_model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.guard.load(state["guard"])
        self.watch.load(state["watch"])
        if state["at_least_kl"] is not None:
            step, weights = state["at_least_kl"]
            self.at_least_kl = int(step), dict(weights)
        self.batch_norm.remember()
        self.step = self.first_step = int(state["step"])
        self.budget.seconds_before = float(state["seconds"])
        self.budget.origin = float(state["origin"])
        self.budget.origin_step = int(state["origin_step"])
