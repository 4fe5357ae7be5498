"""Functions that a user gives, and what they do wrong."""

import numpy as np
import pytest

from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.segmentation.functions import find_recipe
from napari_hdn.core.segmentation.segment import segment
from napari_hdn.core.segmentation.settings import SegmentationConfig

IMAGE = np.arange(30, dtype=np.float32).reshape(5, 6)


@pytest.fixture
def own(tmp_path):
    """Write a file of the user's with a function; return how to name it."""

    def write(body, name="mine", arguments="image"):
        path = tmp_path / "my seg.py"
        path.write_text(f"import numpy as np\n\ndef {name}({arguments}):\n    {body}\n")
        return f"{path}:{name}"

    return write


def test_from_a_file(own):
    recipe = find_recipe(own("return (image > 10) * 4"))
    assert recipe.name == "my seg.py:mine"
    np.testing.assert_array_equal(recipe.segment(IMAGE), (IMAGE > 10) * 4)


def test_a_file_is_read_anew(own):
    assert find_recipe(own("return np.zeros(image.shape, int)")).segment(IMAGE).max() == 0
    assert find_recipe(own("return np.full(image.shape, 2)")).segment(IMAGE).max() == 2


def test_from_a_package():
    labels = find_recipe("numpy:sign").segment(IMAGE)  # a compiled function
    np.testing.assert_array_equal(labels, IMAGE > 0)


def test_given_itself():
    recipe = find_recipe(lambda image: image > 28)
    np.testing.assert_array_equal(recipe.segment(IMAGE), IMAGE > 28)


def test_a_mask_has_its_pieces_numbered(own):
    labels = find_recipe(own("return (image < 1) | (image > 28)")).segment(IMAGE)
    assert labels[0, 0] == 1 and labels[-1, -1] == 2


def test_the_samples_are_the_functions_to_read_only(own):
    samples = np.stack([IMAGE, IMAGE + 1])
    before = samples.copy()
    config = SegmentationConfig(recipe=own("image[:] = 0; return image.astype(int)"))
    list(segment([samples], config))
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return image[1:].astype(int)", "returned 4 x 6 for an image of 5 x 6 pixels"),
        ("return image + 0.5", "30 of 30 pixels are not whole numbers, such as 0.5"),
        ("return -image", "it holds -29"),
        ("return None", "returned NoneType"),
        ("return image.astype(str)", "holds str"),
        ("raise KeyError('cells')", r"failed: KeyError: 'cells' \(my seg.py, line 4\)"),
        ("return np.where(image > 3, np.nan, 1)", "not whole numbers, such as nan"),
    ],
)
def test_what_it_returns_is_checked(own, body, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        find_recipe(own(body)).segment(IMAGE)
    assert "(Y, X) float32 array of counts" in str(caught.value)  # what it should be


def test_mistakes_in_the_name_and_the_file(own, tmp_path):
    for text, says in (
        (lambda: "cellpose", "no recipe 'cellpose': choose membranes, bright"),
        (lambda: str(tmp_path / "none.py:f"), "no file .*none.py"),
        (lambda: own("return 0").replace(":mine", ":yours"), "has no yours; it has mine"),
        (lambda: own("return 0", arguments="image, size"), "with one image alone .*'size'"),
        (lambda: own("return 0", arguments=""), "with one image alone"),
        (lambda: own("return (", name="f"), r"cannot be loaded: SyntaxError: .*line 4\)\.$"),
        (lambda: "no_such_package.x:f", "cannot be imported"),
        (lambda: "numpy:pi", "is a float, not a function"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            find_recipe(text())
