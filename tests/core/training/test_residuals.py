import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.training.residuals import ResidualCheck, check_residuals


def simulated(sigma=1.0, shape=(8, 64, 64), seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.uniform(50, 150, (shape[0], 1, 1)) + np.zeros(shape)
    variance = 2 * signal
    return rng, signal, variance, signal + sigma * rng.normal(size=shape) * np.sqrt(variance)


def test_right_residuals_are_called_right():
    _, signal, variance, counts = simulated()
    check = check_residuals(counts, signal, variance)
    assert check.pixels == counts.size and check.verdict == "good"
    assert check.variance == pytest.approx(1, abs=0.03)
    assert abs(check.lag_x) < 0.02 and abs(check.lag_y) < 0.02 and abs(check.kurtosis) < 0.1
    np.testing.assert_allclose(check.variance_at, 1, atol=0.08)
    assert list(check.signal) == sorted(check.signal)


@pytest.mark.parametrize(("sigma", "words"), [(1.3, "too small"), (0.7, "too large")])
def test_a_wrong_noise_model_is_called_wrong(sigma, words):
    _, signal, variance, counts = simulated(sigma)
    check = check_residuals(counts, signal, variance)
    assert check.variance == pytest.approx(sigma**2, rel=0.03)
    assert check.verdict == "bad" and words in check.in_words()


def test_a_wrong_variance_at_some_signals_shows_there():
    _, signal, variance, counts = simulated()
    bright = signal > 100
    check = check_residuals(
        np.where(bright, signal + 2 * (counts - signal), counts), signal, variance
    )
    at = np.array(check.signal)
    np.testing.assert_allclose(np.array(check.variance_at)[at < 90], 1, atol=0.1)
    np.testing.assert_allclose(np.array(check.variance_at)[at > 115], 4, atol=0.4)


def test_structure_left_behind_shows_as_correlation():
    rng, signal, variance, _ = simulated()
    rows = gaussian_filter(rng.normal(size=signal.shape), (0, 0, 1.0))
    counts = signal + rows / rows.std() * np.sqrt(variance)
    check = check_residuals(counts, signal, variance)
    assert check.lag_x == pytest.approx(np.exp(-1 / 4), abs=0.02) and abs(check.lag_y) < 0.02
    assert check.verdict == "bad" and "Structure" in check.in_words()


def test_cut_off_pixels_are_left_out():
    _, signal, variance, counts = simulated()
    usable = np.ones(counts.shape, bool)
    usable[:, ::3] = False
    spoilt = np.where(usable, counts, 1e6)
    check = check_residuals(spoilt, signal, variance, usable)
    assert check.pixels == usable.sum() and check.verdict == "good"
    assert check_residuals(counts, signal, variance, np.zeros(counts.shape, bool)) is None


def test_it_is_kept_as_json():
    _, signal, variance, counts = simulated()
    check = check_residuals(counts, signal, variance)
    assert ResidualCheck.model_validate_json(check.model_dump_json()) == check
