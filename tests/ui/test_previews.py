"""The preview layer: one an image, where its piece lies, gone when the user removes it."""

import numpy as np
import pytest

from napari_hdn.ui.layers import Placement, product_of, stack_of
from napari_hdn.ui.outputs import PreviewLayer
from napari_hdn.ui.region import Region

REGION = Region((1,), slice(20, 90), slice(5, 75))


@pytest.fixture
def raw_viewer(viewer):
    return viewer.__wrapped__


@pytest.fixture
def layer(raw_viewer):
    array = np.arange(3 * 200 * 100).reshape(3, 200, 100).astype(np.float32)
    return raw_viewer.add_image(array, name="a", scale=(1, 2, 2))


def previews(viewer):
    return [x for x in viewer.layers if product_of(x) == "preview"]


def show(preview, layer):
    stack = stack_of(layer)
    preview.show(stack, REGION, REGION.read(stack).image)


def job_of(viewer, layer):
    return PreviewLayer(viewer, layer.name, Placement.of(layer), {})


def test_one_preview_layer_lies_where_its_piece_does(raw_viewer, qtbot):
    viewer = raw_viewer
    array = np.arange(3 * 200 * 100).reshape(3, 200, 100).astype(np.float32)
    layer = viewer.add_image(
        array, name="a", scale=(1, 2, 2), translate=(0, 10, 20), contrast_limits=(1, 7)
    )
    before = layer.data.copy()
    preview = PreviewLayer(viewer, "a", Placement.of(layer), {"model": "m"})
    stack = stack_of(layer)
    for region in (
        Region((1,), slice(20, 90), slice(5, 75)),
        Region((2,), slice(100, 164), slice(30, 100)),
    ):
        preview.show(stack, region, region.read(stack).image)
        shown = viewer.layers["a [HDN preview]"]
        t, y, x = region.index[0], region.ys.start, region.xs.start
        world = layer.data_to_world((t, y + 3, x + 4))
        np.testing.assert_allclose(shown.world_to_data(world), (0, 3, 4), atol=1e-9)
        assert shown.data[0, 3, 4] == array[t, y + 3, x + 4]
    assert len(viewer.layers) == 2
    assert tuple(shown.contrast_limits) == (1, 7)
    assert shown.metadata["napari-hdn"] == {
        "model": "m",
        "product": "preview",
        "source": "a",
    }
    assert product_of(shown) == "preview"
    assert viewer.layers.selection.active is layer
    np.testing.assert_array_equal(layer.data, before)


def test_a_name_that_is_taken_makes_no_second_preview(raw_viewer, layer):
    raw_viewer.add_image(np.zeros((4, 4)), name="a [HDN preview]")
    for _ in range(2):
        preview = job_of(raw_viewer, layer)
        show(preview, layer)
        show(preview, layer)
    assert [x.name for x in previews(raw_viewer)] == ["a [HDN preview] [1]"]


def test_a_removed_preview_comes_back_with_the_next_job_only(raw_viewer, layer):
    preview = job_of(raw_viewer, layer)
    show(preview, layer)
    raw_viewer.layers.remove(previews(raw_viewer)[0])
    show(preview, layer)
    assert previews(raw_viewer) == []
    show(job_of(raw_viewer, layer), layer)
    assert len(previews(raw_viewer)) == 1


def test_a_reused_preview_follows_a_new_scale_and_turn(raw_viewer, layer):
    show(job_of(raw_viewer, layer), layer)
    layer.scale = (3.0, 0.5, 0.25)
    layer.rotate = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    layer.affine = np.diag([1, 2.0, 2.0, 1])
    layer.units = ("s", "um", "um")
    show(job_of(raw_viewer, layer), layer)
    (shown,) = previews(raw_viewer)
    assert [str(u) for u in shown.units] == ["second", "micrometer", "micrometer"]
    for pixel in [(0, 0, 0), (0, 30, 60)]:
        there = np.add(pixel, (1, 20, 5))
        np.testing.assert_allclose(shown.data_to_world(pixel), layer.data_to_world(there))


def test_the_preview_follows_the_home_button(
    viewer, train_dock, held_training, until_free, qtbot, noisy
):
    viewer.add_image(noisy, name="noisy")
    camera = viewer.__wrapped__.scene.camera
    qtbot.wait(200)
    camera.center, camera.zoom = (0, 10, 10), 200
    qtbot.wait(100)
    held_training.beats = True
    train_dock.train.click()
    qtbot.waitUntil(lambda: len(held_training.requests) > 0)
    assert held_training.requests[0].image.shape < (96, 80)
    viewer.__wrapped__.window._qt_viewer.viewerButtons.resetViewButton.click()
    qtbot.waitUntil(lambda: held_training.requests[-1].image.shape == (96, 80))
    held_training.go_on.set()
    until_free()
