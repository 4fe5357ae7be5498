"""Recipes: reading, telling and repeating what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_hdn.api.noted import noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.events import RestorationFinished, Stop, TrainingEvent
from napari_hdn.core.ranks import ALONE, Rank
from napari_hdn.core.recipes.jobs import JobRecipe
from napari_hdn.core.recipes.schema import Recipe

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.recipes.making import RestorationRecipes
    from napari_hdn.io.images import FileStack


# layers of jobs whose files have other names, or are put together in another way
_LAYERS = {
    "trust": "map",
    "generated": "images",
    "contributions": "contributions behind the remainder",
}


def read_recipe(path: Path | str) -> Recipe | JobRecipe:
    """Read a recipe file, or the recipe of a model folder; see `napari_hdn.io.recipes.files`.

    A model of an earlier napari-hdn has no recipe: what its config tells is taken.
    """
    from napari_hdn.io.recipes.files import RECIPE
    from napari_hdn.io.recipes.files import read_recipe as _read

    folder = Path(path)
    if folder.is_dir() and not (folder / RECIPE).exists() and (folder / "config.json").is_file():
        return recipe_of(_loaded(folder))
    return _read(path)


def recipe_of(model: HDN) -> Recipe:
    """How a model was trained; see `napari_hdn.core.recipes.making`."""
    from napari_hdn.core.recipes.making import recipe_of_model

    return recipe_of_model(model)


def restoration_recipes(
    model: HDN,
    config: RestorationConfig,
    *,
    student: Direct | None = None,
    integers: bool = False,
    tag: str = "",
    file_format: Literal["ome-tiff", "ome-zarr"] = "ome-tiff",
) -> RestorationRecipes:
    """What restorations are going to do; see `core.recipes.making.RestorationRecipes`."""
    from napari_hdn.core.recipes.making import RestorationRecipes

    return RestorationRecipes(
        model, config, student=student, integers=integers, tag=tag, file_format=file_format
    )


def finished_recipe(recipe: Recipe, event: RestorationFinished) -> Recipe:
    """The recipe of a restoration that is over; see `core.recipes.making.finished`."""
    from napari_hdn.core.recipes.making import finished

    return finished(recipe, event)


def recipe_of_samples(recipe: Recipe, config: RestorationConfig) -> Recipe:
    """The same restoration for a layer of samples that are drawn when looked at.

    Parameters
    ----------
    recipe : Recipe
        Of what was restored at once.
    config : RestorationConfig
        With the samples.
    """
    assert recipe.restoration is not None
    changes = {
        "config": config.model_copy(update={"batch_size": 1}),  # drawn one by one
        "tiles": None,
        "planes_done": recipe.restoration.planes,
    }
    done = recipe.restoration.model_copy(update=changes)
    return recipe.model_copy(update={"restoration": done})


def write_recipe_beside(recipe: Mapping[str, Any], product: str, path: Path) -> Path:
    """Write the recipe in a layer's metadata beside the file that the layer was saved to.

    Raises
    ------
    RecipeError
        If it is none.
    OutputError
        If it cannot be written.
    """
    from napari_hdn.io.naming import split_suffix
    from napari_hdn.io.recipes.files import parse_recipe
    from napari_hdn.io.recipes.results import write_layer_recipe

    read = parse_recipe(json.dumps(recipe).encode(), "of the layer")
    if isinstance(read, JobRecipe):
        product = _LAYERS.get(product, product)
    beside = path.with_name(f"{split_suffix(path.name)[0]}-recipe.json")
    return write_layer_recipe(read, product, path, beside)


def recipe_images(
    recipe: Recipe, base: Path, data: Path | None = None, stop: Stop | None = None
) -> list[list[FileStack]]:
    """The images of a recipe, checked: of each part of a training, or the restored one."""
    from napari_hdn.io.recipes.data import find_image, training_images

    if recipe.restoration is not None:
        return [[find_image(recipe.restoration.image, base, data, stop)]]
    return training_images(recipe.training, base, data, stop)


def recipe_model(recipe: Recipe | JobRecipe, base: Path, given: Path | None = None) -> HDN | None:
    """The model that a recipe begins with; see `napari_hdn.io.recipes.data.find_model`.

    For a training the one that a variant was made of, and None for a model of its own; else the one
    that restored or took part in the job, if one did.
    """
    from napari_hdn.io.recipes.data import find_model

    if isinstance(recipe, JobRecipe) or recipe.restoration is not None:
        model = recipe.model
        if model is None:
            return None
        return find_model(
            sha256=model.sha256,
            family=model.family,
            name=model.name,
            places=[] if model.path is None else [base / model.path],
            given=given,
        )
    origin = recipe.training.origin
    if origin is None:
        return None
    places = [base / origin.parent_path] if origin.parent_path else []
    return find_model(
        sha256=origin.parent_sha256,
        family=recipe.model.family,
        name=origin.parent,
        places=places,
        given=given,
    )


def recipe_direct(recipe: Recipe, model: HDN, base: Path) -> Direct | None:
    """The direct network that a recipe restored with, if it did; see `io.recipes.data.find_direct`."""
    from napari_hdn.io.recipes.data import find_direct

    assert recipe.restoration is not None
    recorded = recipe.restoration.direct
    return None if recorded is None else find_direct(recorded, model, base)


@noted
def repeat_training(
    recipe: Recipe,
    images: Sequence[Sequence[ImageStack]],
    folder: Path | None,
    *,
    start: HDN | None = None,
    stop: Stop | None = None,
    rank: Rank = ALONE,
) -> Iterator[TrainingEvent]:
    """Train as a recipe says; see `napari_hdn.core.recipes.repeating.repeat_training`."""
    from napari_hdn.core.recipes.repeating import repeat_training as _repeat

    return _repeat(recipe, images, folder, start=start, stop=stop, rank=rank)


def recipe_processes(recipe: Recipe) -> int:
    """How many processes repeat a training here; see `core.recipes.repeating.processes_here`."""
    from napari_hdn.core.recipes.repeating import processes_here

    return processes_here(recipe)


def check_repeatable(recipe: Recipe, start: HDN | None) -> None:
    """Whether a training can be repeated; see `core.recipes.repeating.check_repeatable`."""
    from napari_hdn.core.recipes.repeating import check_repeatable as _check

    _check(recipe.training, start)


def repeated_config(recipe: Recipe, stack: ImageStack) -> RestorationConfig:
    """The config that restores as a recipe says; see `napari_hdn.core.recipes.repeating`."""
    from napari_hdn.core.recipes.repeating import repeated_config as _config

    return _config(recipe, stack)


def recipe_remark(recipe: Recipe | JobRecipe) -> str:
    """What is different here from where a job was done; empty if nothing is."""
    from napari_hdn.core.recipes.repeating import job_remark, restoration_remark

    return job_remark(recipe) if isinstance(recipe, JobRecipe) else restoration_remark(recipe)


def recipe_threads(recipe: Recipe | JobRecipe) -> AbstractContextManager[None]:
    """Computing with the threads of a recipe; see `core.recipes.repeating.threads_of`."""
    from napari_hdn.core.recipes.repeating import threads_of

    return threads_of(recipe.environment)


def compare_results(recorded: Recipe | JobRecipe, again: Recipe | JobRecipe) -> dict[str, bool]:
    """Whether repeated results are identical; see `napari_hdn.io.recipes.results`."""
    from napari_hdn.io.recipes.results import compare_results as _compare

    return _compare(recorded, again)


def methods_text(what: HDN | Recipe | JobRecipe | Path | str) -> str:
    """The paragraph for a methods section, with references; see `core.recipes.methods`.

    Parameters
    ----------
    what : HDN, Recipe, JobRecipe or path
        A model, a recipe, a model folder or a recipe file.

    Raises
    ------
    RecipeError, ModelFolderError
        If the path cannot be read.
    """
    from napari_hdn.core.recipes.methods import methods_text as _text

    return _text(_recipe(what))


def methods_bibtex(what: HDN | Recipe | JobRecipe | Path | str) -> str:
    """The references of `methods_text` for BibTeX."""
    from napari_hdn.core.recipes.methods import bibtex

    return bibtex(_recipe(what))


def _recipe(what: HDN | Recipe | JobRecipe | Path | str) -> Recipe | JobRecipe:
    if isinstance(what, Recipe | JobRecipe):
        return what
    return read_recipe(what) if isinstance(what, Path | str) else recipe_of(what)


def _loaded(folder: Path) -> HDN:
    from napari_hdn.core.checkpoint import load

    return load(folder)
