"""Pictures of many images side by side."""

import io

import numpy as np
import pytest
from PIL import Image

from napari_hdn.io.pictures import APART_PX, GAP_PX, LEAST_PX, contrast, grey, grid_png


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


def test_images_stand_in_rows_and_groups_in_one_contrast():
    rng = np.random.default_rng(0)
    image, prior = rng.uniform(100, 200, (2, 3, 140, 150)), rng.uniform(50, 150, (2, 2, 140, 150))
    sheet = opened(
        grid_png({"from this image": image, "from the prior": prior}, ["level 2", "level 1"],
                 limits=(100.0, 200.0))
    )  # fmt: skip
    top = sheet.shape[0] - 2 * (140 + GAP_PX)
    right = sheet.shape[1] - 2 * GAP_PX
    for row in (0, 1):
        y = top + row * (140 + GAP_PX)
        for column, images in enumerate([*image[row], *prior[row]][::-1]):
            apart = APART_PX if column >= 2 else 0
            x = right - column * (150 + GAP_PX) - 150 - apart
            np.testing.assert_array_equal(sheet[y : y + 140, x : x + 150], grey(images, 100, 200))
    assert sheet[:top].min() < 50  # the words above
    left = right - 5 * (150 + GAP_PX) - APART_PX
    for row in (0, 1):
        y = top + row * (140 + GAP_PX)
        words = sheet[y : y + 140, :left]
        assert words.min() < 50
        assert np.argwhere(words < 128)[:, 0].mean() == pytest.approx(70, abs=10)


def test_small_images_are_enlarged_by_a_whole_number():
    steps = np.repeat(np.arange(4.0), 8)[None, None, None, :] * np.ones((1, 1, 32, 1))
    sheet = opened(grid_png({"a": steps}, ["level 1"]))
    edge = 2 * GAP_PX  # behind the image, and behind the group
    panel = sheet[-GAP_PX - LEAST_PX : -GAP_PX, -edge - LEAST_PX : -edge]
    assert (panel == np.repeat([0, 85, 170, 255], LEAST_PX // 4)).all()


def test_contrast_leaves_out_what_is_extreme():
    values = np.arange(10_000.0).reshape(100, 100)
    values[0, 0], values[-1, -1] = -1e6, 1e6
    assert contrast([values]) == pytest.approx((20, 9979), abs=1)


def test_grey_values():
    assert grey(np.array([-5.0, 0.0, 50.0, 100.0, 500.0]), 0, 100).tolist() == [0, 0, 128, 255, 255]
    assert grey(np.full((2, 2), 7.0), 7, 7).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"a": np.zeros((2, 3, 32, 32))},
        {"a": np.zeros((1, 3, 32, 32)), "b": np.zeros((1, 3, 32, 30))},
        {"a": np.zeros((1, 0, 0, 0))},
    ],
)
def test_what_does_not_fit_is_refused(groups):
    with pytest.raises(ValueError, match="are no 1 rows"):
        grid_png(groups, ["level 1"])
