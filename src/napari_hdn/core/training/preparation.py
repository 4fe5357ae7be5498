"""What a training begins with: from images and config, a trained model, or where it stopped."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.calibration.choose import for_images, make_noise_model
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, ModelFolderError
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.base import NoiseModel, noise_model_to_json
from napari_hdn.core.noise.gaussian import LearnedGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.recipes.images import identify
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.training.patches import Patches, Split, split_regions
from napari_hdn.core.training.progress import History
from napari_hdn.core.training.refinement import NoiseWatch, watched_level
from napari_hdn.core.training.run import Run
from napari_hdn.core.training.statistics import ImageStatistics, measure_images
from napari_hdn.core.training.variants import check_fits, origin_of

STABILISED_PLANES = 64
STABILISED_PX = 1024  # of each, in the middle


def prepare(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    device: Device,
    stop: Stop,
    *,
    given_noise: NoiseModel | None = None,
) -> Run:
    """Look at the images, estimate their noise, split them and make the network.

    A training that is repeated takes ``given_noise`` for what the config's file held.

    Raises
    ------
    ConfigurationError
        If only a part of the network shall learn, which is for variants of a trained one.
    """
    if config.learns == "below":
        raise ConfigurationError(
            "Only a variant of a trained model can learn below alone; say which model it begins from."
        )
    images, statistics, split = _look_at(images, config, stop)
    remarks: list[Notice] = []
    if config.network.likelihood == "gaussian":
        noise_model: NoiseModel = LearnedGaussian(statistics.std)
    elif given_noise is not None:
        noise_model = given_noise
    else:
        noise_model, texts = make_noise_model(images, config.noise, stop)
        remarks += [Notice(text, "warning") for text in texts]
    run = Run(
        config,
        statistics,
        _normalisation(config, statistics, noise_model, split),
        noise_model,
        _random_network(config),
        split,
        Patches(split.training, config, device.torch),
        describe_data(tuple(images)),
        device,
        remarks,
        family=uuid.uuid4().hex,
        images=tuple(identify(stack, stop) for stack in images),
        given_noise=noise_model_to_json(noise_model) if config.noise.source == "file" else None,
    )
    run.budget.begin_at(0)
    return run


def prepare_variant(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    parent: HDN,
    device: Device,
    stop: Stop,
    *,
    scratch: bool = False,
) -> Run:
    """Begin a variant of a model, so that the losses of both compare.

    It has the parent's noise model as it is now, its normalisation, the same images held out, and,
    unless from scratch, its weights.

    Raises
    ------
    ConfigurationError
        If config or images do not fit the parent.
    """
    if scratch and config.learns == "below":
        raise ConfigurationError(
            "From scratch the whole network has to learn; below alone it can only from a trained model."
        )
    remarks = [Notice(text, "warning") for text in check_fits(parent, config, images, scratch)]
    images, statistics, split = _look_at(images, config, stop)
    data = describe_data(tuple(images))
    # a copy: training moves and mends it, and the parent goes on being used
    noise_model, texts = _noise_model_for(parent, images, data, stop)
    remarks += texts
    network = _random_network(config)
    if not scratch:
        network.load_state_dict(parent.network.state_dict())
    run = Run(
        config,
        statistics,
        parent.normalisation,
        noise_model,
        network,
        split,
        Patches(split.training, config, device.torch),
        data,
        device,
        remarks,
        watch=NoiseWatch(inherited=_held_up_to(watched_level(config.network), parent)),
        family=parent.summary.family,
        origin=origin_of(parent, scratch=scratch),
        images=tuple(identify(stack, stop) for stack in images),
    )
    run.budget.begin_at(0)
    return run


def _random_network(config: TrainingConfig) -> Ladder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Ladder(config.network)


def _held_up_to(level: int, model: HDN) -> float:
    """KL of a model's levels from the bottom to this one, in nats per pixel."""
    last = model.summary.last_losses
    return 0.0 if last is None else sum(last.kl_per_level[:level])


