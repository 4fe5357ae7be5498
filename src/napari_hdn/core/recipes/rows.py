"""A recipe of a training as lines of a table, to be put beside those of others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from napari_hdn.core.recipes.environment import Environment
from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.recipes.schema import NoiseRecord, Recipe
from napari_hdn.core.recipes.words import listed, many, names

MOST_IMAGES = 8  # that have a line each
_HEX = 12  # of a checksum, in a table
_MADE_WITH = {
    "napari_hdn": "napari-hdn",
    "python": "Python",
    "torch": "PyTorch",
    "numpy": "NumPy",
    "system": "system",
    "device": "device",
    "precision": "precision",
    "threads": "threads",
    "processes": "processes",
}


def recipe_rows(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What a recipe knows beyond a config: what it is about, and the entry in words."""
    training = recipe.training
    yield "weights (SHA-256)", recipe.model.sha256[:_HEX]
    yield "trained parameters", f"{training.parameters:,}"
    yield from _parts(training.parts)
    yield from _images("image", training.images)
    yield from _noise(training.noise)
    if training.parts:
        yield from _versions([part.environment for part in training.parts])


def look_in_words(look: LevelLook) -> str:
    """What a look at levels advised, and the scores that led there."""
    scores = "; ".join(
        f"level {r.level} "
        + ", ".join(
            f"S{n} {score:.2g}"
            for n, score in enumerate((r.s1, r.s2, r.s3), 1)
            if score is not None
        )
        for r in look.levels
    )
    return f"{look.in_words} ({scores})" if scores else look.in_words


def _parts(parts: Sequence[TrainingPart]) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(parts, 1):
        budget = f"{part.minutes:g} min" if part.minutes is not None else f"{part.steps:,} steps"
        split = "" if not part.split_batches else ", batches split where memory was short"
        ended = "" if part.ended == "complete" else f", {part.ended}"
        yield (
            f"training: part {number}",
            f"steps {part.first_step:,} to {part.last_step:,} of a budget of {budget}{ended}{split}",
        )


def _images(what: str, images: Sequence[ImageRecord]) -> Iterator[tuple[str, str]]:
    for number, image in enumerate(images[:MOST_IMAGES], 1):
        yield (
            f"{what} {number}",
            f"{image.name}, {image.in_words()}, SHA-256 {image.sha256[:_HEX]}",
        )
    if rest := images[MOST_IMAGES:]:
        together = hashlib.sha256("".join(image.sha256 for image in rest).encode()).hexdigest()
        yield (
            f"further {what}s",
            f"{len(rest):,}, SHA-256 of their checksums {together[:_HEX]}",
        )


def _noise(noise: NoiseRecord) -> Iterator[tuple[str, str]]:
    yield "noise model: in words", noise.in_words
    yield "noise model: made", noise.made
    yield "noise model: mended in training", "yes" if noise.mended else "no"
    calibration = noise.calibration
    if calibration is None:
        return
    told = f"{calibration.source}, of {names(calibration.data)}"
    yield "noise model: calibrated from", told
    yield from _images("image of the calibration", calibration.images)
    failed = [check.name for check in calibration.checks if check.verdict == "bad"]
    checks = many(len(calibration.checks), "check")
    yield (
        "noise model: checks",
        f"{listed(failed)} of {checks} failed" if failed else f"{checks}, none failed",
    )


def _versions(each: Sequence[Environment]) -> Iterator[tuple[str, str]]:
    """With one entry where all parts were computed with the same."""
    for field, what in _MADE_WITH.items():
        used = dict.fromkeys(str(getattr(environment, field)) for environment in each)
        yield f"trained with: {what}", ", then ".join(used)
