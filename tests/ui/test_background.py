"""Shapes become boxes in the pixels of the image, whatever the transforms of both layers."""

import numpy as np
import pytest
from napari.layers import Image, Shapes

from napari_hdn import api
from napari_hdn.core.errors import HDNError
from napari_hdn.ui.background import background_of
from napari_hdn.ui.layers import stack_of


def rectangle(y0, y1, x0, x1):
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], dtype=float)


def boxes(shapes, layer, axes=None):
    return background_of(shapes, layer, stack_of(layer, axes)).boxes


def test_a_rectangle_is_the_pixels_whose_centres_it_holds():
    layer = Image(np.zeros((3, 60, 80)), name="a")
    shapes = Shapes([rectangle(9.5, 19.5, 4.5, 39.5), rectangle(30, 40, 50.2, 60.8)])
    drawn = background_of(shapes, layer, stack_of(layer))
    assert drawn.boxes == ((10, 20, 5, 40), (30, 41, 51, 61))
    assert drawn.words == (
        "2 regions in each of the 3 images, in pixels: y 10–19, x 5–39; y 30–40, x 51–60."
    )


def test_both_layers_have_a_place_of_their_own():
    layer = Image(
        np.zeros((4, 60, 80)), scale=(1, 0.2, 0.5), translate=(0, 3, -2), units=("s", "um", "um")
    )
    # pixels y 10..19, x 5..39 in the world: y 3 + 0.2 * 9.5 ..., in units of 2 from 1
    world = rectangle(3 + 0.2 * 9.5, 3 + 0.2 * 19.5, -2 + 0.5 * 4.5, -2 + 0.5 * 39.5)
    shapes = Shapes(
        [(world - (1, 1)) / 2], scale=(2, 2), translate=(1, 1), units=("um", "um"), name="s"
    )
    assert boxes(shapes, layer) == ((10, 20, 5, 40),)
    in_nm = Shapes([world * 1000], units=("nm", "nm"))
    assert boxes(in_nm, layer) == ((10, 20, 5, 40),)


def test_shapes_of_the_image_s_own_dimensions():
    layer = Image(np.zeros((4, 60, 80)), scale=(1, 2, 2))
    vertices = np.insert(rectangle(9.5, 19.5, 4.5, 39.5), 0, 2, axis=1)  # drawn on frame 2
    assert boxes(Shapes([vertices], scale=(1, 2, 2)), layer) == ((10, 20, 5, 40),)
    plane = Image(np.zeros((60, 80)), scale=(2, 2))
    assert boxes(Shapes([vertices], scale=(1, 2, 2)), plane) == ((10, 20, 5, 40),)


def test_other_orders_of_axes():
    layer = Image(np.zeros((80, 60)))  # X before Y
    assert boxes(Shapes([rectangle(4.5, 39.5, 9.5, 19.5)]), layer, "XY") == ((10, 20, 5, 40),)


def test_a_multiscale_image_is_counted_in_its_finest_pixels():
    layer = Image([np.zeros((60, 80)), np.zeros((30, 40))], multiscale=True)
    assert boxes(Shapes([rectangle(9.5, 19.5, 4.5, 39.5)]), layer) == ((10, 20, 5, 40),)


def test_what_is_no_upright_rectangle_is_taken_by_the_box_around_it():
    layer = Image(np.zeros((60, 80)))
    triangle = np.array([[10, 20], [30, 20], [30, 50]], dtype=float)
    shapes = Shapes([triangle], shape_type="polygon")
    drawn = background_of(shapes, layer, stack_of(layer))
    assert drawn.boxes == ((10, 31, 20, 51),)
    assert drawn.words.startswith("1 region, in pixels") and "boxes around" in drawn.words
    turned = Image(np.zeros((60, 80)), rotate=45)
    upright = Shapes([rectangle(-12, -2, 44, 54)])
    assert "boxes around" in background_of(upright, turned, stack_of(turned)).words
    ellipse = Shapes(rectangle(10, 20, 10, 20), shape_type="ellipse")
    assert boxes(ellipse, layer) == ((10, 21, 10, 21),)


def test_cut_at_the_edge_of_the_image_and_lines_passed_over():
    layer = Image(np.zeros((60, 80)))
    shapes = Shapes([rectangle(-20, 9.5, 70, 200)])
    shapes.add_lines([[0, 0], [50, 50]])
    assert boxes(shapes, layer) == ((0, 10, 70, 80),)


def test_what_cannot_be_used_is_told():
    layer = Image(np.zeros((60, 80)), name="cells")
    with pytest.raises(HDNError, match="no area yet"):
        boxes(Shapes([[[0, 0], [50, 50]]], shape_type="line"), layer)
    outside = Shapes([rectangle(100, 120, 10, 20)], name="drawn")
    with pytest.raises(HDNError, match=r"rectangle of drawn .* cells: it spans y 100 to 120"):
        boxes(outside, layer)


def test_in_the_dock(viewer, calibrate_dock, held_calibration, until_free, errors, noisy, qtbot):
    dock = calibrate_dock
    viewer.add_image(noisy, name="noisy", scale=(1, 0.5, 0.5))
    dock.settings.expand()
    choice = dock.settings.background
    assert choice.count() == 1
    shapes = viewer.add_shapes(name="empty place", ndim=2, scale=(0.5, 0.5))
    choice.setCurrentText("empty place")
    assert "no area yet" in dock.settings.background_hint.text()
    dock.calibrate.click()
    assert "no area yet" in errors[-1]

    shapes.add_rectangles(rectangle(9.5, 49.5, 4.5, 39.5))  # seen as it is drawn
    assert "1 region in each of the 4 images" in dock.settings.background_hint.text()
    assert not dock.settings.background_hint.warns
    dock.calibrate.click()
    until_free()
    assert held_calibration.calls[-1].config.background == ((10, 50, 5, 40),)

    shapes.translate = (5, 5)  # and as it is moved
    assert "y 20–59, x 15–49" in dock.settings.background_hint.text()

    dock.source.images.choose("folder")
    assert "files are chosen" in dock.settings.background_hint.text()
    viewer.layers.remove("empty place")
    assert choice.layer is None
    assert dock.config() == api.CalibrationConfig()
