"""Errors without a truth, where the truth is known to the test."""

import numpy as np
import pytest

from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.second_frame import BLOCK_PX, estimate_error, noise_variance, remarks
from simulated import counts, scene, true_variance


def restored(seed=0, size=160, error=3.0):
    """A scene in counts, an image of it with an error, a second frame, and its variance."""
    rng = np.random.default_rng(seed)
    photons = scene(rng, size)
    signal = 2 * photons + 100
    image = signal + rng.normal(0, error, signal.shape)
    return signal, image, counts(rng, photons)[0], true_variance(photons)


@pytest.mark.parametrize("error", [1.0, 4.0, 12.0])
def test_the_estimate_is_right_within_its_standard_error(error):
    z = []
    for seed in range(40):
        signal, image, second, variance = restored(seed, 96, error)
        got = estimate_error(image, second, variance)
        z.append((got.mse - np.mean((image - signal) ** 2)) / got.standard_error)
        assert got.noise_variance == pytest.approx(variance.mean())
    assert abs(np.mean(z)) < 3.5 / np.sqrt(40)
    assert 0.6 < np.std(z) < 1.4


def test_blocks_by_hand():
    rng = np.random.default_rng(1)
    image, second = rng.normal(0, 3, (2, 70, 53))
    variance = np.full(image.shape, 4.0)
    excess = (image - second) ** 2 - 4
    means = [
        excess[y : y + BLOCK_PX, x : x + BLOCK_PX].mean()
        for y in range(0, 64, BLOCK_PX)
        for x in range(0, 48, BLOCK_PX)
    ]
    got = estimate_error(image, second, variance)
    assert got.mse == pytest.approx(excess.mean())
    assert got.standard_error == pytest.approx(np.std(means, ddof=1) / np.sqrt(12))


class Model:
    def __init__(self, noise_model):
        self.noise_model = noise_model


def test_the_noise_is_that_of_the_model_at_the_signal():
    signal = np.linspace(90, 400, 60).reshape(6, 10).astype(np.float32)
    line = PoissonGaussian([2.0], [3.0], [1.0])
    got = noise_variance(Model(line), signal, signal)
    np.testing.assert_allclose(got, line.variance_curve(signal.ravel()).reshape(6, 10), rtol=1e-5)
    np.testing.assert_allclose(noise_variance(Model(Gaussian(5.0)), signal, signal), 25)
    doubled = noise_variance(
        Model(Refined(PoissonGaussian([2.0], [3.0], [1.0]), [2.0])), signal, signal
    )
    np.testing.assert_allclose(doubled, 2 * got, rtol=1e-5)


def test_with_a_curve_an_image_that_of_the_frame_is_estimated():
    _, _, second, variance = restored(3, 256)
    many = PoissonGaussian([2.0, 9.0], [-191.0, 0.0], [1.0, 1.0])
    signal, _, _, _ = restored(3, 256)
    got = noise_variance(Model(many), signal.astype(np.float32), second)
    assert got.mean() == pytest.approx(variance.mean(), rel=0.15)


def test_nothing_is_said_of_a_good_pair():
    _, image, second, variance = restored(0)
    assert remarks(image, second, estimate_error(image, second, variance), "a", "b") == []


def test_what_makes_an_estimate_wrong_is_said():
    signal, image, second, variance = restored(0)

    def said(image, second):
        return remarks(image, second, estimate_error(image, second, variance), "cells", "frame 2")

    (same,) = said(second, second)
    assert "identical" in same
    brighter = " ".join(said(image, second + 20))
    assert (
        "frame 2 is brighter than cells by 20" in brighter
        or "brighter than cells by 19." in brighter
    )
    assert "darker" in " ".join(said(image, second - 20))
    shifted = " ".join(said(image, np.roll(second, (5, -3), (0, 1))))
    assert "by +5 px in y and -3 px in x" in shifted
    assert "was it restored from this very frame" in " ".join(
        said(0.9 * second + 0.1 * signal, second)
    )
