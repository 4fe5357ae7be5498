"""Recipes: reading, telling and repeating what was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.core.recipes.schema import Recipe

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe file, or the recipe of a model folder; see `napari_hdn.io.recipes`.

    A model of an earlier napari-hdn has no recipe: what its config tells is taken.
    """
    from napari_hdn.io.recipes import RECIPE
    from napari_hdn.io.recipes import read_recipe as _read

    folder = Path(path)
    if folder.is_dir() and not (folder / RECIPE).exists() and (folder / "config.json").is_file():
        return recipe_of(_loaded(folder))
    return _read(path)


def recipe_of(model: HDN) -> Recipe:
    """How a model was trained; see `napari_hdn.core.recipes.making`."""
    from napari_hdn.core.recipes.making import recipe_of_model

    return recipe_of_model(model)


def methods_text(what: HDN | Recipe | Path | str) -> str:
    """The paragraph for a methods section, with references; see `core.recipes.methods`.

    Parameters
    ----------
    what : HDN, Recipe or path
        A model, a recipe, a model folder or a recipe file.

    Raises
    ------
    RecipeError, ModelFolderError
        If the path cannot be read.
    """
    from napari_hdn.core.recipes.methods import methods_text as _text

    return _text(_recipe(what))


def methods_bibtex(what: HDN | Recipe | Path | str) -> str:
    """The references of `methods_text` for BibTeX."""
    from napari_hdn.core.recipes.methods import bibtex

    return bibtex(_recipe(what))


def _recipe(what: HDN | Recipe | Path | str) -> Recipe:
    if isinstance(what, Recipe):
        return what
    return read_recipe(what) if isinstance(what, Path | str) else recipe_of(what)


def _loaded(folder: Path) -> HDN:
    from napari_hdn.core.checkpoint import load

    return load(folder)
