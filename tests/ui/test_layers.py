"""Layers to stacks and back, without a viewer."""

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_hdn.api import ImageStack
from napari_hdn.core.errors import AxesError, ImageError
from napari_hdn.ui.camera import camera_kept, camera_of
from napari_hdn.ui.layers import (
    Placement,
    array_of,
    guess_layer_axes,
    layer_axes,
    output_axes,
    output_placement,
    output_selection,
    output_shape,
    put_plane,
    stack_of,
)


def test_axes_come_from_labels_then_from_the_shape():
    assert guess_layer_axes(Image(np.zeros((3, 8, 9)), axis_labels=("z", "y", "x"))) == "ZYX"
    assert guess_layer_axes(Image(np.zeros((3, 8, 9)))) == "TYX"


def test_rgb_and_labels_are_refused_with_what_to_do():
    with pytest.raises(ImageError, match=r"picture is an RGB .*split"):
        stack_of(Image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="picture"))
    with pytest.raises(ImageError, match=r"cells is a labels layer.*image layer"):
        stack_of(Labels(np.zeros((8, 9), int), name="cells"))


def test_wrong_axes_are_refused():
    layer = Image(np.zeros((3, 8, 9)))
    with pytest.raises(AxesError, match="'Q'"):
        stack_of(layer, "QYX")
    with pytest.raises(AxesError, match="3 axes"):
        stack_of(layer, "YX")


def test_multiscale_gives_the_finest_level_and_dask_stays_dask():
    fine = da.zeros((64, 64), chunks=16)
    layer = Image([fine, fine[::2, ::2]], multiscale=True)
    assert array_of(layer) is layer.data[0]
    assert isinstance(stack_of(layer).array, da.Array)
    assert stack_of(layer).plane_shape == (64, 64)


def test_a_piece_lies_where_it_was_cut_out_even_if_rotated_sheared_and_moved():
    layer = Image(
        np.zeros((40, 50)),
        scale=(2.0, 0.5),
        translate=(7.0, -3.0),
        rotate=30,
        shear=[0.2],
        affine=np.array([[1.1, 0.1, 4], [0, 0.9, 5], [0, 0, 1]]),
    )
    placement = Placement.of(layer).moved((10, 20))
    piece = Image(np.zeros((5, 6)), **placement.keywords())
    np.testing.assert_allclose(
        piece.data_to_world((3, 4)), layer.data_to_world((13, 24)), atol=1e-9
    )


@pytest.mark.parametrize("axes", ["TCYX", "ZCYX", "CZYX", "YXC", "CYX"])
def test_a_restored_channel_lies_in_the_world_where_the_channel_does(axes):
    sizes = {"T": 4, "Z": 4, "C": 3, "Y": 40, "X": 50}
    n = len(axes)
    layer = Image(
        np.zeros([sizes[a] for a in axes]),
        rgb=False,
        scale=[0.2 if a in "YX" else 1.5 for a in axes],
        translate=[3.0 * (i + 1) for i in range(n)],
        units=["um" if a in "YX" else "pixel" for a in axes],
        axis_labels=tuple(axes.lower()),
    )
    stack = ImageStack(layer.data, axes, channel=2)
    placement = output_placement(Placement.of(layer), stack)
    out = Image(np.zeros(output_shape(stack)), **placement.keywords())
    assert out.axis_labels == tuple(output_axes(stack).lower())
    for index in [(0,) * len(stack.leading_axes), tuple(k - 1 for k in stack.leading_shape)]:
        there = stack.selection(index, 7, 9)  # of this pixel of the channel
        here = output_selection(stack, index)
        pixel = [
            7 if a == "Y" else 9 if a == "X" else h
            for a, h in zip(output_axes(stack), here, strict=True)
        ]
        world = layer.data_to_world(there)
        # napari aligns the last axes of layers
        np.testing.assert_allclose(out.data_to_world(pixel), world[n - out.ndim :])


def test_only_a_leading_channel_axis_is_dropped():
    array = np.zeros((4, 3, 5, 6))
    assert output_axes(ImageStack(array, "TCYX", channel=1)) == "TCYX"
    assert output_shape(ImageStack(array, "TCYX", channel=1)) == (4, 1, 5, 6)
    assert output_axes(ImageStack(array, "CZYX", channel=1)) == "ZYX"
    assert output_shape(ImageStack(array, "CZYX", channel=1)) == (3, 5, 6)
    assert output_shape(ImageStack(array, "TCYX")) == (4, 3, 5, 6)


@pytest.mark.parametrize("axes", ["TCYX", "CXTY", "YXCT"])
@pytest.mark.parametrize("channel", [None, 1])
def test_planes_written_back_are_the_image(axes, channel):
    sizes = {"T": 3, "C": 2, "Y": 5, "X": 4}
    array = np.random.default_rng(0).random([sizes[a] for a in axes]).astype(np.float32)
    stack = ImageStack(array, axes, channel=channel)
    out = np.zeros(output_shape(stack), np.float32)
    for index in stack.indices():
        put_plane(out, stack, index, stack.plane(index))
    expected = array if channel is None else np.take(array, [channel], axes.index("C"))
    np.testing.assert_array_equal(out, expected.reshape(out.shape))


def test_noted_axes_count_only_where_they_fit():
    noted = {"napari-hdn": {"product": "mean", "axes": "ZYX"}}
    assert layer_axes((3, 8, 9), ("t", "y", "x"), noted) == "ZYX"
    assert layer_axes((8, 9), ("y", "x"), noted) == "YX"  # its projection
    assert layer_axes((3, 8, 9), (), {}, chosen="zyx") == "ZYX"
    assert layer_axes((3, 8, 9), (), {}, chosen="ZY") == "TYX"
    assert layer_axes((3, 8, 9), (), {"napari-hdn": {"axes": 7}}) == "TYX"


def test_the_camera_is_kept_where_a_layer_brings_an_axis():
    viewer = ViewerModel()
    camera = camera_of(viewer)
    with camera_kept(viewer):
        viewer.add_image(np.zeros((60, 80)))
    assert camera.center[-2:] == (29.5, 39.5)  # the first layer is shown whole
    camera.center, camera.zoom = (0, 5, 6), 70.0
    viewer.add_image(np.zeros((2, 60, 80)))
    assert camera.zoom != 70  # as napari does
    camera.center, camera.zoom = (0, 5, 6), 70.0
    with camera_kept(viewer):
        viewer.add_image(np.zeros((3, 2, 60, 80)))
    assert camera.zoom == 70 and camera.center == (0, 5, 6)
    with pytest.raises(TypeError), camera_kept(viewer):
        viewer.add_image(np.zeros((4, 3, 2, 60, 80)))
        raise TypeError
    assert camera.zoom == 70
