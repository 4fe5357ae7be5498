"""What the leading process of several hands over to the others.

It alone looks at all pixels, estimates the noise, and judges while training whether the noise model
holds; the others take it over, so that no rounding of another machine can lead them elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel, noise_model_from_json, noise_model_to_json
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.training.patches import Patches, split_regions
from napari_hdn.core.training.refinement import NoiseWatch
from napari_hdn.core.training.run import Run
from napari_hdn.core.training.statistics import ImageStatistics
from napari_hdn.core.training.summary import Origin


def packed_run(run: Run) -> bytes:
    """A run that was prepared, without its images."""
    return _packed(
        {
            "config": run.config.model_dump_json(),
            "statistics": asdict(run.statistics),
            "normalisation": asdict(run.normalisation),
            "noise_model": noise_model_to_json(run.noise_model),
            "family": run.family,
            "origin": None if run.origin is None else run.origin.model_dump_json(),
            "state": run.state(run.budget),
        }
    )


def unpacked_run(packed: bytes, images: Sequence[ImageStack], device: Device) -> Run:
    """The same run in another process, which reads of the images what it needs."""
    told = _unpacked(packed)
    config = TrainingConfig.model_validate_json(told["config"])
    chosen = [s.of_channel(config.channel) for s in images]
    split = split_regions(chosen, config)
    run = Run(
        config,
        ImageStatistics(**told["statistics"]),
        Normalisation(**told["normalisation"]),
        noise_model_from_json(told["noise_model"]),
        Ladder(config.network),
        split,
        Patches(split.training, config, device.torch),
        describe_data(tuple(chosen)),
        device,
        family=told["family"],
        origin=None if told["origin"] is None else Origin.model_validate_json(told["origin"]),
    )
    run.load(told["state"])
    return run


def packed_look(run: Run, before: NoiseModel) -> bytes:
    """What a look at the noise model changed, which was ``before``."""
    model = run.noise_model
    return _packed(
        {
            "watch": run.watch.state(),
            "copies_noise": run.watch.copies_noise,
            "at_its_least": run.at_least_kl is not None and run.at_least_kl[0] == run.step,
            "noise_model": None if model is before else noise_model_to_json(model),
            "tensors": model.state_dict(),
        }
    )


def take_over_look(run: Run, packed: bytes) -> None:
    """Change a run as the leading process's look changed its."""
    told = _unpacked(packed)
    run.watch = NoiseWatch()
    run.watch.load(told["watch"])
    run.watch.copies_noise = told["copies_noise"]
    if told["at_its_least"]:
        run.remember_least()
    if told["noise_model"] is not None:
        run.change_noise_model(noise_model_from_json(told["noise_model"]))
        run.noise_model.load_state_dict(told["tensors"])


def _packed(told: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(told, file)
    return file.getvalue()


def _unpacked(packed: bytes) -> dict[str, Any]:
    told: dict[str, Any] = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    return told