def _noise_model_for(
    model: HDN, images: Sequence[ImageStack], data: tuple[str, ...], stop: Stop
) -> tuple[NoiseModel, list[Notice]]:
    """A copy of a model's noise model, for these images if they are others."""
    noise_model = copy.deepcopy(model.noise_model)
    if data == model.summary.data:
        return noise_model, []
    differ = (
        f"The images differ from those that {model.name} was trained on "
        f"({'; '.join(model.summary.data)}); training goes on with the new ones and the old "
        "noise model."
    )
    fitting, texts = for_images(noise_model, images, stop)
    return fitting, [Notice(text, "warning") for text in (differ, *texts)]


def _look_at(
    images: Sequence[ImageStack], config: TrainingConfig, stop: Stop
) -> tuple[list[ImageStack], ImageStatistics, Split]:
    """The channel to train on, its statistics, and what is held out of it."""
    chosen = [s.of_channel(config.channel) for s in images]
    return chosen, measure_images(chosen, stop), split_regions(chosen, config)


def _normalisation(
    config: TrainingConfig, statistics: ImageStatistics, noise_model: NoiseModel, split: Split
) -> Normalisation:
    """Mean and std in counts, or in units of the noise where the noise model has a curve."""
    if not config.stabilise or noise_model.curve() is None:
        return Normalisation(statistics.mean, statistics.std)
    total = squares = count = 0.0
    regions = split.training
    for k in np.linspace(0, len(regions) - 1, min(len(regions), STABILISED_PLANES)).astype(int):
        r = regions[k]
        height, width = min(r.height, STABILISED_PX), min(r.width, STABILISED_PX)
        piece = r.read((r.height - height) // 2, (r.width - width) // 2, height, width)
        curve = noise_model.curve(torch.tensor([r.plane]))
        assert curve is not None
        y = curve.stabilise(torch.from_numpy(piece)[None, None]).double()
        total, squares = total + float(y.sum()), squares + float((y**2).sum())
        count += y.numel()
    mean = total / count
    return Normalisation(mean, max(squares / count - mean**2, 1e-12) ** 0.5, stabilised=True)


def prepare_resumed(
    images: Sequence[ImageStack], config: TrainingConfig, folder: Path, device: Device, stop: Stop
) -> Run:
    """A run as it was when it stopped, with the budget that `train` documents.

    Raises
    ------
    ModelFolderError
        If the folder cannot be continued.
    """
    model = checkpoint.load(folder)
    state = checkpoint.load_resume(folder)
    old = model.config
    config = old.model_copy(
        update={
            "minutes": config.minutes,
            "steps": config.steps,
            "device": config.device,
            "preview_seconds": config.preview_seconds,
        }
    )
    images, statistics, split = _look_at(images, config, stop)
    data = describe_data(tuple(images))
    noise_model, remarks = _noise_model_for(model, images, data, stop)
    run = Run(
        config,
        statistics,
        model.normalisation,
        noise_model,
        Ladder(config.network),
        split,
        Patches(split.training, config, device.torch),
        data,
        device,
        remarks,
        history=History(model.summary.history),
        family=model.summary.family,
        origin=model.summary.origin,
        images=tuple(identify(stack, stop) for stack in images),
        given_noise=model.summary.given_noise,
    )
    try:
        run.load(state, noise_model=data == model.summary.data)
        run.earlier = _parts_until(model.summary.parts, run.step)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFolderError(
            f"resume.ckpt of {folder.name} does not fit its config.json ({error!r:.120}); copy the "
            "model folder again from where it came."
        ) from error
    budget = run.budget
    used = budget.seconds_before if config.minutes is not None else float(run.step)
    finished = used >= budget.total  # then the budget once more
    if finished or (old.minutes is None) != (config.minutes is None):
        budget.origin, budget.origin_step = used, run.step
    budget.begin_at(run.step)
    return run


def _parts_until(parts: Sequence[TrainingPart], step: int) -> tuple[TrainingPart, ...]:
    """The parts of a training that goes on from a step; the last may have come further unsaved."""
    return tuple(part.until(step) for part in parts if part.first_step < step)
