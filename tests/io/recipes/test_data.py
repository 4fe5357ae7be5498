"""The images and models of a recipe are the recorded ones, or it is told."""

import numpy as np
import pytest
import tifffile

from napari_hdn.core.errors import RecipeError
from napari_hdn.core.identity import fingerprint
from napari_hdn.core.recipes.images import identify
from napari_hdn.io.images import open_images
from napari_hdn.io.recipes.data import find_image, find_model
from sharing import tiny_model

ODD = {"long": "é" * 300, "longer": "x" * 5000, "nul": "\0", "deep": "a/" * 3000}


@pytest.fixture
def image(tmp_path):
    counts = np.random.default_rng(0).poisson(30, (2, 16, 20)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", counts, photometric="minisblack")
    return tmp_path / "a.tif"


def recorded(path):
    (stack,) = open_images([path])
    return identify(stack)


def test_an_image_is_found_where_it_was_or_by_name_or_by_its_pixels(image, tmp_path):
    record = recorded(image)
    assert find_image(record, tmp_path).path == image
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("a.tif", "b.tif"):
        image = image.rename(moved / name)
        with pytest.raises(RecipeError, match="any more"):
            find_image(record, tmp_path)
        assert find_image(record, tmp_path, moved).path == image
    tifffile.imwrite(moved / "a.tif", np.ones((2, 16, 20), np.uint16), photometric="minisblack")
    assert find_image(record, tmp_path, moved).path == image
    image.unlink()
    with pytest.raises(RecipeError, match=r"is not the image .* its pixels differ"):
        find_image(record, tmp_path, moved)


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_places_that_cannot_be(image, tmp_path, name):
    record = recorded(image).model_copy(update={"path": name})
    with pytest.raises(RecipeError, match="any more"):
        find_image(record, tmp_path)
    model = tiny_model()
    with pytest.raises(RecipeError, match="was not found"):
        find_model(sha256=fingerprint(model), family="f", name="ours", places=[tmp_path / name])
    model.save(tmp_path / "kept")
    places = [tmp_path / name, tmp_path / "kept"]
    found = find_model(sha256=fingerprint(model), family="f", name="ours", places=places)
    assert found.folder == tmp_path / "kept"
