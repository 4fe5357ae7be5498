"""What a segmentation, a judgement, a look at levels, ... did, in sentences for a methods section."""

from __future__ import annotations

from napari_hdn.core.config import GenerationConfig
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.jobs import (
    EvaluationSettings,
    JobImage,
    JobRecipe,
    LevelsSettings,
    TrustSettings,
)
from napari_hdn.core.recipes.references import HDN
from napari_hdn.core.recipes.restoration_words import why
from napari_hdn.core.recipes.words import levels, many, names
from napari_hdn.core.segmentation.settings import SegmentationConfig

_SEGMENTED = {
    "membranes": "by local threshold with a mean filter, thinning to a skeleton, and connected "
    f"components (after {HDN.cited})",
    "bright": "by Otsu's threshold and a local one, and watershed",
}


def job_sentences(recipe: JobRecipe) -> list[str]:
    """What was done in a job, with which images and numbers."""
    settings = recipe.job.settings
    if isinstance(settings, SegmentationConfig):
        told = _segmentation(recipe, settings)
    elif isinstance(settings, TrustSettings):
        told = _trust(recipe, settings)
    elif isinstance(settings, LevelsSettings):
        told = _levels(recipe, settings)
    elif isinstance(settings, GenerationConfig):
        told = _generation(recipe, settings)
    elif isinstance(settings, EvaluationSettings):
        told = _evaluation(recipe, settings)
    else:
        told = _distillation(recipe, settings)
    if not recipe.job.complete:
        told.append("This did not come to its end: it was stopped, or a part was lacking.")
    return told


def _segmentation(recipe: JobRecipe, settings: SegmentationConfig) -> list[str]:
    how = _SEGMENTED.get(settings.recipe, f"by a function of the authors' own ({settings.recipe})")
    drawn = recipe.job.one("image")
    if drawn is None:
        samples = recipe.job.one("samples")
        assert samples is not None, "the recipe was checked"
        count = _size_along(samples.image, "S")
        many_samples = many(count, "posterior sample")
        begin = f"{many_samples} in {_where(samples)} {_were(count)} segmented one by one"
    else:
        begin = (
            f"{many(settings.samples, 'posterior sample')} of {_where(drawn)} "
            f"{_were(settings.samples)} drawn (seed {settings.seed}) and segmented one by one"
        )
    told = [
        f"{begin}, {how}; objects of fewer than {many(settings.least_px, 'pixel')} were left out.",
        *_off(recipe),
        "The consensus has the objects that most samples agree on, where borders up to "
        f"{many(settings.tolerance_px, 'pixel')} apart count as the same.",
    ]
    if (truth := recipe.job.one("truth")) is not None:
        told.append(
            f"Consensus and single samples were compared with the labels in {truth.image.name} by "
            "average precision (AP) and SEG score."
        )
    return told


def _trust(recipe: JobRecipe, settings: TrustSettings) -> list[str]:
    told = [
        f"How far the restoration of {_whole(recipe)} can be trusted was judged from "
        f"{many(settings.judged_samples, 'posterior sample')} (seed {settings.seed}): by how they "
        "differ, and by whether what was taken away is the noise of the noise model.",
        *_off(recipe),
    ]
    for role, what in (("repeats", "repeated frames"), ("second frame", "a second frame")):
        if (frames := recipe.job.one(role)) is not None:  # type: ignore[arg-type]
            told.append(f"The standard deviation was held against {what} ({frames.image.name}).")
    return told


def _levels(recipe: JobRecipe, settings: LevelsSettings) -> list[str]:
    return [
        f"What each latent level contributes to {_whole(recipe)} was found by decoding with its latent "
        "variables at the means of their posteriors and of their priors, from the finest level up; the "
        "contributions add up to the restored image.",
        f"{many(settings.samples, 'image')} {_were(settings.samples)} drawn at each level, "
        f"from the image and from the prior (seed {settings.seed}).",
    ]


