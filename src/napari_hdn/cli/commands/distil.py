"""``napari-hdn distil``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import (
    DirectConfig,
    DistillationFinished,
    DistillationProgress,
    DistillationStarted,
    DistillationValidated,
    ImageStack,
    Notice,
    Stop,
)
from napari_hdn.cli import choices, jobs
from napari_hdn.cli.commands.shared import INTERRUPTED, OK, Device
from napari_hdn.cli.terminal import Progress, duration, stop_on_interrupt
from napari_hdn.core.errors import OutputError

if TYPE_CHECKING:
    from napari_hdn.api import HDN


def distil(
    model: Path,
    *images: str,
    minutes: float | None = None,
    steps: int | None = None,
    median: Annotated[bool, Parameter(negative="")] = False,
    deactivate: Annotated[str | None, Parameter(name=["--deactivate", "--off"])] = None,
    out: Path | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> int:
    """Teach a small network what a model makes of images, for restoring large stacks quickly.

    It gives the mean (or median) in one cheap pass, and no uncertainty: for a standard deviation or
    samples, restore with the model itself. Tells how near it comes to the mean of many samples on
    images that it did not learn from. Lies in the model's folder, under direct; earlier ones stay.
    Ctrl-C stops and keeps what has learned until then.

    Parameters
    ----------
    model
        Folder of a model, or its name among the saved models.
    images
        TIFF, OME-Zarr or NumPy files, patterns such as 'day1/*.tif', or folders: images
        like those to restore, such as those that the model was trained on.
    minutes
        How long to teach; by default 3.
    steps
        How long to teach, in steps.
    median
        Teach the median of the samples instead of their mean.
    deactivate
        Levels of the model to switch off, 1 = finest, such as 1,2. By default as trained.
    out
        Folder of the direct network, if it shall not lie with the model.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Learn from this channel only: its number, counted from 0, or its name in the files.
    seed
        The same seed and steps teach the same network on the CPU.
    device
        Where to compute.
    """
    chosen: dict[str, Any] = {"minutes": minutes, "steps": steps}
    if minutes is None and steps is None:
        chosen = {}
    progress = Progress()
    stacks = api.open_images(images, axes=axes, channel=channel, tell=progress.notice)
    statistic: Literal["mean", "median"] = "median" if median else "mean"
    config = DirectConfig(
        learns=statistic,
        deactivated_levels=choices.levels(deactivate),
        channel=choices.channel_number(channel, stacks),
        seed=seed,
        device=device,
        **chosen,
    )
    teacher = api.load_model(choices.model_folder(model))
    ours = out is None
    if out is None:
        assert teacher.folder is not None
        off = {*teacher.config.network.deactivated_levels, *(config.deactivated_levels or ())}
        out = api.reserve_direct_folder(teacher.folder, statistic, sorted(off))
    else:
        jobs.check_model_folder(out)
    try:
        with progress, stop_on_interrupt(progress) as stop:
            finished = _run(teacher, stacks, config, out, progress, stop)
            return INTERRUPTED if finished.stopped and stop.requested else OK
    finally:
        if ours:
            with suppress(OSError):  # not empty: the direct network is in it
                out.rmdir()


def _run(
    teacher: HDN,
    stacks: Sequence[ImageStack],
    config: DirectConfig,
    out: Path,
    progress: Progress,
    stop: Stop,
) -> DistillationFinished:
    """Teach and tell about it."""
    validated = ""
    finished: DistillationFinished | None = None
    for event in api.distil(teacher, stacks, config, folder=out, stop=stop):
        match event:
            case Notice():
                progress.notice(event)
            case DistillationStarted():
                progress.say(
                    f"{event.device}: {event.parameters:,} parameters (the model has "
                    f"{event.teacher_parameters:,}) learn from {event.megapixels:.3g} megapixels; "
                    f"pieces held out: {event.held_out}"
                )
            case DistillationProgress():
                loss = "" if event.loss is None else f"  step {event.step}  loss {event.loss:.5f}"
                progress.update(
                    event.fraction, f"{event.doing}{loss}{validated}", event.remaining_s
                )
            case DistillationValidated():
                validated = f"  {event.loss_db:.2f} dB to the sampled mean"
            case DistillationFinished():
                finished = event
    assert finished is not None, "a distillation ends with DistillationFinished"
    made = finished.student.summary
    how = "Stopped" if finished.stopped else "Taught"
    progress.say(f"{how} after {finished.step} steps ({duration(made.seconds)}).")
    if (marks := made.marks) is not None:
        progress.say(
            f"On {marks.tiles} pieces held out, against the {config.learns} of {marks.samples} samples: "
            f"{marks.loss_db:.2f} dB lost (by an antithetic pair of the model "
            f"{marks.pair_loss_db:.2f} dB); PSNR to it {marks.agreement_db:.1f} dB."
        )
    if finished.folder is None:
        raise OutputError(f"The direct network could not be saved to {out}; nothing was kept.")
    progress.say(f"Direct network: {finished.folder}. It gives no uncertainty.")
    return finished
