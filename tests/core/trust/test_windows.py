import numpy as np
import pytest

from napari_hdn.core.trust.windows import Window


def weights(shape, at, sigma):
    y, x = np.mgrid[: shape[0], : shape[1]]
    w = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * sigma**2))
    return np.where(np.hypot(y - at[0], x - at[1]) < 20, w, 0)


def test_the_mean_is_that_of_the_usable_pixels_around():
    rng = np.random.default_rng(0)
    image, usable = rng.normal(size=(41, 43)), rng.random((41, 43)) > 0.3
    w = weights(image.shape, (20, 21), 4.0) * usable
    found = Window(usable, 4.0).mean(np.where(usable, image, 1e9))
    assert found[20, 21] == pytest.approx((w * image).sum() / w.sum(), abs=2e-3)


def test_nothing_is_said_where_nothing_is_usable():
    usable = np.ones((64, 64), bool)
    usable[:, :40] = False
    found = Window(usable, 4.0).mean(np.ones((64, 64)))
    assert np.isnan(found[:, :30]).all()
    np.testing.assert_allclose(found[:, 40:], 1, atol=1e-6)


def test_a_window_is_worth_its_independent_pixels():
    rng = np.random.default_rng(1)
    window = Window(np.ones((64, 64), bool), 4.0)
    found = np.array([window.mean(rng.normal(size=(64, 64))) for _ in range(600)])
    for y, x in ((32, 32), (0, 32), (0, 0), (63, 63)):  # fewer at borders and in corners
        assert found[:, y, x].var() * window.pixels()[y, x] == pytest.approx(1, abs=0.2)
    middle, corner = window.pixels()[32, 32], window.pixels()[0, 0]
    assert middle == pytest.approx(4 * np.pi * 16, rel=0.02) and middle / corner > 3
