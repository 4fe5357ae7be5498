"""The paragraph says what is true of this model and this restoration, and nothing else."""

import numpy as np
import pytest

from napari_hdn.core.config import NetworkConfig, RestorationConfig
from napari_hdn.core.events import RestorationFinished
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.gmm import GaussianMixture
from napari_hdn.core.recipes.looks import LevelLook, LevelRecord
from napari_hdn.core.recipes.making import RestorationRecipes, finished, recipe_of_model
from napari_hdn.core.recipes.methods import bibtex, methods_text
from napari_hdn.core.recipes.tiles import Tiles
from simulated import run_to_end


def restored(model, stack, **choices):
    recipe = RestorationRecipes(model, RestorationConfig(device="cpu", **choices)).of(stack)
    over = RestorationFinished(len(stack), len(stack), False, tiles=Tiles(side_px=None))
    return methods_text(finished(recipe, over)).split("\n\n")[1]


def test_a_trained_model_with_its_numbers(stack, tiny_config, tmp_path):
    end, _ = run_to_end([stack], tiny_config, folder=tmp_path / "m")
    text = methods_text(recipe_of_model(end.model))
    parameters = sum(p.numel() for p in end.model.network.parameters())
    for told in (
        "Hierarchical DivNoising (HDN; Prakash et al., 2022)",
        "2 levels of latent variables with 4 channels each, 8 feature channels",
        f"({parameters:,} trained parameters)",
        "trained on 4 image planes of 64 x 64 pixels (height x width) from cells, of which 1 "
        "plane was held",
        "variance is a linear function of the signal (Poisson-Gaussian): variance = 2.02 s - 194 counts",
        "estimated from the training images themselves",
        "free bits of 0.0625 nat for each level and patch",
        "was minimised for 6 steps",
        "Adamax and batches of 2 random patches of 16 x 16 pixels with random flips: "
        "learning rate up to "
        "0.003, linear warm-up of 2 steps",
        "random seed 4",
        "10.5281/zenodo.3555620",
    ):
        assert told in text, told
    for untrue in ("Krull", "GMM", "switched off", "half the image's size", "no dropout", "parts)"):
        assert untrue not in text, untrue


def test_gaussian_mixtures_cite_where_they_come_from(tiny_model):
    tiny_model.noise_model = GaussianMixture(np.ones((9, 3)), 100.0, 400.0, 1.0)
    text = methods_text(recipe_of_model(tiny_model))
    assert "GMM; Krull et al., 2020; Prakash et al., 2020" in text
    assert "10.3389/fcomp.2020.00005" in text and "Poisson" not in text
    entries = bibtex(recipe_of_model(tiny_model))
    assert entries.count("@") == 5 and "krull2020pn2v" in entries
    assert entries.count("{") == entries.count("}")
    tiny_model.noise_model = Gaussian(5.0)
    text = methods_text(recipe_of_model(tiny_model))
    assert "same strength everywhere: sigma 5 counts" in text and "Krull" not in text


def test_networks_are_told_by_what_differs_from_the_published_one(tiny_model, tiny_config):
    config = NetworkConfig(levels=2, channels=8, latent_channels=4, trunk="half", dropout=0)
    tiny_model.config = tiny_config.model_copy(update={"network": config})
    tiny_model.network = Ladder(config)
    text = methods_text(recipe_of_model(tiny_model))
    assert "computes at half the image's size" in text and "has no dropout" in text
    assert "in units of their noise" in text and "SiLU, not ELU" in text


@pytest.mark.parametrize(
    ("choices", "says", "says_not"),
    [
        ({}, "mean (MMSE estimate) over one antithetic pair", "independent"),
        ({"samples": 1}, "decoded from the means of all latent variables", "samples"),
        ({"samples": 8}, "over 8 posterior samples, drawn in antithetic pairs", "mirror"),
        ({"samples": 4, "flips": True}, "and over the image and its mirror images", "independent"),
        (
            {"samples": 16, "outputs": ("mean", "std"), "seed": 7},
            "16 independent samples were drawn from the posterior (seed 7). The mean (MMSE "
            "estimate) was "
            "taken over 2 antithetic pairs",
            "median",
        ),
        (
            {"samples": 16, "outputs": ("median", "quantiles")},
            "the median of each pixel and the 5 % and 95 % quantiles",
            "MMSE",
        ),
    ],
)  # fmt: skip
def test_sampling_is_told_as_it_is_done(tiny_model, stack, choices, says, says_not):
    text = restored(tiny_model, stack, **choices)
    assert says in text and says_not not in text
    assert "cells (TYX 4 x 64 x 64 float32) was restored" in text and "switched off" not in text


def look(off=(1,)):
    levels = [
        LevelRecord(level=1, share=0.5, kl=0.1, s1=1.04, s2=0.9, s3=12.0, verdict="artefact"),
        LevelRecord(level=2, share=0.5, kl=0.1, s1=0.1, s2=None, s3=0.0, verdict="structure"),
    ]
    return LevelLook(
        image="raw.tif", shape=(64, 64), looked="now", weights_sha256="0" * 64, advised_off=off,
        confidence="high", in_words="", reasons=(), levels=tuple(levels),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("off", "says"),
    [
        ((1,), "had advised to switch level 1 off (level 1: S1 1.04, S2 0.90; level 2: S1 0.10; "),
        ((), "chosen by eye; an inspection of the levels on raw.tif had advised to switch nothing off"),
    ],
)  # fmt: skip
def test_levels_that_are_off_and_why(tiny_model, stack, off, says):
    tiny_model.look = look(off)
    config = RestorationConfig(device="cpu", deactivated_levels=(1,))
    recipe = RestorationRecipes(tiny_model, config).of(stack)
    assert recipe.restoration.look is None  # of other weights
    tiny_model.look = look(off).model_copy(update={"weights_sha256": recipe.model.sha256})
    text = restored(tiny_model, stack, deactivated_levels=(1,))
    assert (
        "level 1 of 2 (1 is the finest) was switched off in restoring, without training again"
        in text
    )
    assert says in text
