import time

import numpy as np
import pytest

from napari_hdn.io.samples import Sample, cells_with_pixel_noise, cells_with_stripes


@pytest.fixture(scope="module")
def pixel_noise() -> Sample:
    return cells_with_pixel_noise()


@pytest.fixture(scope="module")
def stripes() -> Sample:
    return cells_with_stripes()


def test_shapes_types_and_range(pixel_noise: Sample, stripes: Sample):
    for sample in (pixel_noise, stripes):
        assert (sample.noisy.shape, sample.noisy.dtype) == ((10, 256, 256), np.uint16)
        assert (sample.truth.shape, sample.truth.dtype) == ((256, 256), np.float32)
        photons = (sample.truth - sample.offset) / sample.gain
        assert 7.999 < photons.min() < 9
        assert 60 < photons.max() <= 71
        assert sample.pixel_size_um == 0.1


def test_same_seed_same_counts_and_other_seed_other_scene(pixel_noise: Sample):
    np.testing.assert_array_equal(cells_with_pixel_noise().noisy, pixel_noise.noisy)
    other = cells_with_pixel_noise(seed=9)
    assert np.corrcoef(other.truth.ravel(), pixel_noise.truth.ravel())[0, 1] < 0.7


def test_noise_is_poisson_gaussian_of_the_stated_camera(pixel_noise: Sample):
    variance = pixel_noise.noisy.astype(float).var(axis=0, ddof=1)
    gain, at_zero = np.polyfit(pixel_noise.truth.ravel() - 100, variance.ravel(), 1)
    assert gain == pytest.approx(2.2, rel=0.03)
    assert at_zero == pytest.approx(4.0**2, abs=4)
    assert pixel_noise.noisy.mean(0).mean() == pytest.approx(pixel_noise.truth.mean(), rel=0.002)


def test_lines_run_along_x_and_are_new_in_each_frame(stripes: Sample):
    residual = stripes.noisy.astype(float) - stripes.truth
    along_x = (residual[:, :, 1:] * residual[:, :, :-1]).mean()
    along_y = (residual[:, 1:] * residual[:, :-1]).mean()
    assert along_x == pytest.approx(22.0**2 * 8 / 9, rel=0.05)
    assert abs(along_y) < 10
    assert abs((residual[1] * residual[0]).mean()) < 20


def test_truth_is_blurred_by_the_microscope(pixel_noise: Sample):
    """A PSF with sigma 1.3 px leaves nearly no power in the finest quarter of the frequencies."""
    window = np.hanning(256)[:, None] * np.hanning(256)  # the scene does not end in a period
    power = np.abs(np.fft.fft2((pixel_noise.truth - pixel_noise.truth.mean()) * window)) ** 2
    f = np.abs(np.fft.fftfreq(256))
    fine = np.maximum(f[:, None], f[None]) > 0.375
    assert power[fine].sum() < 1e-4 * power.sum()


def test_made_in_about_a_second():
    begin = time.process_time()
    cells_with_stripes(frames=10, size_px=384)
    assert time.process_time() - begin < 3.0
