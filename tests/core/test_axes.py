import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack, check_axes, guess_axes
from napari_hdn.core.errors import AxesError, ImageError


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ("TQX", (2, 3, 4), "contain 'Q'"),
        ("TTX", (2, 3, 4), "name T twice"),
        ("TZX", (2, 3, 4), "lack Y or X"),
        ("TYX", (3, 4), r"3 letters, but the image has 2 axes \(3 x 4\)"),
        ("", (3, 4), "lack Y or X"),
    ],
)
def test_wrong_axes_say_why(axes, shape, message):
    with pytest.raises(AxesError, match=message):
        check_axes(axes, shape)


def test_axes_are_read_generously():
    assert check_axes(" tyx ", (2, 3, 4)) == "TYX"


@pytest.mark.parametrize(
    ("shape", "labels", "axes"),
    [
        ((64, 64), None, "YX"),
        ((9, 64, 64), None, "TYX"),
        ((9, 5, 64, 64), None, "TZYX"),
        ((9, 3, 64, 64), None, "TCYX"),
        ((2, 9, 3, 64, 64), None, "TCZYX"),
        ((9, 64, 64), ("z", "y", "x"), "ZYX"),
        ((9, 64, 64), ("time", "y", "x"), "TYX"),
        ((9, 64, 64), ("axis -3", "axis -2", "axis -1"), "TYX"),
        ((64, 64, 3), ("y", "x", "channel"), "YXC"),
        ((9, 3, 64, 64), ("P", "Channels", "Y", "X"), "SCYX"),  # positions, as ND2 has them
        ((9, 3, 64, 64), ("angle", "phase", "y", "x"), "STYX"),
        ((9, 64, 64), ("frames", "y", "x"), "TYX"),
        ((9, 64, 64), ("y", "y", "x"), "TYX"),
    ],
)
def test_guess(shape, labels, axes):
    assert guess_axes(shape, labels) == axes


def test_too_many_or_too_few_axes():
    with pytest.raises(AxesError, match="with 1 axes"):
        guess_axes((5,))


@pytest.mark.parametrize("axes", ["TCYX", "YXTC", "XCYT", "CTXY"])
def test_planes_are_yx_whatever_the_order(axes):
    sizes = {"T": 3, "C": 2, "Y": 5, "X": 7}
    reference = np.random.default_rng(0).integers(0, 999, (3, 2, 5, 7))  # TCYX
    array = reference.transpose(["TCYX".index(a) for a in axes])
    stack = ImageStack(array, axes)
    assert array.shape == tuple(sizes[a] for a in axes)
    assert stack.plane_shape == (5, 7) and len(stack) == 6
    for index in stack.indices():
        at = dict(zip(stack.leading_axes, index, strict=True))
        np.testing.assert_array_equal(stack.plane(index), reference[at["T"], at["C"]])
        piece = stack.crop(index, slice(1, 4), slice(2, 6))
        np.testing.assert_array_equal(piece, reference[at["T"], at["C"], 1:4, 2:6])


def test_one_channel_of_several():
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    stack = ImageStack(array, "TCYX", channel=1)
    assert stack.leading_axes == "T" and len(stack) == 2
    np.testing.assert_array_equal(stack.plane((1,)), array[1, 1])
    with pytest.raises(AxesError, match=r"has 3 channel\(s\), so channel 3"):
        ImageStack(array, "TCYX", channel=3)


def test_only_what_is_asked_for_is_read():
    class Lazy:
        shape, dtype, read = (4, 64, 64), np.dtype("uint16"), 0

        def __getitem__(self, key):
            piece = np.zeros(self.shape, self.dtype)[key]
            Lazy.read += piece.size
            return piece

    stack = ImageStack(Lazy(), "TYX")
    stack.crop((2,), slice(0, 8), slice(8, 16))
    assert Lazy.read == 64


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4), bool), "bool values"),
        (np.zeros((4, 4), complex), "complex128 values"),
        (np.zeros((0, 4)), "holds no pixels: its size is 0 x 4"),
    ],
)
def test_pixels_that_are_no_grey_values(array, message):
    with pytest.raises(ImageError, match=message):
        ImageStack(array, "YX")
