"""Metrics against scikit-image, and against their definitions."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_hdn.core.errors import ImageError
from napari_hdn.core.metrics import (
    best_scale,
    mean_squared_error,
    psnr,
    scaled_error,
    span_of,
    ssim,
)
from simulated import scene


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    truth = scene(rng, 64).astype(np.float32)
    return (truth + rng.normal(0, 5, truth.shape)).astype(np.float32), truth


@pytest.mark.parametrize("chosen", ["truth", 255.0])
def test_psnr_is_scikit_images(pair, chosen):
    image, truth = pair
    span = np.ptp(truth.astype(float)) if chosen == "truth" else chosen
    expected = peak_signal_noise_ratio(truth.astype(float), image.astype(float), data_range=span)
    got = psnr(mean_squared_error(image, truth), span_of(truth, chosen, "truth"))
    assert got == pytest.approx(expected, abs=1e-9)


def test_psnr_of_no_error():
    assert psnr(0.0, 3.0) == np.inf


def test_ssim_is_scikit_images(pair):
    image, truth = pair
    expected = structural_similarity(truth, image, data_range=float(np.ptp(truth)))
    assert ssim(image, truth) == pytest.approx(expected, abs=1e-4)  # float32 there
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(image[:6], truth[:6]) is None


def test_the_best_scale_is_that_of_a_fit(pair):
    image, truth = pair
    a, b = np.polyfit(image.ravel().astype(float), truth.ravel().astype(float), 1)
    assert best_scale(image, truth) == pytest.approx((a, b), rel=1e-6)
    assert scaled_error(image, truth) == pytest.approx(
        np.mean((a * image + b - truth) ** 2), rel=1e-5
    )


def test_scale_and_offset_do_not_count(pair):
    image, truth = pair
    assert scaled_error(0.03 * image - 700, truth) == pytest.approx(
        scaled_error(image, truth), rel=1e-4
    )
    flat = np.full_like(truth, 7)
    assert scaled_error(flat, truth) == pytest.approx(np.var(truth.astype(float)))


def test_a_constant_truth_is_refused():
    with pytest.raises(ImageError, match=r"All pixels of drawn, T 2 are 4\.5"):
        span_of(np.full((5, 5), 4.5), "truth", "drawn, T 2")
