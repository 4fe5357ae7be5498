"""Recipes of jobs: what they may hold, and what a methods section says of them."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import GenerationConfig
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.recipes.job_making import job_recipe
from napari_hdn.core.recipes.jobs import (
    EvaluationSettings,
    JobInput,
    JobRecipe,
    LevelsSettings,
    TrustSettings,
)
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.recipes.making import to_text
from napari_hdn.core.recipes.methods import bibtex, methods_text
from napari_hdn.core.recipes.parts import Taught
from napari_hdn.core.segmentation.settings import SegmentationConfig


def stack(name, axes="TYX", shape=(3, 40, 32)):
    return ImageStack(np.arange(np.prod(shape), dtype=np.uint16).reshape(shape), axes, name)


IMAGE = JobInput("image", stack("a.tif"), (2,), (0, 32, 8, 32))
CASES = {
    "segmentation": (
        SegmentationConfig(samples=7, deactivated_levels=(1,), seed=3, device="cpu"),
        [IMAGE, JobInput("truth", stack("labels.tif"))],
        (
            "7 posterior samples of a.tif (TYX 3 x 40 x 32 uint16; plane T 2, counted from 0; y 0 to "
            "32, x 8 to 32) were drawn (seed 3) and segmented one by one, by local threshold",
            "objects of fewer than 20 pixels were left out",
            "(1 is the finest) was switched off.",
            "compared with the labels in labels.tif",
        ),
    ),
    "trust": (
        TrustSettings(judged_samples=5, device="cpu"),
        [IMAGE, JobInput("repeats", stack("repeats.tif"))],
        ("can be trusted was judged from 5 posterior samples", "repeated frames (repeats.tif)"),
    ),
    "levels": (
        LevelsSettings(samples=2, device="cpu"),
        [IMAGE],
        ("What each latent level contributes to a.tif", "2 images were drawn at each level"),
    ),
    "generation": (
        GenerationConfig(number=1, height=8, width=9, camera_noise=True, device="cpu"),
        [],
        (
            "1 image of 8 x 9 pixels (height x width) was generated",
            "with noise simulated by the noise model",
            "nothing real",
        ),
    ),
    "evaluation": (
        EvaluationSettings(range_counts=100),
        [IMAGE, JobInput("second frame", stack("b.tif"))],
        ("was not restored (b.tif) and the noise model; the range of PSNR was 100 counts",),
    ),
    "distillation": (
        DirectConfig(steps=20, minutes=None, device="cpu"),
        [IMAGE, JobInput("image", stack("c.tif"))],
        ("taught the mean of 2 posterior samples of the model for 20 steps, on a.tif and c.tif",),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_what_was_done_is_told_with_its_numbers(kind, tiny_model, tmp_path):
    settings, images, says = CASES[kind]
    recipe = job_recipe(kind, settings, images, model=tiny_model)
    text = to_text(recipe, tmp_path)
    assert JobRecipe.model_validate_json(text) == JobRecipe.model_validate(json.loads(text))
    assert recipe.job.settings == settings and recipe.training.steps == tiny_model.summary.steps
    assert [i.image.name for i in recipe.job.images] == [i.stack.name for i in images]
    trained, done, *_ = methods_text(recipe).split("\n\n")
    assert f"was minimised for {tiny_model.summary.steps} step" in trained
    for words in says:
        assert words in done
    assert "Sønderby" in methods_text(recipe) and "prakash2022hdn" in bibtex(recipe)
    stopped = job_recipe(kind, settings, images, model=tiny_model, complete=False)
    assert "did not come to its end" in methods_text(stopped)


def test_minutes_of_a_direct_network_are_told_with_their_steps(tiny_model):
    _, images, _ = CASES["distillation"]
    recipe = job_recipe("distillation", DirectConfig(device="cpu"), images, model=tiny_model)
    assert "of the model for 3 minutes, on a.tif" in methods_text(recipe)
    taught = Taught(pieces=5, steps=4321, schedule=())
    job = recipe.job.model_copy(update={"taught": taught})
    told = methods_text(recipe.model_copy(update={"job": job}))
    assert "of the model for 3 minutes (4,321 steps), on a.tif" in told


def test_without_a_model():
    samples = JobInput("samples", stack("s.tif", "SYX"))
    recipe = job_recipe("segmentation", SegmentationConfig(recipe="a.py:f"), [samples])
    told = methods_text(recipe)
    assert told.startswith("3 posterior samples in s.tif (SYX 3 x 40 x 32 uint16) were segmented")
    assert "by a function of the authors' own (a.py:f)" in told and "This was done with" in told
    images = [JobInput("image", stack("a.tif")), JobInput("truth", stack("t.tif"))]
    told = methods_text(job_recipe("evaluation", EvaluationSettings(), images))
    assert "a.tif was compared with t.tif as truth, plane by plane" in told
    assert "range max - min of the truth" in told


def test_the_scores_that_led_there_are_in_the_recipe(tiny_model):
    settings, images, _ = CASES["segmentation"]
    recipe = job_recipe("segmentation", settings, images, model=tiny_model)
    look = LevelLook(
        image="a.tif", shape=(9, 9), looked="2026", weights_sha256=recipe.model.sha256,
        advised_off=(1,), confidence="high", in_words="Off: 1.", reasons=(), levels=(),
    )  # fmt: skip
    assert recipe.job.look is None
    tiny_model.look = look
    recipe = job_recipe("segmentation", settings, images, model=tiny_model)
    assert recipe.job.look == look and "had advised to switch level 1 off" in methods_text(recipe)
    other = look.model_copy(update={"weights_sha256": "0" * 64})
    tiny_model.look = other  # of other weights
    assert job_recipe("segmentation", settings, images, model=tiny_model).job.look is None


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("trust", {"kind": "levels"}, "not the settings of a job of the kind levels"),
        ("levels", {"model": None}, "and of the training of that"),
        ("levels", {"model": None, "training": None}, "a model took part in this"),
        ("segmentation", {"model": None, "training": None}, "samples or a truth did"),
        ("levels", {"job.images": []}, "the image is missing"),
        ("levels", {"job.images.0.role": "truth"}, "levels has no truth"),
        ("levels", {"job.images.0.region": [0, -1, 0, 4]}, "greater than or equal to 0"),
        ("generation", {"job.settings.extra": 1}, "Extra inputs"),
        (
            "levels",
            {"job.taught": {"pieces": 1, "steps": 1, "schedule": []}},
            "no job of the kind levels teaches a network",
        ),
        ("generation", {"job.settings": {}}, "Unable to extract tag"),
        ("trust", {"run": "rm"}, "Extra inputs"),
    ],
)
def test_what_does_not_belong_together_is_refused(kind, change, says, tiny_model):
    settings, images, _ = CASES[kind]
    whole = json.loads(to_text(job_recipe(kind, settings, images, model=tiny_model)))
    for place, value in change.items():
        *path, last = place.split(".")
        at = whole
        for key in path:
            at = at[int(key) if isinstance(at, list) else key]
        at[last] = value
    with pytest.raises(ValidationError, match=says):
        JobRecipe.model_validate_json(json.dumps(whole))
