"""Recipes of segmentations, judgements and the like, as these begin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari_hdn.core.devices import choose
from napari_hdn.core.events import Stop
from napari_hdn.core.recipes.environment import environment_on
from napari_hdn.core.recipes.images import identify
from napari_hdn.core.recipes.jobs import (
    JobImage,
    JobInput,
    JobKind,
    JobRecipe,
    JobRecord,
    JobSettings,
)
from napari_hdn.core.recipes.making import model_record, training_record

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN

_TOLD = {
    "segmentation": "How {image} was segmented",
    "trust": "How far the restoration of {image} can be trusted, and how that was judged",
    "levels": "What the latent levels contribute to {image}, and how that was found",
    "generation": "How images were generated",
    "evaluation": "How {image} was compared",
    "distillation": "How a direct network was taught",
}


def job_recipe(
    kind: JobKind,
    settings: JobSettings,
    images: Sequence[JobInput] = (),
    *,
    model: HDN | None = None,
    complete: bool = True,
    stop: Stop | None = None,
) -> JobRecipe:
    """What a job is going to do, with absolute paths; its images are looked at for checksums.

    Parameters
    ----------
    kind : str
    settings
        The config of that kind.
    images : sequence of JobInput
    model : HDN, optional
        Missing where none takes part.
    complete : bool
        Of a job that is over already: whether it ran to its end.
    stop : Stop, optional

    Raises
    ------
    StoppedEarly
        If ``stop`` was requested.
    DeviceError
        If the device does not exist.
    """
    off = set(getattr(settings, "deactivated_levels", None) or ())
    noted = tuple(
        JobImage(role=i.role, image=identify(i.stack, stop), plane=i.plane, region=i.region)
        for i in images
    )
    device = choose(getattr(settings, "device", "cpu"))
    made_by = None if model is None else model_record(model)
    look = None
    if model is not None and made_by is not None:
        network = model.config.network
        off = {k for k in off if 1 <= k <= network.levels}  # the job itself refuses the others
        off |= set(network.deactivated_levels)
        if model.look is not None and model.look.weights_sha256 == made_by.sha256:
            look = model.look
    recipe = JobRecipe(
        kind=kind,
        in_words="",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=environment_on(device, getattr(settings, "precision", "auto")),
        model=made_by,
        job=JobRecord(
            images=noted,
            settings=settings,
            levels_off=tuple(sorted(off)),
            look=look,
            complete=complete,
        ),
        training=None if model is None else training_record(model),
    )
    told = _TOLD[kind].format(image=recipe.what)
    by = "" if model is None else f" with {model.name}"
    return recipe.model_copy(update={"in_words": f"{told}{by}: napari-hdn run repeats it."})
