"""What a training will take."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NoiseConfig, TrainingConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.estimates.words import Estimate
from napari_hdn.core.events import Stop, TrainingStarted
from napari_hdn.core.memory import within_limit
from napari_hdn.core.settings import in_force
from napari_hdn.core.training.start import train

ADVICE = "Choose a smaller batch, smaller patches, or a smaller preset."
_STEPS, _AT_MOST_S = 4, 2.0
_FEW = 2  # patches at a time, with which it is found out whether a whole batch is too slow to probe
_COPIES = 5.0  # of the weights: themselves, gradients, moving average, two moments
_ON_DISK = 6.0  # times the weights: they themselves, and what a training goes on with
_BACKWARD = 1.3  # of what is saved: what the backward pass itself holds
_PROGRAM_BYTES = 3.0e8
_SIGMA = 5.0
_MADE_UP: dict[str, Any] = {  # what a probe takes instead of what was chosen: it costs no time
    "noise": NoiseConfig(source="gaussian", sigma=_SIGMA, refine=False),
    "validation_fraction": 0.0,
    "minutes": None,
    "steps": 10**6,
    "learns": "all",
    "channel": None,
    "preset": "custom",
    "seed": 0,
}
_MOST_PROBES = 32

_probes: OrderedDict[Any, _Probe] = OrderedDict()


class _Enough(Exception):
    """The probe has seen what it wanted to."""


class _Clock(Stop):
    """Looked at by the training before every step: watches the first, times the others, then leaves."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self.begun = False  # the steps, before which others look, too
        self._stop = stop
        self._looks: list[float] = []
        self._until = time.monotonic() + _AT_MOST_S
        self._blocks: dict[int, int] = {}  # bytes saved for the backward pass, by address
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda saved: saved)

    @property
    def requested(self) -> bool:
        """Never; at the end of the probe it raises."""
        if self._stop.requested:
            raise _Enough
        if self.begun:
            self._looks.append(time.perf_counter())
            match len(self._looks):
                case 1:
                    self._hooks.__enter__()
                case 2:
                    self._hooks.__exit__(None, None, None)
                case n if n > _STEPS + 1 or (n > 2 and time.monotonic() > self._until):
                    raise _Enough
        return False

    def close(self) -> None:
        """Leave autograd as it was, wherever the probe ended."""
        if len(self._looks) == 1:
            self._hooks.__exit__(None, None, None)

    def _pack(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        self._blocks[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself would keep its own graph for ever

    @property
    def saved(self) -> int:
        """Bytes that a step keeps for its backward pass."""
        return sum(self._blocks.values())

    @property
    def seconds(self) -> float:
        """Of a step, without the first one."""
        times = [later - earlier for earlier, later in itertools.pairwise(self._looks[1:])]
        return statistics.median(times)


def estimate_training(
    config: TrainingConfig, *, free_disk: float | None = None, stop: Stop | None = None
) -> Estimate | None:
    """Estimate a training from a few steps on made-up images; takes some seconds at most.

    What reading the images and estimating their noise takes comes on top.

    Parameters
    ----------
    config : TrainingConfig
    free_disk : float, optional
        Bytes, where the model is saved.
    stop : Stop, optional
        Looked at between steps; then there is no estimate.

    Raises
    ------
    ConfigurationError, DeviceError
        If the device does not exist.
    """
    device, stop = choose(config.device), stop or Stop()
    made_up = config.model_copy(update=_MADE_UP)
    key = (made_up.model_dump_json(), device.name, in_force().threads)
    if key not in _probes:
        found = _probe(made_up, stop)
        if found is None:
            return None
        _probes[key] = found
        while len(_probes) > _MOST_PROBES:
            _probes.popitem(last=False)
    probe = _probes[key]
    step_s = probe.seconds
    if config.steps is not None:
        steps, seconds = config.steps, config.steps * step_s
    else:
        assert config.minutes is not None
        steps, seconds = max(1, int(60 * config.minutes / step_s)), 60 * config.minutes
    return Estimate(
        seconds,
        _PROGRAM_BYTES + 4 * _COPIES * probe.parameters + _BACKWARD * probe.saved,
        4 * _ON_DISK * probe.parameters,
        device.free_bytes(),
        free_disk,
        steps,
        ADVICE,
        within_limit(),
    )


@dataclass(frozen=True)
class _Probe:
    seconds: float  # a step
    saved: float  # bytes for the backward pass
    parameters: int


def _probe(config: TrainingConfig, stop: Stop) -> _Probe | None:
    """Some steps with a whole batch, or with a few patches where that would take too long."""
    few = min(config.batch_size, _FEW)
    probe = _steps(config, few, stop)
    if probe is None or few == config.batch_size:
        return probe
    times = config.batch_size / few
    if probe.seconds * (_STEPS + 2) * times < _AT_MOST_S:
        return _steps(config, config.batch_size, stop)
    return _Probe(probe.seconds * times, probe.saved * times, probe.parameters)


def _steps(config: TrainingConfig, batch: int, stop: Stop) -> _Probe | None:
    """Some steps of the real training, on made-up images."""
    side = max(config.patch_px, 64)
    rng = np.random.default_rng(0)
    counts = rng.normal(100, _SIGMA, (4, side, side)).astype(np.float32)
    stack = ImageStack(counts, "TYX", "made up")
    clock = _Clock(stop)
    parameters = 0
    try:
        for event in train([stack], config.model_copy(update={"batch_size": batch}), stop=clock):
            if isinstance(event, TrainingStarted):
                parameters, clock.begun = event.parameters, True
    except _Enough:
        pass
    finally:
        clock.close()
    if stop.requested:
        return None
    return _Probe(clock.seconds, clock.saved, parameters)
