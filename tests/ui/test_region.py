"""What is in view, in a real canvas."""

import numpy as np
import pytest

from napari_hdn.api import ImageStack
from napari_hdn.ui.layers import stack_of
from napari_hdn.ui.region import PREVIEW_PX, Region, RegionWatch, central_region, region_in_view


@pytest.fixture
def raw_viewer(viewer):
    return viewer.__wrapped__


def look_at(viewer, qtbot, centre, zoom):
    viewer.scene.camera.center = centre
    viewer.scene.camera.zoom = zoom
    qtbot.wait(100)


def test_the_visible_part_is_found_and_limited(raw_viewer, qtbot):
    viewer = raw_viewer
    layer = viewer.add_image(np.zeros((5, 1200, 1000), np.uint16), scale=(1, 0.5, 0.5))
    stack = stack_of(layer)
    qtbot.wait(100)
    viewer.reset_view()
    qtbot.wait(100)
    viewer.dims.set_current_step(0, 3)
    region = region_in_view(viewer, layer, stack)
    assert region.index == (3,)
    assert region.ys == slice(320, 832)  # 512 around the middle of 1200, from a multiple of 32 on
    assert region.xs == slice(224, 736)

    look_at(viewer, qtbot, (0, 100.0, 50.0), zoom=viewer.scene.camera.zoom * 20)
    region = region_in_view(viewer, layer, stack)
    middle = (region.ys.start + region.ys.stop) / 2, (region.xs.start + region.xs.stop) / 2
    np.testing.assert_allclose(middle, (200, 100), atol=18)  # 100 um at 0.5 um a pixel
    assert region.ys.start % 32 == region.xs.start % 32 == 0
    assert region.ys.stop - region.ys.start < PREVIEW_PX


def test_a_small_image_is_seen_whole_and_outside_means_its_edge(raw_viewer, qtbot):
    viewer = raw_viewer
    layer = viewer.add_image(np.zeros((96, 80), np.uint16))
    stack = stack_of(layer)
    qtbot.wait(100)
    assert region_in_view(viewer, layer, stack) == Region((), slice(0, 96), slice(0, 80))
    look_at(viewer, qtbot, (5000, 5000), zoom=50)
    region = region_in_view(viewer, layer, stack)
    assert 0 <= region.ys.start < region.ys.stop <= 96
    assert 0 <= region.xs.start < region.xs.stop <= 80


def test_other_axis_orders_3d_views_and_hidden_axes(raw_viewer, qtbot):
    viewer = raw_viewer
    array = np.arange(6 * 70 * 90).reshape(70, 90, 6).astype(np.float32)
    layer = viewer.add_image(array, name="yxz")
    stack = ImageStack(array, "YXZ")
    qtbot.wait(100)
    region = region_in_view(viewer, layer, stack)  # X and Z are on the screen
    piece = region.read(stack).image
    (z,) = region.index
    np.testing.assert_array_equal(piece, array[region.ys, region.xs, z])
    viewer.dims.ndisplay = 3
    qtbot.wait(100)
    region = region_in_view(viewer, layer, stack)
    assert region.read(stack).image.shape == (70, 90)


def test_the_watch_follows_slider_and_camera_until_closed(raw_viewer, qtbot):
    viewer = raw_viewer
    array = np.arange(3 * 80 * 80).reshape(3, 80, 80).astype(np.uint16)
    layer = viewer.add_image(array)
    watch = RegionWatch(viewer, layer, stack_of(layer))
    viewer.dims.set_current_step(0, 2)
    assert watch.region.index == (2,)
    np.testing.assert_array_equal(watch.request().image, array[2])
    look_at(viewer, qtbot, (0, 40, 40), zoom=60)
    viewer.dims.order = (1, 0, 2)  # rolled: Y is a slider now
    assert watch.region == region_in_view(viewer, layer, watch.stack)
    assert watch.region.ys == slice(0, 80)
    viewer.dims.order = (0, 1, 2)
    look_at(viewer, qtbot, (0, 40, 40), zoom=60)
    watch.look()
    assert watch.region.ys != slice(0, 80)
    viewer.dims.ndisplay = 3
    assert watch.region.ys == slice(0, 80)
    viewer.dims.ndisplay = 2
    watch.close()
    viewer.dims.set_current_step(0, 1)
    assert watch.region.index == (2,)


def test_images_that_nobody_sees_are_previewed_in_their_middle():
    stack = ImageStack(np.zeros((2, 2000, 300)), "TYX")
    region = central_region(stack)
    assert region == Region((0,), slice(736, 1248), slice(0, 300))
