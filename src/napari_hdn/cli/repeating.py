"""Doing again what the recipe of a segmentation, a judgement, a generation, ... says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.api import (
    DirectConfig,
    EvaluationSettings,
    FileStack,
    GenerationConfig,
    JobInput,
    JobRecipe,
    LevelsSettings,
    SegmentationConfig,
    Stop,
    TrustSettings,
)
from napari_hdn.cli import distillation, evaluation, generation, inspection, segmentation, trust
from napari_hdn.cli.commands.shared import INCOMPLETE, INTERRUPTED, OK
from napari_hdn.cli.recorded_places import check_inside, check_place
from napari_hdn.cli.segmentation_work import Work, truth_of
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import RecipeError

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.recipes.jobs import JobImage, Role
    from napari_hdn.core.recipes.schema import Recipe


@dataclass(frozen=True)
class Again:
    """A job to be done again, and where its images and model may be.

    Attributes
    ----------
    recipe : JobRecipe
    base : Path
        The recipe's folder.
    data, given, out : Path or None
        As the user named them: a folder with the images, the model, where to write.
    function : str or None
        Of the user's own, for a segmentation.
    progress : Progress
    stop : Stop
    """

    recipe: JobRecipe
    base: Path
    data: Path | None
    given: Path | None
    out: Path | None
    function: str | None
    progress: Progress
    stop: Stop

    @property
    def folder(self) -> Path:
        """Where to write results."""
        return self.out or self.base

    def model(self) -> HDN | None:
        """The model of the job, if there was one."""
        return api.recipe_model(self.recipe, self.base, self.given)

    def needed_model(self) -> HDN:
        """The model of a job that cannot be without."""
        model = self.model()
        assert model is not None, "the recipe was checked"
        return model

    def images(self, role: Role) -> list[FileStack]:
        """The images of a role, the same as then."""
        return api.job_images(self.recipe, role, self.base, self.data, self.stop)

    def image(self, role: Role) -> tuple[JobImage, FileStack] | None:
        """The image of a role with what is recorded of it, if there is one."""
        recorded = self.recipe.job.one(role)
        return None if recorded is None else (recorded, self.images(role)[0])


def repeat(again: Again) -> int:
    """Do a job again, and tell whether its results are the recorded ones.

    Returns
    -------
    int
        What the command exits with.

    Raises
    ------
    RecipeError
        If images or model are not there, or this cannot be repeated.
    """
    recipe, progress = again.recipe, again.progress
    check_repeatable(again)
    with api.recipe_threads(recipe):
        if remark := api.recipe_remark(recipe):
            progress.say(f"Warning: {remark}")
        done, complete = _KINDS[recipe.kind](again)
    if again.stop.requested:
        return INTERRUPTED
    if done is not None:
        tell_compared(recipe, done, progress)
    return OK if complete else INCOMPLETE


def check_repeatable(again: Again) -> None:
    """Whether a job can be repeated.

    Raises
    ------
    RecipeError
        If not, with what to do instead.
    """
    recipe = again.recipe
    if not recipe.job.complete:
        raise RecipeError(
            "This job did not come to its end (it was stopped, or planes or samples were lacking), and "
            "a repetition would not end there. What was asked for is in the recipe under settings; do "
            f"it anew with napari-hdn {_COMMANDS[recipe.kind]}."
        )
    settings = recipe.job.settings
    if isinstance(settings, SegmentationConfig):
        _check_function(settings.recipe, again.function)
    if (
        isinstance(settings, DirectConfig)
        and settings.minutes is not None
        and recipe.job.taught is None
    ):
        name = "MODEL" if recipe.model is None else recipe.model.name
        raise RecipeError(
            f"This direct network was taught for {settings.minutes:g} minutes by a version of "
            "napari-hdn that did not yet record how far it came in them, which depends on the speed of "
            "the computer. Teach a new one with "
            f"napari-hdn distil {name} IMAGES --minutes {settings.minutes:g}."
        )


def _check_function(recorded: str, given: str | None) -> None:
    if ":" not in recorded:
        if given is not None:
            raise RecipeError(
                f"This segmentation was made with the recipe {recorded}; leave out --function."
            )
    elif given is None:
        raise RecipeError(
            f"This segmentation was made with a function of somebody's own, {recorded}, and no recipe "
            "runs code. Look at that function first; if you trust it, name it with --function "
            "FILE.py:FUNCTION."
        )


def tell_compared(
    recorded: Recipe | JobRecipe, again: Recipe | JobRecipe, progress: Progress
) -> None:
    """Say of each result whether it is the recorded one."""
    compared = api.compare_results(recorded, again)
    for product, same in compared.items():
        several = product in _SEVERAL
        how = (
            f"{'are' if several else 'is'} identical to" if same else "differ" + "s" * (not several)
        )
        how += "" if same else " from"
        exactly = ", pixel by pixel" if same and product not in _NO_IMAGES else ""
        progress.say(f"The {product} {how} the recorded one{'s' * several}{exactly}.")
    if isinstance(recorded, JobRecipe) and not compared:
        progress.say("Nothing that was recorded can be compared with these files.")


_SEVERAL = {"samples", "contributions", "parts", "images", "objects", "scores", "weights"}
_NO_IMAGES = {"objects", "scores", "table", "weights"}
_COMMANDS = {
    "segmentation": "segment",
    "trust": "trust",
    "levels": "levels",
    "generation": "generate",
    "evaluation": "evaluate",
    "distillation": "distil",
}
# of a file of our own, whatever a recipe says
_PLAIN_CSV = re.compile(r"[\w() -][\w() .-]{0,150}\.csv")
Done = tuple[JobRecipe | None, bool]


def _segmentation(again: Again) -> Done:
    config = api.repeated_settings(again.recipe, SegmentationConfig)
    if again.function is not None:
        config = config.model_copy(update={"recipe": again.function})
        api.check_recipe(again.function)
    model = again.model()
    found = again.image("samples" if model is None else "image")
    assert found is not None, "the recipe was checked"
    recorded, stack = found
    check_place(recorded, stack)
    work = Work(stack, recorded.plane, recorded.region)
    if model is None:
        work.check_samples()
    truth = again.image("truth")
    labels = None if truth is None else truth_of(truth[1], work, again.progress)
    damaged, done = segmentation.run(
        model, work, labels, config, again.folder, again.progress, again.stop
    )
    return done, not damaged


def _levels(again: Again) -> Done:
    settings = api.repeated_settings(again.recipe, LevelsSettings)
    if settings.samples > inspection.MOST_SAMPLES:
        raise RecipeError(
            f"The recipe asks for {settings.samples} images a level; at most "
            f"{inspection.MOST_SAMPLES} are drawn."
        )
    piece = _piece(again, settings.background or ())
    done = inspection.look(
        again.needed_model(),
        piece,
        again.folder,
        again.progress,
        again.stop,
        samples=settings.samples,
        seed=settings.seed,
        device=settings.device,
    )
    return done, True


def _trust(again: Again) -> Done:
    settings = api.repeated_settings(again.recipe, TrustSettings)
    piece = _piece(again)
    repeats, second = again.image("repeats"), again.image("second frame")
    frame = None
    if second is not None:
        recorded, stack = second
        check_place(recorded, stack)
        if stack.plane_shape != piece.stack.plane_shape:
            raise RecipeError(f"The second frame {stack.name} is not as large as the image.")
        frame = JobInput("second frame", stack, recorded.plane, recorded.region)
    done = trust.judge(
        again.needed_model(),
        piece,
        again.folder,
        again.progress,
        again.stop,
        repeats=None if repeats is None else repeats[1],
        second_frame=frame,
        settings=settings,
    )
    return done, True


def _generation(again: Again) -> Done:
    config = api.repeated_settings(again.recipe, GenerationConfig)
    found = again.image("real image")
    if found is not None:
        check_place(*found)
    done = generation.generate(
        again.needed_model(),
        config,
        None if found is None else found[1],
        again.folder,
        again.progress,
        again.stop,
        None if found is None else found[0],
    )
    return done, True


def _evaluation(again: Again) -> Done:
    settings = api.repeated_settings(again.recipe, EvaluationSettings)
    model = again.model()
    reference = again.image("truth" if model is None else "second frame")
    if reference is None:
        raise RecipeError("The recipe does not say what the images were compared with.")
    names = (r.file for r in again.recipe.job.results)
    name = next((n for n in names if _PLAIN_CSV.fullmatch(n)), "evaluation.csv")
    _, done = evaluation.compare(
        model,
        again.images("image"),
        reference[1],
        settings,
        again.folder / name,
        again.progress,
        again.stop,
    )
    return done, True


def _distillation(again: Again) -> Done:
    config = api.repeated_settings(again.recipe, DirectConfig)
    model = again.needed_model()
    images = again.images("image")
    _, done = distillation.teach(
        model, images, config, again.out, again.progress, again.stop, again.recipe.job.taught
    )
    return done, True


_KINDS: dict[str, Callable[[Again], Done]] = {
    "segmentation": _segmentation,
    "trust": _trust,
    "levels": _levels,
    "generation": _generation,
    "evaluation": _evaluation,
    "distillation": _distillation,
}


def _piece(
    again: Again, background: tuple[tuple[int, int, int, int], ...] = ()
) -> inspection.Piece:
    """The part of the image that was looked at."""
    found = again.image("image")
    assert found is not None, "the recipe was checked"
    recorded, stack = found
    check_place(recorded, stack)
    height, width = stack.plane_shape
    whole = (0, height, 0, width)
    region = recorded.region or whole
    for box in background:
        check_inside(box, region, stack.name)
    index = (0,) * len(stack.leading_shape) if recorded.plane is None else recorded.plane
    return inspection.Piece(stack, index, region, background)
