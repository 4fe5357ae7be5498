"""Doing again what a recipe says.

A training takes the very steps of the recorded one, part by part, at its learning rates; a
restoration takes its tiles and batches. On the same computer with the same versions the result is the
same, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import DeviceName, RestorationConfig, TrainingConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.errors import DeviceError, RecipeError
from napari_hdn.core.events import Notice, Stop, TrainingEvent, TrainingFinished
from napari_hdn.core.hdn import HDN
from napari_hdn.core.identity import fingerprint
from napari_hdn.core.noise.base import noise_model_from_json
from napari_hdn.core.ranks import ALONE, Rank
from napari_hdn.core.recipes.environment import Environment, environment_on
from napari_hdn.core.recipes.jobs import JobRecipe
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.recipes.schema import Recipe, TrainingRecord
from napari_hdn.core.restoring.tiling import padded_size
from napari_hdn.core.settings import cores_here
from napari_hdn.core.training.start import shared_device, train


def repeat_training(
    recipe: Recipe,
    images: Sequence[Sequence[ImageStack]],
    folder: Path | None,
    *,
    start: HDN | None = None,
    stop: Stop | None = None,
    rank: Rank = ALONE,
) -> Iterator[TrainingEvent]:
    """Train as a recipe says, telling at the end whether the weights are the recorded ones.

    Parameters
    ----------
    recipe : Recipe
    images : sequence of sequence of ImageStack
        Of each part, as `napari_hdn.io.recipes.data.training_images` finds them.
    folder : Path, optional
        Of the new model; only the leading process needs it.
    start : HDN, optional
        The model that a variant was made of.
    stop : Stop, optional
    rank : Rank
        Which of the processes this is that repeat it together; see `processes_here`.

    Yields
    ------
    TrainingEvent
        As of `napari_hdn.core.training.start.train`.

    Raises
    ------
    RecipeError
        If the recipe does not hold what is needed.
    """
    training, stop = recipe.training, stop or Stop()
    check_repeatable(training, start)
    device = device_for(training.config.device)
    shared = shared_device(device, rank)
    now = environment_on(shared, training.config.precision, rank.of)
    if told := remark(training.parts[-1].environment, now):
        yield Notice(told, "warning")
    given = training.given_noise
    for number, (part, stacks) in enumerate(zip(training.parts, images, strict=True)):
        first, is_last = number == 0, number == len(training.parts) - 1
        config = _config_of(training.config, part, device)
        noise_model = noise_model_from_json(given) if first and given is not None else None
        for event in train(
            stacks,
            config,
            folder=folder,
            resume=not first,
            start=start if first else None,
            scratch=first and training.origin is not None and training.origin.begun == "scratch",
            stop=stop,
            rank=rank,
            repeated=part,
            given_noise=noise_model,
            goes_on=not is_last,
        ):
            if isinstance(event, TrainingFinished) and not (is_last or stop.requested):
                continue
            if isinstance(event, TrainingFinished) and not stop.requested:
                yield _verdict(event.model, recipe)
            yield event
        if stop.requested:
            return


def processes_here(recipe: Recipe) -> int:
    """How many processes of this machine repeat a training: those that it had, where they have room.

    Sums over another number of processes are rounded otherwise.
    """
    assert recipe.training is not None
    counts = {part.environment.processes for part in recipe.training.parts}
    if len(counts) != 1:
        return 1
    (count,) = counts
    device = device_for(recipe.training.config.device)
    room = {"cpu": cores_here(), "cuda": torch.cuda.device_count()}.get(device.name, 1)
    return count if count <= room else 1


@contextmanager
def threads_of(recorded: Environment) -> Iterator[None]:
    """Compute with as many threads as a recipe says, as far as this computer has processors."""
    usual = torch.get_num_threads()
    torch.set_num_threads(min(recorded.threads, max(usual, os.cpu_count() or 1)))
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def check_repeatable(training: TrainingRecord, start: HDN | None) -> None:
    """Whether a training can be repeated.

    Raises
    ------
    RecipeError
        If not, with what to do instead.
    """
    if not training.parts:
        raise RecipeError(
            "This model was trained by a version of napari-hdn that did not yet record what "
            "a repetition "
            "needs. Its settings are kept: napari-hdn train IMAGES --config MODEL trains anew with them."
        )
    from_file = training.config.noise.source == "file" and training.origin is None
    if from_file and training.given_noise is None:
        raise RecipeError(
            "The noise model of this training came from a file, which the recipe does not hold."
        )
    if training.origin is not None and start is None:
        raise RecipeError(
            f"This model is a variant of {training.origin.parent}, which is needed to repeat "
            "its training; "
            "say where it is with --model."
        )
    if training.parts[-1].ended == "cut":
        raise RecipeError(
            "This training was cut off, by a crash or because it is still running; the model "
            "is as it was "
            "saved last, and a repetition would not end there. Continue the training first."
        )


def repeated_config(recipe: Recipe, stack: ImageStack) -> RestorationConfig:
    """The config that restores as a recipe says, with the tiles and batches that it took."""
    assert recipe.restoration is not None
    config, tiles = recipe.restoration.config, recipe.restoration.tiles
    changes: dict[str, object] = {"device": device_for(config.device).name}
    if tiles is not None:
        # one tile as large as the plane is the plane restored whole
        side = tiles.side_px or max(64, *padded_size(stack.plane_shape, 256))
        changes |= {"tile_px": side, "batch_size": tiles.samples_at_a_time}
    return config.model_copy(update=changes)


def restoration_remark(recipe: Recipe) -> str:
    """What is different here from where an image was restored, in words; empty if nothing is."""
    assert recipe.restoration is not None
    config, tiles = recipe.restoration.config, recipe.restoration.tiles
    now = environment_on(device_for(config.device), config.precision)
    told = remark(recipe.environment, now)
    if tiles is not None and tiles.changed:
        told += (
            " Memory ran short in the middle of the recorded restoration, which took smaller tiles from "
            "there on: the last digits may differ."
        )
    return told.strip()


def job_remark(recipe: JobRecipe) -> str:
    """What is different here from where a job was done, in words; empty if nothing is."""
    settings = recipe.job.settings
    device = device_for(getattr(settings, "device", "cpu"))
    now = environment_on(device, getattr(settings, "precision", "auto"))
    return remark(recipe.environment, now)


def device_for(name: DeviceName) -> Device:
    """The device of a recipe, or the best there is here."""
    try:
        return choose(name)
    except DeviceError:
        return choose("auto")


def remark(recorded: Environment, now: Environment) -> str:
    """A warning that names the differences; empty if there are none."""
    differences = recorded.differences(now)
    if not differences:
        return ""
    return (
        f"Not all is as it was when the recipe was made: {'; '.join(differences)}. The result "
        "may differ "
        "in its last digits, that of a training by more."
    )


def _config_of(config: TrainingConfig, part: TrainingPart, device: Device) -> TrainingConfig:
    name: DeviceName = config.device if device.name == config.device else "auto"
    changes = {"minutes": part.minutes, "steps": part.steps, "device": name}
    return config.model_copy(update=changes)


def _verdict(model: HDN, recipe: Recipe) -> Notice:
    now, recorded = fingerprint(model), recipe.model.sha256
    if now == recorded:
        return Notice(
            f"The weights are identical to the recorded ones, bit for bit (SHA-256 {now[:12]}...)."
        )
    return Notice(
        f"The weights differ from the recorded ones (SHA-256 {now[:12]}..., recorded "
        f"{recorded[:12]}...).",
        "warning",
    )
