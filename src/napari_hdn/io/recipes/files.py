"""Recipe files: read with care, since a stranger may have sent them. Nothing in them is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_hdn.core.errors import RecipeError
from napari_hdn.core.json_files import parse_object
from napari_hdn.core.recipes.jobs import JOB_KINDS, JobRecipe
from napari_hdn.core.recipes.schema import FORMAT, RECIPE_SCHEMA_VERSION, Recipe

RECIPE = "recipe.json"  # in a model folder
MOST_BYTES = 2**26  # 10,000 images of a training are 4 MB


def read_recipe(path: Path | str) -> Recipe | JobRecipe:
    """Read a recipe, or that of a model folder.

    Parameters
    ----------
    path : path
        A recipe file, or a folder with a ``recipe.json``.

    Raises
    ------
    RecipeError
        If there is none, it is damaged, too large, or of a newer napari-hdn.
    """
    path = Path(path)
    file = path / RECIPE if path.is_dir() else path
    return parse_recipe(_content(file), file.name if file == path else f"{path.name}/{RECIPE}")


def read_model_recipe(folder: Path) -> Recipe:
    """How the model in a folder was trained.

    Raises
    ------
    RecipeError
        As `read_recipe`, or if the recipe there is that of another job.
    """
    recipe = read_recipe(folder)
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"{folder.name}/{RECIPE} tells of a job of the kind {recipe.kind}, not of the training of a "
            "model: it is not the file that napari-hdn wrote there."
        )
    return recipe


def parse_recipe(content: bytes, name: str) -> Recipe | JobRecipe:
    """The recipe that a file called ``name`` holds.

    Raises
    ------
    RecipeError
        If it is none.
    """
    data = _parsed(content, name)
    if data.get("format") != FORMAT:
        raise RecipeError(
            f"{name} is no recipe of napari-hdn. Recipes are the files that end in -recipe.json beside "
            "restored images and other results, and recipe.json in model folders."
        )
    version = data.get("schema_version")
    if isinstance(version, int) and version > RECIPE_SCHEMA_VERSION:
        raise RecipeError(
            f"{name} was written by a newer napari-hdn (recipe format {version}; this one reads up to "
            f"{RECIPE_SCHEMA_VERSION}). Update napari-hdn to use it."
        )
    try:
        if data.get("kind") in JOB_KINDS:
            return JobRecipe.model_validate_json(content)
        return Recipe.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        message = first["msg"].removeprefix("Value error, ")
        raise _damaged(name, f"{place}: {message}" if place else message) from error
    except (RecursionError, OverflowError, ValueError) as error:
        raise _damaged(name, str(error)) from error


def _content(file: Path) -> bytes:
    try:
        if not file.is_file():
            raise RecipeError(f"There is no recipe {file}.")
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)  # whatever size the file system claims
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # a name that is none
        raise RecipeError(f"There is no recipe of this name: {error}.") from error
    if len(content) > MOST_BYTES:
        raise RecipeError(
            f"{file.name} is larger than {MOST_BYTES // 2**20} MB, which no recipe of napari-hdn is; it "
            "is not read."
        )
    return content


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        return parse_object(content, MOST_BYTES)
    except ValueError as error:
        raise _damaged(name, str(error)) from error


def _damaged(name: str, why: str) -> RecipeError:
    first = (why.strip().splitlines() or ["no reason given"])[0][:300]
    return RecipeError(f"The recipe {name} is damaged ({first}). Copy it again from where it came.")
