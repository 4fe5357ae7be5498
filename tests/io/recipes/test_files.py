"""Recipes may come from strangers: whatever they hold, they are read or refused in words."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import RecipeError
from napari_hdn.core.recipes.job_making import job_recipe
from napari_hdn.core.recipes.jobs import JobInput
from napari_hdn.core.recipes.making import RestorationRecipes, to_text
from napari_hdn.core.recipes.schema import Recipe
from napari_hdn.core.segmentation.settings import SegmentationConfig
from napari_hdn.io.recipes import files as recipes
from napari_hdn.io.recipes.files import parse_recipe, read_recipe
from simulated import TINY, run_to_end, simulate


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Of two parts."""
    from napari_hdn.core.config import TrainingConfig

    config = TrainingConfig(
        network=TINY, minutes=0.005, steps=None, patch_px=16, batch_size=2, device="cpu"
    )
    folder = tmp_path_factory.mktemp("recipes") / "m"
    run_to_end([cells()], config, folder=folder)
    end, _ = run_to_end([cells()], config, folder=folder, resume=True)
    return end.model


def cells():
    return ImageStack(simulate((2, 64, 64)), "TYX", "cells")


@pytest.fixture(scope="module")
def text(model):
    """A recipe of a restoration."""
    return to_text(RestorationRecipes(model, RestorationConfig(device="cpu")).of(cells()))


@pytest.fixture(scope="module")
def job_text(model):
    """A recipe of a segmentation."""
    settings = SegmentationConfig(deactivated_levels=(1,), device="cpu")
    inputs = [JobInput("image", cells(), (1,), (0, 8, 0, 9)), JobInput("truth", cells())]
    return to_text(job_recipe("segmentation", settings, inputs, model=model))


def test_what_is_written_is_read(text, tmp_path):
    (tmp_path / "a-recipe.json").write_text(text)
    recipe = read_recipe(tmp_path / "a-recipe.json")
    assert to_text(recipe) == text and len(recipe.training.parts) == 2
    assert recipe == Recipe.model_validate(json.loads(text))
    longest = max(len(line) for line in text.splitlines())
    assert text.count("\n") < 500 and longest < 400  # readable
    (tmp_path / "recipe.json").write_text(text)
    assert read_recipe(tmp_path) == recipe


def test_recipes_of_jobs_are_read(job_text, tmp_path):
    (tmp_path / "a-recipe.json").write_text(job_text)
    recipe = read_recipe(tmp_path / "a-recipe.json")
    assert to_text(recipe) == job_text and recipe.job.one("image").region == (0, 8, 0, 9)
    wrong = job_text.replace('"tolerance_px": 2', '"tolerance_px": 200')
    with pytest.raises(RecipeError, match=r"job\.settings\.segmentation\.tolerance_px: Input"):
        parse_recipe(wrong.encode(), "a.json")


def test_refusals(text, tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="There is no recipe"):
        read_recipe(tmp_path)
    for content, says in (
        (b"{}", "is no recipe of napari-hdn"),
        (b'{"format": "napari-hdn recipe", "schema_version": 7}', "written by a newer napari-hdn"),
        (b'{"format": "napari-hdn recipe", "schema_version": 1}', "damaged \\(kind: Field required"),
        (b"[" * 100_000, "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[]", "not a JSON object"),
        (text[: len(text) // 2].encode(), "damaged"),
        (text.replace('"threads": 1', '"threads": NaN').encode(), "damaged"),
        (text.replace('"kind": "restoration"', '"kind": "training"').encode(), "says what was restored"),
        (text.replace('"threads": 1', '"threads": 1, "run": "rm -rf /"').encode(), "run: Extra inputs"),
    ):  # fmt: skip
        with pytest.raises(RecipeError, match=says):
            parse_recipe(content, "a.json")
    monkeypatch.setattr(recipes, "MOST_BYTES", 1000)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RecipeError, match=r"a.json is larger than .* it is not read"):
        read_recipe(tmp_path / "a.json")


def read_or_said(content):
    try:
        return "", parse_recipe(content, "a.json")
    except RecipeError as error:
        return str(error), None


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_recipe_with_anything_in_any_place_is_read_or_refused(text, job_text, data):
    whole = json.loads(data.draw(st.sampled_from([text, job_text])))
    place = changed = copy.deepcopy(whole)
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner and data.draw(st.booleans())):
            break
        place = inner
    if data.draw(st.booleans()):
        place[key] = data.draw(junk)
    else:
        del place[key]
    said, recipe = read_or_said(json.dumps(changed).encode())
    assert "\n" not in said and len(said) < 1000
    assert recipe is None or parse_recipe(to_text(recipe).encode(), "a.json") == recipe


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content):
    with pytest.raises(RecipeError):
        parse_recipe(content, "a.json")
