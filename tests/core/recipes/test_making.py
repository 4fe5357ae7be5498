"""The text of a recipe, of which a batch writes thousands."""

import json

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.recipes.environment import environment
from napari_hdn.core.recipes.images import identify
from napari_hdn.core.recipes.making import RestorationRecipes, placed, recipe_of_model, to_text
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.recipes.schema import Recipe


def test_the_text_is_that_of_the_whole_recipe_wherever_it_goes(tiny_model, stack, tmp_path):
    image = identify(stack).model_copy(update={"path": str(tmp_path / "raw" / "a.tif")})
    part = TrainingPart(
        first_step=0, last_step=6, minutes=1, steps=None, origin_step=0, ended="complete",
        seconds=1, environment=environment("CPU", "float32"), images=(image,),
        schedule=((0, 0.0, 0.5), (1, 0.5, 0.5)),
    )  # fmt: skip
    tiny_model.summary = tiny_model.summary.model_copy(update={"parts": (part,)})
    recipes = [
        RestorationRecipes(tiny_model, RestorationConfig(samples=n, device="cpu")).of(stack)
        for n in (2, 3)
    ]
    folders = (tmp_path / "raw", tmp_path / "elsewhere" / "deep", None, tmp_path / "raw")
    for recipe in (*recipes, recipe_of_model(tiny_model), recipes[0]):
        for folder in folders:
            text = to_text(recipe, folder)
            wanted = recipe if folder is None else placed(recipe, folder)
            assert json.dumps(json.loads(text)) == json.dumps(wanted.model_dump(mode="json"))
            assert Recipe.model_validate_json(text) == wanted
            assert "[ 0, 0.0, 0.5 ]," in text  # a knot a line
            assert max(map(len, text.splitlines())) < 500