def _generation(recipe: JobRecipe, settings: GenerationConfig) -> list[str]:
    noise = ", with noise simulated by the noise model" * settings.camera_noise
    told = [
        f"{many(settings.number, 'image')} of {settings.height} x {settings.width} pixels (height x "
        f"width) {_were(settings.number)} generated from the prior of the network (seed "
        f"{settings.seed}){noise}; they show what it has learned, and nothing real.",
        *_off(recipe),
    ]
    if (real := recipe.job.one("real image")) is not None:
        told.append(f"They were compared with {_where(real)}.")
    return told


def _evaluation(recipe: JobRecipe, settings: EvaluationSettings) -> list[str]:
    images = recipe.job.of("image")
    compared = names([i.image.name for i in images])
    given = settings.range_counts
    truth, second = recipe.job.one("truth"), recipe.job.one("second frame")
    if truth is not None:
        span = "max - min of the truth" if given is None else f"{given:g} counts"
        return [
            f"{compared} {_were(len(images))} compared with {truth.image.name} as truth, plane by "
            f"plane: peak signal-to-noise ratio (PSNR; range {span}), structural similarity (SSIM), "
            "scale-invariant PSNR, and mean squared error."
        ]
    frame = "a second frame" if second is None else second.image.name
    span = "max - min of each image" if given is None else f"{given:g} counts"
    return [
        f"The mean squared error of {compared} was estimated without a truth, from a noisy frame of the "
        f"same scene that was not restored ({frame}) and the noise model; the range of PSNR was {span}."
    ]


def _distillation(recipe: JobRecipe, settings: DirectConfig) -> list[str]:
    images = recipe.job.of("image")
    budget = (
        many(settings.steps, "step")
        if settings.steps is not None
        else f"{settings.minutes:g} minutes"
    )
    if (taught := recipe.job.taught) is not None:
        budget += f" ({many(taught.steps, 'step')})"
    return [
        f"A small network for restoring in a single pass was taught the {settings.learns} of "
        f"{many(settings.samples, 'posterior sample')} of the model for {budget}, on "
        f"{names([i.image.name for i in images])} (batches of {settings.batch_size} patches of "
        f"{settings.patch_px} x {settings.patch_px} pixels, seed {settings.seed}); it gives no "
        "uncertainty.",
        *_off(recipe),
    ]


def _off(recipe: JobRecipe) -> list[str]:
    """Levels that were off in this job, beyond those that the network was trained without."""
    if recipe.training is None:
        return []
    network = recipe.training.config.network
    extra = tuple(k for k in recipe.job.levels_off if k not in network.deactivated_levels)
    if not extra:
        return []
    told = (
        f"In this, {levels(extra)} of {network.levels} (1 is the finest) {_were(len(extra))} switched "
        "off."
    )
    look = recipe.job.look
    return [told, *([] if look is None else why(look, recipe.job.levels_off))]


def _whole(recipe: JobRecipe) -> str:
    image = recipe.job.one("image")
    assert image is not None, "the recipe was checked"
    return _where(image)


def _where(used: JobImage) -> str:
    """The image, which plane and which part of it."""
    parts = [f"{used.image.name} ({used.image.in_words()}"]
    skipped = "YX" + "S" * (used.role == "samples") + "C" * (used.image.channel is not None)
    if used.plane:
        axes = [a for a in used.image.axes if a not in skipped]
        at = ", ".join(f"{a} {i}" for a, i in zip(axes, used.plane, strict=False))
        parts.append(f"plane {at}, counted from 0")
    if used.region is not None:
        y0, y1, x0, x1 = used.region
        parts.append(f"y {y0} to {y1}, x {x0} to {x1}")
    return "; ".join(parts) + ")"


def _size_along(image: ImageRecord, letter: str) -> int:
    return dict(zip(image.axes, image.shape, strict=False)).get(letter, 1)


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
