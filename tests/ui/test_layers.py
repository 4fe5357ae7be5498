"""Layers to stacks and back, without a viewer."""

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_hdn.api import ImageStack
from napari_hdn.core.errors import AxesError, ImageError
from napari_hdn.ui.layers import (
    Placement,
    array_of,
    guess_layer_axes,
    output_placement,
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


def test_a_chosen_channel_drops_its_axis_from_the_placement():
    layer = Image(
        np.zeros((4, 3, 40, 50)),
        scale=(1.0, 1.0, 0.2, 0.3),
        translate=(0, 0, 5, 6),
        units=("s", "pixel", "um", "um"),
        axis_labels=("t", "c", "y", "x"),
    )
    stack = ImageStack(layer.data, "TCYX", channel=1)
    assert output_shape(stack) == (4, 40, 50)
    placement = output_placement(Placement.of(layer), stack)
    out = Image(np.zeros((4, 40, 50)), **placement.keywords())
    assert tuple(out.scale) == (1.0, 0.2, 0.3)
    assert tuple(out.translate) == (0, 5, 6)
    assert [str(u) for u in out.units] == ["second", "micrometer", "micrometer"]
    assert out.axis_labels == ("t", "y", "x")


@pytest.mark.parametrize("axes", ["TCYX", "CXTY", "YXCT"])
@pytest.mark.parametrize("channel", [None, 1])
def test_planes_written_back_are_the_image(axes, channel):
    sizes = {"T": 3, "C": 2, "Y": 5, "X": 4}
    array = np.random.default_rng(0).random([sizes[a] for a in axes]).astype(np.float32)
    stack = ImageStack(array, axes, channel=channel)
    out = np.zeros(output_shape(stack), np.float32)
    for index in stack.indices():
        put_plane(out, stack, index, stack.plane(index))
    expected = array if channel is None else np.take(array, channel, axes.index("C"))
    np.testing.assert_array_equal(out, expected)
