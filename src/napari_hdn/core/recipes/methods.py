"""The paragraph for a methods section: what was done, in plain English, with the real numbers.

Every sentence is about what the recipe says; what it does not say is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from napari_hdn.core.recipes.environment import Environment
from napari_hdn.core.recipes.job_words import job_sentences
from napari_hdn.core.recipes.jobs import JobRecipe
from napari_hdn.core.recipes.references import HDN, LADDER, NAPARI, PN2V, PPN2V, Reference
from napari_hdn.core.recipes.restoration_words import restoration_sentences, why
from napari_hdn.core.recipes.schema import NoiseRecord, Recipe, TrainingRecord
from napari_hdn.core.recipes.words import levels, listed, many, names

_PROGRAM = (
    "This was done with napari-hdn {}, a plugin for napari ("
    + NAPARI.cited
    + ") for Hierarchical DivNoising (HDN; "
    + HDN.cited
    + ")."
)
_WHOLE_FRAMES = 4  # planes from which on whole ones are held out, as in core.patches
_SOURCES = {
    "repeats": "from repeated images of static fields",
    "flat_field": "from flat-field images",
    "pair": "from a noisy image and the clean image of the same field",
    "series": "from a time series",
    "images": "from the noisy images themselves",
    "file": "by fitting nothing: it was given as a file, and held against the images",
}


def methods_text(recipe: Recipe | JobRecipe) -> str:
    """What was done, as paragraphs, and the references below."""
    paragraphs = []
    if recipe.training is not None:
        paragraphs.append(" ".join(_training(recipe.training, recipe.environment)))
    if isinstance(recipe, JobRecipe):
        by = [] if recipe.training is not None else [_PROGRAM.format(recipe.environment.napari_hdn)]
        paragraphs.append(" ".join([*job_sentences(recipe), *by]))
    elif recipe.restoration is not None:
        paragraphs.append(" ".join(restoration_sentences(recipe.restoration, recipe.training)))
    cited = [reference.text for reference in references(recipe)]
    return "\n\n".join([*paragraphs, "References\n\n" + "\n\n".join(cited)]) + "\n"


def bibtex(recipe: Recipe | JobRecipe) -> str:
    """The references for BibTeX."""
    return "\n\n".join(reference.bibtex for reference in references(recipe)) + "\n"


def references(recipe: Recipe | JobRecipe) -> tuple[Reference, ...]:
    """What has to be cited, by the alphabet."""
    cited = {HDN, NAPARI}
    if recipe.training is not None:
        cited |= {LADDER, *_of_noise(recipe.training.noise)}
    return tuple(sorted(cited, key=lambda reference: (reference.text, reference.cited)))


def _of_noise(noise: NoiseRecord) -> tuple[Reference, ...]:
    return {"gmm": (PN2V, PPN2V), "histogram": (PN2V,)}.get(noise.kind, ())


def _training(training: TrainingRecord, by: Environment) -> list[str]:
    return [
        f"Images were denoised with Hierarchical DivNoising (HDN; {HDN.cited}) in napari-hdn "
        f"{by.napari_hdn}, a plugin for napari ({NAPARI.cited}).",
        "HDN is a ladder variational autoencoder "
        f"({LADDER.cited}) that learns from the noisy images alone, without clean images.",
        *_network(training),
        *_data(training),
        *_noise(training),
        *_optimisation(training),
        *_levels_in_training(training),
    ]


def _network(training: TrainingRecord) -> list[str]:
    net = training.config.network
    blocks = f"{net.blocks} {'gated ' if net.gated else ''}residual block{'s' * (net.blocks > 1)}"
    sentences = [
        f"The network had {many(net.levels, 'level')} of latent variables with "
        f"{net.latent_channels} channels each, {net.channels} feature channels and {blocks} at each "
        f"level ({training.parameters:,} trained parameters)."
    ]
    differs = []
    if net.trunk == "half":
        differs.append(
            "it computes at half the image's size, between a pixel-unshuffle and a pixel-shuffle"
        )
    if net.activation != "elu":
        spelt = {"silu": "SiLU", "relu": "ReLU"}
        differs.append(f"its activation is {spelt[net.activation]}, not ELU")
    if net.dropout == 0:
        differs.append("it has no dropout")
    if net.top_prior == "learned":
        differs.append(
            "the learned prior of its top level is one mean and variance for each channel, whatever "
            "the size of the image"
        )
    else:
        differs.append("the prior of its top level is a fixed standard normal distribution")
    if training.stabilised:
        differs.append(
            "it sees counts in units of their noise (a variance-stabilising transformation by the "
            "noise model)"
        )
    return [*sentences, f"Unlike in the published network, {listed(differs, '; ')}."]


def _data(training: TrainingRecord) -> list[str]:
    images, config = training.images, training.config
    if not images:
        return [f"It was trained on {names(training.data)}."] if training.data else []
    planes = sum(prod(_leading(i.axes, i.shape, i.channel)) for i in images)
    sizes = sorted({f"{y} x {x}" for i in images for y, x in [_plane(i.axes, i.shape)]})
    told = f"It was trained on {many(planes, 'image plane')}"
    told += f" of {sizes[0]} pixels (height x width)" if len(sizes) == 1 else ""
    told += f" from {names([i.name for i in images])}"
    share = config.validation_fraction
    if share == 0:
        return [f"{told}; none were held out."]
    if planes >= _WHOLE_FRAMES:
        held = max(1, round(share * planes))
        were = "was" if held == 1 else "were"
        return [f"{told}, of which {many(held, 'plane')} {were} held out for validation."]
    return [
        f"{told}; a strip of about {share:.0%} of each plane was held out for validation where it was "
        "large enough."
    ]


def _leading(axes: str, shape: Sequence[int], channel: int | None) -> list[int]:
    skipped = "YX" if channel is None else "YXC"
    return [n for a, n in zip(axes, shape, strict=False) if a not in skipped]


def _plane(axes: str, shape: Sequence[int]) -> tuple[int, int]:
    sizes = dict(zip(axes, shape, strict=False))
    return sizes.get("Y", 1), sizes.get("X", 1)


def _noise(training: TrainingRecord) -> list[str]:
    noise, asked = training.noise, training.config.noise
    if noise.kind == "learned_gaussian":
        return [
            "No noise model was used: the likelihood was a Gaussian whose width was learned with the "
            "network."
        ]
    cited = ", ".join(r.cited for r in _of_noise(noise)).replace(", Prakash", "; Prakash")
    what = {
        "gaussian": "Gaussian noise of the same strength everywhere",
        "poisson_gaussian": "Gaussian noise whose variance is a linear function of the signal "
        "s (Poisson-Gaussian)",
        "gmm": f"a mixture of Gaussians that depend on the signal (GMM; {cited})",
        "histogram": f"a histogram of counts for each signal ({cited})",
    }.get(noise.kind, noise.kind)
    numbers = noise.in_words.removeprefix("Poisson-Gaussian noise, ").removeprefix(
        "Gaussian noise, "
    )
    sentences = [f"The noise model was {what}: {numbers.rstrip('.')}."]
    calibration = noise.calibration
    if calibration is not None:
        how = _SOURCES.get(calibration.source, f"from the source {calibration.source}")
        sentences.append(f"It was calibrated {how} ({names(calibration.data)}).")
        failed = [c.name for c in calibration.checks if c.verdict == "bad"]
        if calibration.checks:
            total = len(calibration.checks)
            sentences.append(
                f"Of {many(total, 'check')} of the calibration, {listed(failed)} failed."
                if failed
                else f"None of {many(total, 'check')} of the calibration failed."
            )
    elif asked.source == "auto":
        sentences.append("It was estimated from the training images themselves.")
    elif asked.source == "gaussian":
        sentences.append("Its standard deviation was given.")
    if noise.mended:
        sentences.append(
            "It was refined during training, when the network began to copy noise."
            if not asked.bootstrap
            else "It was refined during training."
        )
    if noise.structured:
        sentences.append(
            "The noise of the images was found to be correlated between pixels, which a noise model of "
            "single pixels does not describe."
        )
    return sentences


def _optimisation(training: TrainingRecord) -> list[str]:
    config = training.config
    optimizer = {"adamax": "Adamax", "adamw": "AdamW"}[config.optimizer]
    turned = "random flips" if config.flips else "no flips"
    turned += " and rotations by 90°" if config.rotations else ""
    parts = f", in {len(training.parts)} parts" if len(training.parts) > 1 else ""
    patches = many(config.batch_size, "random patch", "random patches")
    on = f" on {training.parts[-1].environment.device}" if training.parts else ""
    free = config.free_bits_per_pixel * config.patch_px**2
    sentences = [
        f"The negative evidence lower bound, with free bits of {free:.3g} nat for each level and patch, "
        f"was minimised for {many(training.steps, 'step')} "
        f"({_duration(training.minutes)}{on}{parts}) with "
        f"{optimizer} and batches of {patches} of {config.patch_px} x {config.patch_px} pixels with "
        f"{turned}: learning rate up to {config.learning_rate:g}, linear warm-up of "
        f"{many(config.warmup_steps, 'step')}, cosine decay over the training time, gradient norms "
        f"clipped at {config.gradient_clip:g}, random seed {config.seed}.",
        f"The weights are an exponential moving average (decay {config.ema_decay:g}).",
    ]
    origin = training.origin
    if origin is not None and origin.begun == "warm":
        what = (
            "only what lies below the levels that are on was trained further"
            if config.learns == "below"
            else "the whole network was trained further"
        )
        sentences.append(
            f"Training began with the weights of an earlier model of the same images "
            f"({origin.parent}, {many(origin.steps_before, 'step')}), and {what}."
        )
    return sentences


def _duration(minutes: float) -> str:
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _levels_in_training(training: TrainingRecord) -> list[str]:
    net = training.config.network
    off = net.deactivated_levels
    if not off:
        return []
    took = (
        "takes its prior given the levels above"
        if net.deactivation == "prior"
        else "is computed from the levels above alone, without the image"
    )
    sentences = [
        f"The network was trained with {levels(off)} of {net.levels} switched off (1 is the "
        "finest), so "
        f"that what these scales hold of an artefact is not restored: such a level {took}."
    ]
    if training.origin is not None and training.origin.look is not None:
        sentences += why(training.origin.look, off)
    return sentences
