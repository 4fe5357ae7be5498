"""The commands, their options and their exit codes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError

import napari_hdn
from napari_hdn import api
from napari_hdn.api import HDNError, RestorationConfig
from napari_hdn.cli import choices, jobs
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError, StoppedEarly, is_memory_short

OK, USER_ERROR, INTERRUPTED = 0, 2, 130

Device = Literal["auto", "cpu", "cuda", "mps"]

app = App(
    name="napari-hdn",
    version=napari_hdn.__version__,
    help="Train Hierarchical DivNoising on noisy images alone, and restore images with it.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


@app.command
def train(
    *images: str,
    noise: str | None = None,
    preset: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    name: str | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    axes: str | None = None,
    channel: int | None = None,
    patch: int | None = None,
    rotations: Annotated[bool, Parameter(negative="")] = False,
    seed: int | None = None,
    device: Device | None = None,
    config: Path | None = None,
) -> int:
    """Train a model on noisy images.

    Ctrl-C stops and keeps the model as it is then; --resume goes on with it.

    Parameters
    ----------
    images
        TIFF files, patterns such as 'day1/*.tif', or folders (of which restored images are left
        out).
    noise
        auto (estimated from the images; the default), sigma=NUMBER in camera counts, or a
        noise_model.json.
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
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Train on this channel only, counted from 0.
    patch
        Side of the training patches in pixels; smaller ones for small images or little memory.
    rotations
        Also train on images rotated by 90 degrees: only if the noise has no direction.
    seed
        The same seed trains the same model on the CPU.
    device
        Where to compute; auto, the default, takes the fastest.
    config
        An earlier model or its config.json, to train with its settings instead of a preset.
    """
    if out is not None and name is not None:
        raise ConfigurationError("Give the model's place as --out or as --name, not both.")
    if minutes is not None and steps is not None:
        raise ConfigurationError("Say how long to train: --minutes or --steps, not both.")
    given = {
        "minutes": minutes,
        "steps": steps,
        "channel": channel,
        "device": device,
    }
    fixed = {"--noise": noise, "--preset": preset, "--config": config, "--patch": patch}
    fixed |= {"--seed": seed, "--rotations": rotations or None}
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    progress = Progress()
    stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
    if resume:
        if out is None and name is None:
            raise ConfigurationError("Say with --out or --name which model's training goes on.")
        for option, value in fixed.items():
            if value is not None:
                raise ConfigurationError(
                    f"A training goes on with the settings that it began with; leave out {option}, "
                    "or train a new model."
                )
        out = choices.model_folder(out or api.models_folder() / str(name))
        settings = choices.continued_training(out, changes)
    else:
        if noise is not None:
            changes["noise"] = choices.noise_config(noise)
        if patch is not None:
            changes["patch_px"] = patch
        if seed is not None:
            changes["seed"] = seed
        if rotations:
            changes["rotations"] = True
        settings = choices.new_training(preset, config, changes)
    place = nullcontext(out) if out else jobs.new_model_folder(name or stacks[0].stem)
    with progress, stop_on_interrupt(progress) as stop, place as folder:
        finished = jobs.train(stacks, settings, folder, progress, stop, resume=resume)
        if stop.requested and finished.stopped:
            again = ["napari-hdn", "train", *images, "--resume", "--out", str(finished.folder)]
            again += ["--axes", axes] if axes is not None else []
            again += ["--channel", str(channel)] if channel is not None else []
            progress.say(f"To go on: {_typed(again)}")
    return INTERRUPTED if stop.requested else OK


@app.command
def restore(
    model: Path,
    *images: str,
    out: Path,
    samples: int | None = None,
    std: Annotated[bool, Parameter(negative="")] = False,
    off: str | None = None,
    flips: Annotated[bool, Parameter(negative="")] = False,
    dtype: Literal["float32", "input"] = "float32",
    axes: str | None = None,
    channel: int | None = None,
    tile: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Restore images with a trained model.

    Writes NAME_hdn-mean.ome.tif, and NAME_hdn-std.ome.tif with --std. Existing files are kept: new
    ones are numbered. Ctrl-C keeps the planes that are done, in files that say partial.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    images
        TIFF files, patterns such as 'day1/*.tif', or folders (of which restored images are left
        out).
    out
        Folder to write to.
    samples
        Posterior samples per image; by default 2 (an antithetic pair), with --std 16.
    std
        Also write the standard deviation of the samples.
    off
        Levels to switch off, 1 = finest, such as 1,2; or none. By default as trained.
    flips
        Average over flipped versions of the image too: four times the time, often better.
    dtype
        Type of the mean: float32, or that of the input (rounded, and clipped with a warning).
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Restore this channel only, counted from 0.
    tile
        Side of tiles in pixels, for images that do not fit in memory; by default chosen.
    seed
        The same seed draws the same samples.
    device
        Where to compute.
    """
    config = RestorationConfig(
        samples=samples if samples is not None else 16 if std else 2,
        std=std,
        deactivated_levels=choices.levels(off),
        flips=flips,
        channel=channel,
        tile_px=tile,
        seed=seed,
        device=device,
    )
    progress = Progress()
    stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
    if out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    trained = api.load_model(choices.model_folder(model))
    outputs = jobs.Outputs(out, integers=dtype == "input")
    with progress, stop_on_interrupt(progress) as stop:
        for number, stack in enumerate(stacks, 1):
            label = f"{stack.name} ({number}/{len(stacks)})" if len(stacks) > 1 else stack.name
            jobs.restore(trained, stack, config, outputs, progress, stop, label=label)
            if stop.requested:
                progress.say(f"Stopped at image {number} of {len(stacks)}.")
                return INTERRUPTED
    return OK


