"""train(): what a training is given, how it begins, and what becomes of its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from napari_hdn.core import checkpoint
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.errors import (
    ConfigurationError,
    MemoryShortError,
    OutputError,
    ProcessLostError,
    is_memory_short,
)
from napari_hdn.core.events import Notice, PreviewRequest, Stop, TrainingEvent, check_stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.ranks import ALONE, Rank
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.training import processes
from napari_hdn.core.training.claim import claimed, is_taken
from napari_hdn.core.training.preparation import prepare, prepare_resumed, prepare_variant
from napari_hdn.core.training.run import Run
from napari_hdn.core.training.trainer import Trainer

PreviewSource = Callable[[], PreviewRequest | None]


def train(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    *,
    folder: Path | None = None,
    resume: bool = False,
    start: HDN | None = None,
    scratch: bool = False,
    stop: Stop | None = None,
    preview: PreviewSource | None = None,
    rank: Rank = ALONE,
    repeated: TrainingPart | None = None,
    given_noise: NoiseModel | None = None,
    goes_on: bool = False,
) -> Iterator[TrainingEvent]:
    """Train an HDN on noisy images alone, telling what happens as it goes.

    Parameters
    ----------
    images : sequence of ImageStack
        Noisy images in camera counts; read lazily where they are large.
    config : TrainingConfig
        With ``resume``, only its budget, device and preview interval are taken; the rest is
        what the model was begun with.
    folder : Path, optional
        Where the model is saved, on a timer and at the end; nothing is written without it.
    resume : bool
        Continue the training in ``folder``: to the end of its budget, or of a larger one in
        ``config``; a finished training gets the budget once more.
    start : HDN, optional
        Make a variant of this model: begin with its weights, keep its noise model, as it is now,
        and its normalisation. See `napari_hdn.core.training.variants.variant_config` for its config.
    scratch : bool
        With ``start``: begin with random weights, all else as there.
    stop : Stop, optional
        Looked at every step; when requested, training ends with a usable, saved model.
    preview : callable, optional
        Asked every ``config.preview_seconds`` for a piece of an image to restore.
    rank : Rank
        Which of the processes this is that train together. The leading one writes and tells all;
        the others tell only when they begin and end, and take from ``folder`` no more than the
        settings of a training that goes on.
    repeated : TrainingPart, optional
        Take exactly the steps of this part of an earlier training, at its learning rates; for
        `napari_hdn.core.recipes.repeating`. One that was cut off ends without `TrainingFinished`.
    given_noise : NoiseModel, optional
        Beside ``repeated``: the noise model that the file of ``config`` held.
    goes_on : bool
        Beside ``repeated``: whether another part follows, for which several processes stay connected.

    Yields
    ------
    TrainingEvent
        `TrainingStarted` first (after notices), `TrainingFinished` with the model last.

    Raises
    ------
    ImageError, AxesError
        If the images cannot be trained on.
    NoiseModelError, ConfigurationError, DeviceError, ModelFolderError, OutputError
        If what was chosen does not fit; before anything was written.
    TrainingError
        If the loss stays infinite whatever the step guard does.
    MemoryShortError
        If the patches do not fit in memory.
    ProcessLostError
        If another of the processes that train together has ended before its time.
    StoppedEarly
        If ``stop`` was requested before the first step of a new training.

    Whatever ends a training that has begun, the model is saved as it is then.
    """
    stop = stop or Stop()
    device = choose(config.device)
    _check(config, folder, resume=resume, start=start, writes=rank.leads)
    with claimed(folder if rank.leads else None):
        yield from _trained(
            images,
            config,
            device,
            folder,
            stop,
            resume=resume,
            start=start,
            scratch=scratch,
            preview=preview,
            rank=rank,
            repeated=repeated,
            given_noise=given_noise,
            goes_on=goes_on,
        )


def _trained(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    device: Device,
    folder: Path | None,
    stop: Stop,
    *,
    resume: bool,
    start: HDN | None,
    scratch: bool,
    preview: PreviewSource | None,
    rank: Rank,
    repeated: TrainingPart | None,
    given_noise: NoiseModel | None,
    goes_on: bool,
) -> Iterator[TrainingEvent]:
    if resume and folder is not None and rank.of > 1 and repeated is None:
        begun = checkpoint.load(folder).config
        together = processes.begin(device, begun, rank)
    else:
        together = processes.begin(device, config, rank)
    device = shared_device(device, rank)
    yield Notice("Reading the images and estimating their noise.")

    def prepared() -> Run:
        if resume:
            assert folder is not None
            return prepare_resumed(images, config, folder, device, stop)
        if start is not None:
            return prepare_variant(images, config, start, device, stop, scratch=scratch)
        return prepare(images, config, device, stop, given_noise=given_noise)

    run = together.prepared(prepared, images)
    yield from run.remarks
    if rank.leads:
        check_stop(stop)
    if repeated is not None:
        run.budget.repeat(repeated)
    saved_to = folder if rank.leads else None
    trainer = Trainer(run, device, saved_to, stop, preview, together, repeated)
    try:
        with kept_memory():
            yield from trainer.events()
    except Exception as error:
        yield from trainer.rescue()
        if isinstance(error, ProcessLostError):
            raise ProcessLostError(_what_is_left(rank, run.step, trainer.folder)) from error
        if is_memory_short(error):
            px = run.config.patch_px
            raise MemoryShortError(
                f"There is not enough memory on {device.label} for batches of "
                f"{run.config.batch_size // rank.of} patches of {px} x {px} pixels. Choose smaller "
                "patches or a smaller batch in the expert settings, or close other programs."
            ) from error
        raise
    if not goes_on:
        together.close()


def _check(
    config: TrainingConfig, folder: Path | None, *, resume: bool, start: HDN | None, writes: bool
) -> None:
    if resume:
        if folder is None and writes:
            raise ConfigurationError("To continue a training, give the folder of its model.")
        if start is not None:
            raise ConfigurationError(
                "A training either goes on or begins as a variant of another model, not both."
            )
    elif folder is not None and writes:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; choose another name for the model.")
        if folder.exists() and is_taken(folder):
            raise OutputError(
                f"The folder {folder} exists and is not empty; choose another name for the model, or "
                "continue its training."
            )


def shared_device(device: Device, rank: Rank) -> Device:
    """The device as all processes of a training are told to have it."""
    if rank.of == 1:
        return device
    return replace(device, label=f"{rank.of} processes on {device.label}")


def _what_is_left(rank: Rank, step: int, folder: Path | None) -> str:
    text = f"Another of the {rank.of} processes ended unexpectedly at step {step}; "
    if step == 0:
        return f"{text}nothing had been learned yet."
    if folder is None:
        return f"{text}the model was not saved."
    return f"{text}the model with {step} steps is in {folder}, and its training can be continued."
