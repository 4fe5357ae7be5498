import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ImageError
from napari_hdn.core.training.statistics import measure_images, spread_planes


def test_statistics_are_those_of_all_pixels():
    rng = np.random.default_rng(0)
    a, b = rng.normal(100, 9, (3, 20, 30)), rng.normal(50, 4, (25, 20))
    got = measure_images([ImageStack(a, "TYX"), ImageStack(b, "YX")])
    both = np.concatenate([a.ravel(), b.ravel()])
    assert got.mean == pytest.approx(both.mean()) and got.std == pytest.approx(both.std())
    assert got.minimum == pytest.approx(both.min()) and got.maximum == pytest.approx(both.max())
    assert got.low < 50 and got.high > 110


def test_many_planes_are_looked_at_evenly():
    planes = spread_planes([ImageStack(np.zeros((1000, 2, 2)), "TYX")], 11)
    assert [number for *_, number in planes] == [round(99.9 * k) for k in range(11)]


def test_a_constant_image_among_others_is_named():
    with pytest.raises(ImageError, match="black is constant: every pixel is 0"):
        measure_images([
            ImageStack(np.random.default_rng(0).random((8, 8)), "YX", "fine"),
            ImageStack(np.zeros((8, 8)), "YX", "black"),
        ])  # fmt: skip
