"""``napari-hdn train``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.cli import calibration, choices, estimates, jobs
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.crew import Crew, launched
from napari_hdn.cli.launch import Launch
from napari_hdn.cli.terminal import Progress, stop_on_interrupt, typed
from napari_hdn.core.errors import ConfigurationError

if TYPE_CHECKING:
    from napari_hdn.api import HDN


def train(
    *images: str,
    noise: str | None = None,
    preset: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    name: str | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    deactivate: str | None = None,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    rule: choices.Rule | None = None,
    scratch: Annotated[bool, Parameter(negative="")] = False,
    whole: Annotated[bool, Parameter(negative="")] = False,
    axes: str | None = None,
    channel: int | str | None = None,
    patch: int | None = None,
    batch: int | None = None,
    rotations: Annotated[bool, Parameter(negative="")] = False,
    bootstrap: Annotated[bool, Parameter(negative="")] = False,
    anyway: Annotated[bool, Parameter(negative="")] = False,
    seed: int | None = None,
    device: Device | None = None,
    devices: int | None = None,
    num_nodes: int | None = None,
    config: Path | None = None,
    estimate: Annotated[bool, Parameter(negative="")] = False,
) -> int | Launch:
    """Train a model on noisy images.

    Ctrl-C stops and keeps the model as it is then; --resume goes on with it.

    Parameters
    ----------
    images
        TIFF, OME-Zarr or NumPy files, patterns such as 'day1/*.tif', or folders (of which
        restored images are left out).
    noise
        auto (estimated from the images; the default), sigma=NUMBER in camera counts, or a noise
        model: a .json that calibrate wrote, a model's noise_model.json, or an .npz of earlier tools.
    preset
        fast (the default), balanced or paper.
    minutes
        How long to train.
    steps
        How long to train, in steps.
    out
        Folder of the model; by default a new one among the saved models.
    name
        Name of a model among the saved models, instead of --out.
    resume
        Go on with the training of the model in --out or --name.
    deactivate
        Train with these levels off, 1 = finest, such as 1,2, so that the artefact that they held
        goes; the top level stays on.
    from
        A model to make a variant of: begin with its weights and keep its settings and noise model.
        By default for a quarter of its steps, and named after it, such as "cells HDN3-4".
    rule
        What a level takes that is off: prior (its guess from the levels above, free of charge) or
        posterior (as published: trained blind to the image). By default prior, or as the model.
    scratch
        With --from: begin with random weights all the same, by default for as many steps.
    whole
        With --from: let the whole network learn, not only what is below the levels that stay. It
        can move the artefact into these.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Train on this channel only: its number, counted from 0, or its name.
    patch
        Side of the training patches in pixels; smaller ones for small images or little memory.
    batch
        Patches in each step, shared by all devices; by default as the preset says.
    rotations
        Also train on images rotated by 90 degrees: only if the noise has no direction.
    bootstrap
        Refit the noise model's shape to posterior samples half-way through training.
    anyway
        Do not ask before training with a noise model that failed its checks.
    seed
        The same seed trains the same model on the CPU.
    device
        Where to compute; auto, the default, takes the fastest.
    devices
        Train on so many GPUs of this machine at once (with --device cpu: processes). Under torchrun
        or srun these decide.
    num_nodes
        On so many machines, with --devices on each; run the same command on all of them.
    config
        An earlier model or its config.json, to train with its settings instead of a preset.
    estimate
        Only tell how long it will take, how many steps and how much memory, by some steps on made-up
        images.
    """
    if out is not None and name is not None:
        raise ConfigurationError("Give the model's place as --out or as --name, not both.")
    if minutes is not None and steps is not None:
        raise ConfigurationError("Say how long to train: --minutes or --steps, not both.")
    if resume and from_ is not None:
        raise ConfigurationError("A training goes on, or begins --from a model: not both.")
    if whole and from_ is None:
        raise ConfigurationError(
            "--whole says what of a trained model learns on; say with --from which model, or leave it "
            "out: in a new training the whole network learns."
        )
    if scratch and from_ is None:
        raise ConfigurationError(
            "--scratch says how a variant begins; say with --from of which model, or leave it out: "
            "a new training begins from scratch."
        )
    given = {
        "minutes": minutes,
        "steps": steps,
        "device": device,
    }
    fixed = {"--noise": noise, "--preset": preset, "--config": config, "--patch": patch}
    fixed |= {"--batch": batch}
    fixed |= {"--seed": seed, "--rotations": rotations or None, "--bootstrap": bootstrap or None}
    if resume:
        fixed |= {"--deactivate": deactivate, "--rule": rule}
        _refuse(fixed, "A training goes on with the settings that it began with")
    if from_ is not None:
        _refuse(fixed, "A variant has the settings of the model that it begins from")
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    parent: HDN | None = None
    rank = api.rank_here(devices, num_nodes)
    progress = Progress(None if rank is None or rank.leads else io.StringIO())
    if noise is not None:
        changes["noise"] = choices.noise_config(noise)
        if rank is None or not launched(rank):  # who began us has asked before
            calibration.check_trusted(changes["noise"].path, progress, anyway=anyway)
    if rank is None:
        return Launch(devices or 1, num_nodes or 1)
    crew = Crew(rank)
    with crew.speaking():
        stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
        if channel is not None:
            changes["channel"] = choices.channel_number(channel, stacks)
        if resume:
            if out is None and name is None:
                raise ConfigurationError("Say with --out or --name which model's training goes on.")
            out = choices.model_folder(out or api.models_folder() / str(name))
            settings = choices.continued_training(out, changes)
        elif from_ is not None:
            parent = api.load_model(choices.model_folder(from_))
            settings = choices.variant(
                parent, deactivate, rule, changes, scratch=scratch, whole=whole
            )
        else:
            if patch is not None:
                changes["patch_px"] = patch
            if batch is not None:
                changes["batch_size"] = batch
            if seed is not None:
                changes["seed"] = seed
            if rotations:
                changes["rotations"] = True
            settings = choices.new_training(preset, config, changes)
            settings = choices.without_levels(settings, deactivate, rule)
            if bootstrap:
                noise_settings = settings.noise.model_copy(update={"bootstrap": True})
                settings = settings.model_copy(update={"noise": noise_settings})
        network = settings.network
        if parent is not None:
            suggested = api.suggested_name(parent, network.deactivated_levels)
        else:
            suggested = api.variant_name(stacks[0].stem, network.levels, network.deactivated_levels)
        if rank.leads:
            estimates.tell(
                lambda: api.estimate_training(settings, folder=out or api.models_folder()),
                progress,
                only=estimate,
            )
        if estimate:
            return OK
        if not rank.leads:
            return crew.follow(
                lambda stop: api.train(
                    stacks,
                    settings,
                    folder=out,
                    resume=resume,
                    start=parent,
                    scratch=scratch,
                    stop=stop,
                    rank=rank,
                )
            )

        def again(place: Path) -> str:
            command = ["napari-hdn", "train", *images, "--resume", "--out", str(place)]
            command += ["--axes", axes] if axes is not None else []
            command += ["--channel", str(channel)] if channel is not None else []
            command += ["--devices", str(devices)] if devices is not None else []
            command += ["--num-nodes", str(num_nodes)] if num_nodes is not None else []
            return typed(command)

        place = nullcontext(out) if out else jobs.new_model_folder(name or suggested)
        with progress, stop_on_interrupt(progress) as stop, place as folder:
            finished = jobs.train(
                stacks,
                settings,
                folder,
                progress,
                stop,
                resume=resume,
                start=parent,
                scratch=scratch,
                rank=rank,
                begun=lambda: crew.has_begun(folder, f"To go on: {again(folder)}"),
            )
            if finished.stopped:
                progress.say(f"To go on: {again(finished.folder or folder)}")
        return INTERRUPTED if finished.stopped or stop.requested else OK


def _refuse(options: Mapping[str, Any], why: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise ConfigurationError(f"{why}; leave out {option}, or train a new model.")
