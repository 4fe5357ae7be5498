"""``napari-hdn run``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.cli import choices, jobs, repeating
from napari_hdn.cli.commands.shared import INCOMPLETE, INTERRUPTED, OK
from napari_hdn.cli.crew import Crew
from napari_hdn.cli.launch import Launch
from napari_hdn.cli.terminal import Progress, stop_on_interrupt, typed
from napari_hdn.core.errors import ConfigurationError

if TYPE_CHECKING:
    from napari_hdn.api import Stop, TrainingEvent
    from napari_hdn.core.recipes.schema import Recipe


def run(
    recipe: Path,
    *,
    data: Path | None = None,
    model: Path | None = None,
    out: Path | None = None,
    function: str | None = None,
) -> int | Launch:
    """Do again what a recipe says: train a model, restore or segment an image, ...

    On the same computer with the same versions the result is identical; what is different here is
    told. The images must be those of the recipe, pixel by pixel. A training by several processes is
    repeated by as many, if this machine has room for them.

    Parameters
    ----------
    recipe
        A file that ends in -recipe.json beside a result, or a model's folder or name.
    data
        Folder with the images, if they are no longer where they were.
    model
        The model that restores, or that a variant begins from, if it is no longer where it was.
    out
        Folder to write to: of the new model, by default a new one among the saved models; of a new
        direct network, by default one in the model's folder; or of the results, by default beside
        the recipe, with new numbers.
    function
        For a segmentation with a function of somebody's own, which a recipe never runs by itself:
        that function, as FILE.py:FUNCTION. Look at it first.
    """
    place = recipe if recipe.is_file() else choices.model_folder(recipe)
    read = api.read_recipe(place)
    base = place if place.is_dir() else place.parent
    if out is not None and out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    if data is not None and not data.is_dir():
        raise ConfigurationError(f"--data takes a folder; there is no folder {data}.")
    if function is not None and read.kind != "segmentation":
        raise ConfigurationError("--function is for the recipe of a segmentation.")
    given = None if model is None else choices.model_folder(model)
    if read.kind == "training":
        return _train(place, read, base, data, given, out)
    progress = Progress()
    with progress, stop_on_interrupt(progress) as stop:
        if isinstance(read, api.JobRecipe):
            again = repeating.Again(read, base, data, given, out, function, progress, stop)
            return repeating.repeat(again)
        return _restore(read, base, data, given, out or base, progress, stop)


def _train(
    place: Path,
    recipe: Recipe,
    base: Path,
    data: Path | None,
    given: Path | None,
    out: Path | None,
) -> int | Launch:
    rank, processes = api.rank_here(), api.recipe_processes(recipe)
    assert rank is not None, "a recipe asks for no more processes than there are"
    if rank == api.ALONE and processes > 1:
        return Launch(processes, 1)
    crew = Crew(rank)

    def begin(folder: Path | None, stop: Stop) -> Iterator[TrainingEvent]:
        images = api.recipe_images(recipe, base, data, stop)
        return api.repeat_training(recipe, images, folder, start=start, stop=stop, rank=rank)

    with crew.speaking(), api.recipe_threads(recipe):
        start = api.recipe_model(recipe, base, given)
        api.check_repeatable(recipe, start)
        if not rank.leads:
            return crew.follow(lambda stop: begin(None, stop))
        progress = Progress()
        made = nullcontext(out) if out else jobs.new_model_folder(f"{recipe.model.name} again")
        anew = f"To repeat it from its beginning: {typed(['napari-hdn', 'run', str(place)])}"
        with progress, stop_on_interrupt(progress) as stop, made as folder:
            jobs.check_model_folder(folder)
            jobs.tell_training(
                begin(folder, stop), folder, progress, lambda: crew.has_begun(folder, anew)
            )
        return INTERRUPTED if stop.requested else OK


def _restore(
    recipe: Recipe,
    base: Path,
    data: Path | None,
    given: Path | None,
    out: Path,
    progress: Progress,
    stop: Stop,
) -> int:
    done = recipe.restoration
    assert done is not None
    model = api.recipe_model(recipe, base, given)
    assert model is not None, "a restoration has a model"
    ((stack,),) = api.recipe_images(recipe, base, data, stop)
    student = api.recipe_direct(recipe, model, base)
    with api.recipe_threads(recipe):
        if remark := api.recipe_remark(recipe):
            progress.say(f"Warning: {remark}")
        events = api.restore_opened(
            model,
            stack,
            api.repeated_config(recipe, stack),
            out,
            student=student,
            integers=done.integers,
            format=done.file_format,
            tag=done.tag,
            stop=stop,
        )
        written = jobs.tell_batch(events, progress, stop)
    if stop.requested:
        return INTERRUPTED
    for again in written.recipes:
        repeating.tell_compared(recipe, again, progress)
    return OK if written.complete else INCOMPLETE
