"""``napari-hdn run``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.cli import choices, jobs
from napari_hdn.cli.commands.shared import INCOMPLETE, INTERRUPTED, OK
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError

if TYPE_CHECKING:
    from napari_hdn.api import Stop
    from napari_hdn.core.recipes.schema import Recipe


def run(
    recipe: Path,
    *,
    data: Path | None = None,
    model: Path | None = None,
    out: Path | None = None,
) -> int:
    """Do again what a recipe says: train a model, or restore an image.

    On the same computer with the same versions the result is identical; what is different here is
    told. The images must be those of the recipe, pixel by pixel.

    Parameters
    ----------
    recipe
        A file that ends in -recipe.json beside a restored image, or a model's folder or name.
    data
        Folder with the images, if they are no longer where they were.
    model
        The model that restores, or that a variant begins from, if it is no longer where it was.
    out
        Folder to write to: of the new model, by default a new one among the saved models; or of the
        restored images, by default beside the recipe, with new numbers.
    """
    place = recipe if recipe.is_file() else choices.model_folder(recipe)
    read = api.read_recipe(place)
    base = place if place.is_dir() else place.parent
    if out is not None and out.is_file():
        raise ConfigurationError(f"--out takes a folder; {out} is a file.")
    if data is not None and not data.is_dir():
        raise ConfigurationError(f"--data takes a folder; there is no folder {data}.")
    given = None if model is None else choices.model_folder(model)
    progress = Progress()
    with progress, stop_on_interrupt(progress) as stop:
        if read.kind == "training":
            return _train(read, base, data, given, out, progress, stop)
        return _restore(read, base, data, given, out or base, progress, stop)


def _train(
    recipe: Recipe,
    base: Path,
    data: Path | None,
    given: Path | None,
    out: Path | None,
    progress: Progress,
    stop: Stop,
) -> int:
    start = api.recipe_model(recipe, base, given)
    api.check_repeatable(recipe, start)
    images = api.recipe_images(recipe, base, data, stop)
    place = nullcontext(out) if out else jobs.new_model_folder(f"{recipe.model.name} again")
    with place as folder, api.recipe_threads(recipe):
        jobs.check_model_folder(folder)
        events = api.repeat_training(recipe, images, folder, start=start, stop=stop)
        jobs.tell_training(events, folder, progress)
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
        for product, same in api.compare_results(recipe, again).items():
            how = (
                "is identical to the recorded one, pixel by pixel"
                if same
                else "differs from the recorded one"
            )
            progress.say(f"The {product} {how}.")
    return OK if written.complete else INCOMPLETE
