"""Recipes beside the files that a job wrote, with checksums of what is in these."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_hdn.core.axes import ImageStack, guess_axes
from napari_hdn.core.recipes.images import WHOLE_BYTES, identify
from napari_hdn.core.recipes.jobs import JobRecipe
from napari_hdn.core.recipes.schema import Recipe, ResultRecord
from napari_hdn.io.naming import write_new
from napari_hdn.io.recipes.files import RECIPE
from napari_hdn.io.zarr.image import need_zarr

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct

WEIGHTS = "direct.safetensors"
# the same from the same job; others tell of paths and versions, too
_SAME_BYTES = {".csv", ".png"}


def write_recipe(recipe: Recipe | JobRecipe, path: Path) -> Path:
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


def finished_job(
    recipe: JobRecipe, written: Mapping[str, Path], *, complete: bool = True
) -> JobRecipe:
    """The recipe of a job with its files, and checksums of images and tables."""
    results = tuple(_job_result(product, path) for product, path in written.items())
    done = recipe.job.model_copy(update={"results": results, "complete": complete})
    return recipe.model_copy(update={"job": done})


def write_layer_recipe(recipe: Recipe | JobRecipe, product: str, path: Path, beside: Path) -> Path:
    """Write the recipe of a layer that was saved to ``path``; return where it is.

    Counts that were saved as integers have no checksum: a repetition writes float32, and would seem to
    differ.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if isinstance(recipe, JobRecipe):
        done = finished_job(recipe, {product: path}, complete=recipe.job.complete)
        job = done.job.model_copy(update={"results": _comparable(done.job.results, path)})
        return write_recipe(done.model_copy(update={"job": job}), beside)
    if recipe.restoration is not None:
        recipe = with_results(recipe, {product: path})
        assert recipe.restoration is not None
        results = _comparable(recipe.restoration.results, path)
        restored = recipe.restoration.model_copy(update={"results": results})
        recipe = recipe.model_copy(update={"restoration": restored})
    return write_recipe(recipe, beside)


def _comparable(results: tuple[ResultRecord, ...], path: Path) -> tuple[ResultRecord, ...]:
    try:
        dtype = np.dtype(_pixels(path).dtype)
    except Exception:  # compressed: it has no checksum anyway
        return results
    if dtype == np.float32:
        return results
    changes = {"sha256": None, "sha256_of": f"none, as it was saved as {dtype.name}"}
    return tuple(result.model_copy(update=changes) for result in results)


def write_direct_recipe(recipe: JobRecipe, student: Direct, *, complete: bool) -> JobRecipe:
    """Write how a direct network was taught to its folder, with the checksum of its weights.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from napari_hdn.core.identity import network_digest

    assert student.folder is not None
    weights = ResultRecord(
        product="weights",
        file=WEIGHTS,
        sha256=network_digest(student.network),
        sha256_of="the weights with their names",
    )
    done = recipe.job.model_copy(update={"results": (weights,), "complete": complete})
    recipe = recipe.model_copy(update={"job": done})
    write_recipe(recipe, student.folder / RECIPE)
    return recipe


def compare_results(recorded: Recipe | JobRecipe, again: Recipe | JobRecipe) -> dict[str, bool]:
    """Whether each result of a repeated job is identical to the recorded one, by product."""
    before = {r.product: r for r in _results(recorded) if r.sha256}
    return {
        r.product: before[r.product].sha256 == r.sha256
        for r in _results(again)
        if r.product in before and r.sha256
    }


def _results(recipe: Recipe | JobRecipe) -> tuple[ResultRecord, ...]:
    if isinstance(recipe, JobRecipe):
        return recipe.job.results
    assert recipe.restoration is not None
    return recipe.restoration.results


def _job_result(product: str, path: Path) -> ResultRecord:
    if path.suffix in _SAME_BYTES:
        with contextlib.suppress(OSError):  # gone meanwhile
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            return ResultRecord(
                product=product, file=path.name, sha256=digest, sha256_of="the file"
            )
    return _result(product, path, squeezed=True)


def _result(product: str, path: Path, *, squeezed: bool = False) -> ResultRecord:
    """Of an image; where a layer of a single plane and its file shall be the same, ``squeezed``."""
    try:
        array = _pixels(path)
        if squeezed and array.size * array.dtype.itemsize <= WHOLE_BYTES:
            leading = [n for n in array.shape[:-2] if n > 1]
            array = np.asarray(array[...]).reshape(*leading, *array.shape[-2:])
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
