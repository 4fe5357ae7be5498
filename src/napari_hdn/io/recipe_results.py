"""Recipes beside the files that a restoration wrote, with checksums of what is in these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tifffile

from napari_hdn.core.axes import ImageStack, guess_axes
from napari_hdn.core.recipes.images import identify
from napari_hdn.core.recipes.schema import Recipe, ResultRecord
from napari_hdn.io.naming import write_new
from napari_hdn.io.zarr.image import need_zarr


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """Write a recipe as a new file, numbered where the name is taken; return where it is.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from napari_hdn.core.recipes.making import to_text

    return write_new(path, to_text(recipe, path.parent).encode())


def with_results(recipe: Recipe, written: Mapping[str, Path]) -> Recipe:
    """The recipe of a restoration with its files, and the checksum of each where it can be read."""
    assert recipe.restoration is not None
    results = tuple(_result(product, path) for product, path in written.items())
    done = recipe.restoration.model_copy(update={"results": results})
    return recipe.model_copy(update={"restoration": done})


def compare_results(recorded: Recipe, again: Recipe) -> dict[str, bool]:
    """Whether each image of a repeated restoration is identical to the recorded one, by product."""
    assert recorded.restoration is not None
    assert again.restoration is not None
    before = {r.product: r.sha256 for r in recorded.restoration.results if r.sha256}
    return {
        r.product: before[r.product] == r.sha256
        for r in again.restoration.results
        if r.product in before
    }


def _result(product: str, path: Path) -> ResultRecord:
    try:
        array = _pixels(path)
        record = identify(ImageStack(array, guess_axes(array.shape), path.name))
    except Exception:  # compressed, or another kind of file: the recipe does without
        return ResultRecord(product=product, file=path.name)
    return ResultRecord(
        product=product, file=path.name, sha256=record.sha256, sha256_of=record.sha256_of
    )


def _pixels(path: Path) -> Any:
    if path.is_dir():
        return need_zarr().open_group(path, mode="r")["0"]
    return tifffile.memmap(path, mode="r")
