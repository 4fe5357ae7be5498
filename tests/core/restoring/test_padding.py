import numpy as np
import pytest
import torch

from napari_hdn.core.restoring.padding import reflect_pad


@pytest.mark.parametrize("shape", [(16, 32), (13, 17), (40, 9)])
def test_padding_is_numpys_reflection(shape):
    plane = np.random.default_rng(0).random(shape).astype(np.float32)
    padded = reflect_pad(torch.from_numpy(plane), 16).numpy()
    assert padded.shape[0] % 16 == padded.shape[1] % 16 == 0
    widths = [(0, p - n) for p, n in zip(padded.shape, shape, strict=True)]
    np.testing.assert_array_equal(padded, np.pad(plane, widths, mode="reflect"))


def test_images_far_smaller_than_the_multiple():
    padded = reflect_pad(torch.arange(3.0).reshape(3, 1), 8)
    assert padded.shape == (8, 8)
    assert padded[:, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert (padded == padded[:, :1]).all()
