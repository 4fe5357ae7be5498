"""Teaching a direct network, with what comes of it as text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.api import (
    DirectConfig,
    DistillationFinished,
    DistillationProgress,
    DistillationStarted,
    DistillationValidated,
    ImageStack,
    JobRecipe,
    Notice,
    Stop,
)
from napari_hdn.cli import jobs
from napari_hdn.cli.terminal import Progress, duration
from napari_hdn.core.errors import OutputError

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.recipes.parts import Taught


def teach(
    teacher: HDN,
    stacks: Sequence[ImageStack],
    config: DirectConfig,
    out: Path | None,
    progress: Progress,
    stop: Stop,
    repeated: Taught | None = None,
) -> tuple[DistillationFinished, JobRecipe | None]:
    """Teach and tell about it.

    Parameters
    ----------
    teacher : HDN
    stacks : sequence of ImageStack
    config : DirectConfig
    out : Path or None
        Folder of the direct network; None for a new one in the model's folder.
    progress : Progress
    stop : Stop
    repeated : Taught, optional
        How far an earlier one came, to be done again.

    Returns
    -------
    finished : DistillationFinished
    recipe : JobRecipe or None
        None where it could not be written.
    """
    if out is not None:
        jobs.check_model_folder(out)
        return _taught(teacher, stacks, config, out, progress, stop, repeated)
    assert teacher.folder is not None
    off = {*teacher.config.network.deactivated_levels, *(config.deactivated_levels or ())}
    ours = api.reserve_direct_folder(teacher.folder, config.learns, sorted(off))
    try:
        return _taught(teacher, stacks, config, ours, progress, stop, repeated)
    finally:
        with suppress(OSError):  # not empty: the direct network is in it
            ours.rmdir()


def _taught(
    teacher: HDN,
    stacks: Sequence[ImageStack],
    config: DirectConfig,
    out: Path,
    progress: Progress,
    stop: Stop,
    repeated: Taught | None,
) -> tuple[DistillationFinished, JobRecipe | None]:
    validated = ""
    finished: DistillationFinished | None = None
    recipe: JobRecipe | None = None
    for event in api.distil(teacher, stacks, config, folder=out, stop=stop, repeated=repeated):
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
            case JobRecipe():
                recipe = event
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
    return finished, recipe