@app.command
def demo(
    *,
    out: Path = Path("napari-hdn-demo"),
    minutes: float | None = None,
    steps: int | None = None,
    show: bool | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Train on simulated cells with line noise, restore them, and compare with the truth.

    Writes the model, OME-TIFFs and a picture, and shows them in napari where there is a display.

    Parameters
    ----------
    out
        Folder to write to; numbered if it exists.
    minutes
        How long to train; 2 by default.
    steps
        How long to train, in steps.
    show
        Open napari at the end, or not; by default where there is a display.
    seed
        The same seed makes the same demo on the CPU.
    device
        Where to compute.
    """
    from napari_hdn.cli.demo import run_demo

    if minutes is not None and steps is not None:
        raise ConfigurationError("Say how long to train: --minutes or --steps, not both.")
    budget: dict[str, Any] = {"steps": steps}
    if steps is None:
        budget = {"minutes": 2.0 if minutes is None else minutes}
    config = api.preset("fast", **budget, seed=seed, device=device)
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        run_demo(out, config, progress, stop, show=show)
    return INTERRUPTED if stop.requested else OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What was typed; by default that of this process.

    Returns
    -------
    int
        0 all done; 2 something the user can mend, told in one line on the standard error;
        130 stopped by Ctrl-C, with what there is kept.
    """
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(tokens, exit_on_error=False, print_error=False)
    except StoppedEarly as error:
        print(f"napari-hdn: {error}", file=sys.stderr)
        return INTERRUPTED
    except (HDNError, CycloptsError, ValidationError) as error:
        return _failed(error, _one_line(error))
    except OSError as error:  # of the system, where nothing more can be said about it
        place = f"{error.filename}: " if error.filename else ""
        return _failed(error, f"{place}{error.strerror or _one_line(error)}")
    except (MemoryError, RuntimeError) as error:
        if not is_memory_short(error):
            raise
        return _failed(error, _smaller(tokens))
    except KeyboardInterrupt:
        print("napari-hdn: aborted", file=sys.stderr)
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _failed(error: Exception, message: str) -> int:
    notes = getattr(error, "__notes__", [])
    print(" ".join(["napari-hdn:", message, *notes]), file=sys.stderr)
    return USER_ERROR


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message} (given: {first['input']})" if place else message
    return " ".join(str(error).split())


def _smaller(tokens: Sequence[str]) -> str:
    todo = {
        "train": "choose a smaller --patch or --preset fast",
        "restore": "choose a smaller --tile, such as 256",
    }.get(tokens[0] if tokens else "", "close other programs")
    return f"There is not enough memory; {todo}, or another --device."


def _typed(command: Sequence[str]) -> str:
    """A command as this system's shell takes it."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
