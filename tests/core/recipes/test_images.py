import hashlib

import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.recipes import images
from napari_hdn.core.recipes.images import ALL, differences, identify


class Lazy:
    """An array that counts the bytes that are read, and has a plane that cannot be."""

    def __init__(self, array, unreadable=()):
        self.array, self.unreadable, self.read = array, unreadable, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, where):
        if where[0] in self.unreadable:
            raise OSError("gone")
        piece = self.array[where]
        self.read += piece.nbytes
        return piece


def test_the_checksum_is_of_the_pixels_whatever_their_order_in_memory(noisy_stack):
    a = identify(ImageStack(noisy_stack, "TYX", "a"))
    assert a.sha256_of == ALL and a.shape == (3, 64, 48) and a.dtype == "uint16"
    turned = ImageStack(noisy_stack.transpose(0, 2, 1), "TXY", "b")
    big = ImageStack(noisy_stack.astype(">u2"), "TYX", "c")
    assert identify(turned).sha256 == identify(big).sha256 == a.sha256
    expected = hashlib.sha256(b"uint16 (3,) 64 48" + noisy_stack.tobytes()).hexdigest()
    assert a.sha256 == expected


def test_one_channel_is_that_image_alone():
    array = np.random.default_rng(0).poisson(9, (2, 3, 20, 30)).astype(np.uint16)
    one = identify(ImageStack(array, "TCYX", channel=1))
    array[:, 0] += 1
    assert identify(ImageStack(array, "TCYX", channel=1)).sha256 == one.sha256
    array[0, 1, 3, 3] += 1
    assert identify(ImageStack(array, "TCYX", channel=1)).sha256 != one.sha256


def test_of_huge_images_a_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr(images, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(images, "BAND_BYTES", 64)
    array = np.random.default_rng(0).poisson(9, (200, 100, 32)).astype(np.uint16)
    lazy = Lazy(array)
    record = identify(ImageStack(lazy, "TYX"))
    assert record.sha256_of == "64 of 200 planes, 16 of 100 rows of each"
    assert lazy.read == 64 * 16 * 32 * 2
    for first_or_last in (0, -1):  # ends are looked at
        other = array.copy()
        other[first_or_last, first_or_last, 5] += 1
        assert identify(ImageStack(other, "TYX")).sha256 != record.sha256
        assert "16 of 100 rows" in differences(record, ImageStack(other, "TYX"))


def test_an_unreadable_plane_is_no_obstacle():
    array = np.ones((3, 20, 30), np.uint16)
    record = identify(ImageStack(Lazy(array, {1}), "TYX"))
    assert differences(record, ImageStack(Lazy(array, {1}), "TYX")) == ""
    assert "pixels differ" in differences(record, ImageStack(array, "TYX"))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (np.zeros((3, 64, 49), np.uint16), "it is TYX 3 x 64 x 49 uint16, the recorded one was TYX"),
        (np.zeros((3, 64, 48), np.uint8), "uint8, the recorded one was TYX 3 x 64 x 48 uint16"),
        (np.zeros((3, 64, 48), np.uint16), "its pixels differ"),
    ],
)  # fmt: skip
def test_what_differs_is_told(noisy_stack, other, says):
    record = identify(ImageStack(noisy_stack, "TYX", "a"))
    assert says in differences(record, ImageStack(other, "TYX", "a"))
    assert differences(record, ImageStack(noisy_stack.copy(), "TYX", "z")) == ""
