"""Direct networks: teaching, choosing and using them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hdn.api.noted import noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.direct.events import DistillationEvent, DistillationFinished
from napari_hdn.core.errors import OutputError
from napari_hdn.core.events import Notice, RestorationEvent, Stop
from napari_hdn.core.recipes.jobs import JobInput, JobRecipe
from napari_hdn.io.models.direct_networks import list_direct_folders

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.recipes.parts import Taught


@noted
def distil(
    model: HDN,
    images: Sequence[ImageStack],
    config: DirectConfig,
    *,
    folder: Path | str | None = None,
    stop: Stop | None = None,
    repeated: Taught | None = None,
) -> Iterator[DistillationEvent | JobRecipe]:
    """Teach a direct one-pass network by a model; see `core.direct.distillation.distil`.

    With a folder, a recipe is written to it, and yielded before `DistillationFinished`.
    """
    from napari_hdn.core.direct.distillation import distil as _distil

    place = None if folder is None else Path(folder)
    for event in _distil(model, images, config, folder=place, stop=stop, repeated=repeated):
        if isinstance(event, DistillationFinished) and event.folder is not None:
            yield from _recipe_beside(model, images, config, event)
        yield event


def _recipe_beside(
    model: HDN, images: Sequence[ImageStack], config: DirectConfig, event: DistillationFinished
) -> Iterator[Notice | JobRecipe]:
    from napari_hdn.core.recipes.job_making import job_recipe
    from napari_hdn.io.recipes.results import write_direct_recipe

    assert event.folder is not None
    channel = model.config.channel if config.channel is None else config.channel
    inputs = [JobInput("image", stack.of_channel(channel)) for stack in images]
    recipe = job_recipe("distillation", config, inputs, model=model)
    job = recipe.job.model_copy(update={"taught": event.taught})
    recipe = recipe.model_copy(update={"job": job})
    try:
        yield write_direct_recipe(recipe, event.student, complete=not event.stopped)
    except OutputError as error:
        yield Notice(f"{error} The direct network itself is saved.", "warning")


@noted
def restore_direct(
    model: HDN,
    student: Direct,
    stack: ImageStack,
    config: RestorationConfig,
    *,
    stop: Stop | None = None,
    done: Collection[tuple[int, ...]] = (),
) -> Iterator[RestorationEvent]:
    """Restore a stack with a direct network; see `core.direct.restoration.restore_direct`."""
    from napari_hdn.core.direct.restoration import restore_direct as _restore

    return _restore(model, student, stack, config, stop=stop, done=done)


def load_direct(folder: Path | str) -> Direct:
    """Load a direct network; see `napari_hdn.core.direct.folder.load`."""
    from napari_hdn.core.direct.folder import load

    return load(Path(folder))


def choose_direct(
    model: HDN, levels_off: Sequence[int], statistic: Literal["mean", "median"] | None = None
) -> Direct:
    """The newest direct network of a model with these levels off; see `core.direct.choice`."""
    from napari_hdn.core.direct.choice import choose_direct as _choose

    folders = [] if model.folder is None else list_direct_folders(model.folder)
    return _choose(model, folders, levels_off, statistic)
