"""Recipes of segmentations, judgements, looks at levels, generations, evaluations, distillations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_hdn.core.config import Frozen
from napari_hdn.core.errors import RecipeError
from napari_hdn.core.events import Stop
from napari_hdn.core.recipes.jobs import JobInput, JobKind, JobRecipe, JobSettings, Role

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN
    from napari_hdn.io.images import FileStack

Chosen = TypeVar("Chosen", bound=Frozen)


def job_recipe(
    kind: JobKind,
    settings: JobSettings,
    images: Sequence[JobInput] = (),
    *,
    model: HDN | None = None,
    complete: bool = True,
    stop: Stop | None = None,
) -> JobRecipe:
    """What a job is going to do; see `napari_hdn.core.recipes.job_making`."""
    from napari_hdn.core.recipes.job_making import job_recipe as _recipe

    return _recipe(kind, settings, images, model=model, complete=complete, stop=stop)


def write_job_recipe(
    recipe: JobRecipe, written: Mapping[str, Path], path: Path, *, complete: bool = True
) -> tuple[JobRecipe, Path]:
    """Write the recipe of a job beside its files, with checksums; see `io.recipes.results`.

    Parameters
    ----------
    recipe : JobRecipe
    written : mapping of str to Path
        The files, by what they hold.
    path : Path
        Of the recipe; numbered where the name is taken.
    complete : bool
        Whether the job ran to its end.

    Returns
    -------
    recipe : JobRecipe
        With its results.
    path : Path

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from napari_hdn.io.recipes.results import finished_job, write_recipe

    done = finished_job(recipe, written, complete=complete)
    return done, write_recipe(done, path)


def job_images(
    recipe: JobRecipe, role: Role, base: Path, data: Path | None = None, stop: Stop | None = None
) -> list[FileStack]:
    """The images of a role, found again and checked; see `napari_hdn.io.recipes.data.find_image`."""
    from napari_hdn.io.recipes.data import find_image

    return [find_image(i.image, base, data, stop) for i in recipe.job.of(role)]


def repeated_settings(recipe: JobRecipe, kind: type[Chosen]) -> Chosen:
    """The settings of a job, with the device that there is here.

    Raises
    ------
    RecipeError
        If they are not of this kind.
    """
    from napari_hdn.core.recipes.repeating import device_for

    settings = recipe.job.settings
    if not isinstance(settings, kind):
        raise RecipeError(f"The recipe holds no settings of the kind {recipe.kind}.")
    device = getattr(settings, "device", None)
    if device is None:
        return settings
    here = device_for(device).name if device != "auto" else device
    return settings.model_copy(update={"device": here})
