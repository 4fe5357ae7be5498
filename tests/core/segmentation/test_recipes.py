"""The recipes on images whose objects are known."""

import numpy as np
import pytest
from scipy import ndimage

from cells import blobs, membranes
from napari_hdn.core.segmentation.recipes import (
    RADIUS_PX,
    RECIPES,
    bright,
    local_mean,
    without_small,
)
from napari_hdn.core.segmentation.recipes import membranes as by_membranes
from napari_hdn.core.segmentation.scores import score


def test_the_papers_radius():
    assert RADIUS_PX == 15


def test_local_mean_is_that_of_a_disk():
    image = np.random.default_rng(0).normal(50, 9, (30, 41))
    r = 6
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    disk = (y**2 + x**2 <= r**2).astype(float)
    expected = ndimage.correlate(image, disk / disk.sum(), mode="reflect")
    np.testing.assert_allclose(local_mean(image, r), expected, rtol=1e-10)


def test_local_mean_where_the_disk_is_larger_than_the_image():
    image = np.random.default_rng(0).normal(50, 9, (9, 12))
    y, x = np.mgrid[-15:16, -15:16]
    disk = (y**2 + x**2 <= 225).astype(float)
    expected = ndimage.correlate(image, disk / disk.sum(), mode="reflect")
    np.testing.assert_allclose(local_mean(image, 15), expected, rtol=1e-10)


def test_whole_membranes_give_all_cells():
    truth, samples = membranes(1, samples=1, gaps=0.0)
    got = score(without_small(by_membranes(samples[0]), 20), truth)
    assert got.ap50 > 0.85


def test_the_membrane_itself_is_no_cell():
    image = np.zeros((60, 60))
    image[28:33] = 50.0  # 5 px wide; its skeleton lies in the middle
    labels = by_membranes(image)
    np.testing.assert_array_equal(np.flatnonzero(labels[:, 30] == 0), [30])
    assert labels[10, 30] != labels[50, 30]


def test_bright_objects_that_touch_are_split():
    truth, samples = blobs(0, samples=1, noise=0.0)
    got = score(bright(samples[0]), truth)
    assert got.objects == got.truth_objects == 22
    assert got.ap50 == 1


def test_holes_are_filled():
    y, x = np.mgrid[:60, :60]
    r = np.hypot(y - 30, x - 30)
    labels = bright(np.where((r < 14) & (r > 6), 100.0, 10.0))
    assert labels[30, 30] == labels[30, 40] > 0


@pytest.mark.parametrize("recipe", RECIPES.values())
@pytest.mark.parametrize("value", [0.0, 100.1])
def test_an_image_of_one_value_has_no_objects(recipe, value):
    labels = recipe(np.full((50, 40), value, np.float32))
    assert labels.shape == (50, 40)
    assert not labels.any()


def test_flat_parts_are_no_foreground():
    image = np.full((80, 80), 100.1)
    image[60:, 60:] = 900.3
    assert not by_membranes(image)[60:, 60:].all()
    assert (by_membranes(image)[:40, :40] == 1).all()


def test_without_small():
    labels = np.zeros((6, 6), np.int32)
    labels[0, :2], labels[2, :3], labels[4, :] = 9, 4, 7
    kept = without_small(labels, 3)
    np.testing.assert_array_equal(np.unique(kept), [0, 1, 2])
    np.testing.assert_array_equal(kept[2, :3], 1)  # in the order of their numbers
    np.testing.assert_array_equal(kept[4], 2)
    assert kept.dtype == np.int32 and not kept[0].any()
