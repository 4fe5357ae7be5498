"""What a restoration did, in sentences for a methods section."""

from __future__ import annotations

from collections.abc import Sequence

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.recipes.schema import RestorationRecord, TrainingRecord
from napari_hdn.core.recipes.words import levels, listed, many

_PAIRS = {False: 2, True: 4}  # of the mean beside other outputs, without and with flips


def restoration_sentences(restoration: RestorationRecord, training: TrainingRecord) -> list[str]:
    """Which image, how samples were drawn and what was made of them, which levels were off."""
    config, trained = restoration.config, training.config.network
    image = restoration.image
    planes = (
        f"{restoration.planes_done} of {many(restoration.planes, 'plane')} of "
        if (restoration.planes_done < restoration.planes and restoration.tiles is not None)
        else ""
    )
    sentences = [f"{planes}{image.name} ({image.in_words()}) was restored with this network."]
    if restoration.direct is not None:
        direct = restoration.direct
        sentences.append(
            "It was restored in a single pass by a small network that had learned the "
            f"{direct.learned} of HDN's posterior samples ({many(direct.steps, 'step')} of "
            "distillation), not by sampling; it gives no uncertainty."
        )
    else:
        sentences += _sampling(config)
    extra = tuple(k for k in restoration.levels_off if k not in trained.deactivated_levels)
    if extra:
        sentences.append(
            f"To remove structured noise, {levels(extra)} of {trained.levels} (1 is the finest) "
            f"{'was' if len(extra) == 1 else 'were'} switched off in restoring, without training again: "
            "their latent variables took the means of their priors given the levels above."
        )
        if restoration.look is not None:
            sentences += why(restoration.look, restoration.levels_off)
    if restoration.integers:
        sentences.append(f"Restored counts were rounded and stored as {image.dtype}.")
    return sentences


def _sampling(config: RestorationConfig) -> list[str]:
    n, made = config.samples, set(config.outputs)
    sentences = []
    flips = " and over the image and its mirror images (four orientations)" if config.flips else ""
    if not config.independent:
        if n == 1:
            over = ", the mean over the image and its mirror images" if config.flips else ""
            sentences.append(
                "The restored image is decoded from the means of all latent variables, one pass of the "
                f"network without random numbers{over}."
            )
        elif n == 2:
            sentences.append(
                "The restored image is the mean (MMSE estimate) over one antithetic pair of posterior "
                f"samples, drawn with random numbers of opposite sign{flips} (seed {config.seed})."
            )
        else:
            sentences.append(
                f"The restored image is the mean (MMSE estimate) over {n} posterior samples, drawn in "
                f"antithetic pairs with random numbers of opposite sign{flips} (seed {config.seed})."
            )
        return sentences
    sentences.append(
        f"{n} independent samples were drawn from the posterior (seed {config.seed})"
        + (", going round the image and its mirror images." if config.flips else ".")
    )
    if made & {"mean", "cv"}:
        pairs = min(_PAIRS[config.flips], n)
        sentences.append(
            f"The mean (MMSE estimate) was taken over {many(pairs, 'antithetic pair')}: the first "
            f"{'sample' if pairs == 1 else f'{pairs} samples'} and partners drawn with random "
            "numbers of "
            "opposite sign."
        )
    rest = {
        "median": "the median of each pixel",
        "map": "the most plausible image (MAP) by mean shift over the samples",
        "std": "the standard deviation of each pixel as a measure of uncertainty",
        "cv": "the standard deviation over the mean",
        "quantiles": "the " + listed([f"{100 * q:g} %" for q in config.quantiles]) + " quantiles",
        "samples": "single samples",
        "difference": "the difference of samples {} and {}".format(*config.difference),
    }
    chosen = [rest[output] for output in config.outputs if output in rest]
    if chosen:
        sentences.append(f"From the independent samples were computed {listed(chosen)}.")
    return sentences


def why(look: LevelLook, off: Sequence[int]) -> list[str]:
    """What a look at the levels had said, whether or not it was followed."""
    scores = [
        f"level {s.level}: S1 {s.s1:.2f}" + ("" if s.s2 is None else f", S2 {s.s2:.2f}")
        for s in look.levels
        if s.s1 is not None and s.verdict not in ("off", "empty")
    ]
    inspection = f"an inspection of the levels on {look.image} had advised to switch"
    if not look.advised_off:
        told = f"This was chosen by eye; {inspection} nothing off"
    elif set(look.advised_off) <= set(off):
        told = f"{inspection[:1].upper()}{inspection[1:]} {levels(look.advised_off)} off"
    else:
        told = f"This was chosen by eye; {inspection} {levels(look.advised_off)} off"
    if scores:
        told += (
            f" ({'; '.join(scores)}; S1 is what a level adds to the background against the "
            "foreground, S2 "
            "its likeness to the noise of the raw background)"
        )
    return [f"{told}."]
