import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift, uniform_filter1d

from napari_hdn.core.calibration.estimation import (
    is_static_pair,
    quantisation_step,
    repeats_curve,
    single_image_curve,
)
from napari_hdn.core.noise.curves import fit_line, pool
from simulated import counts, scene, true_variance


def worst_error(line, photons, **camera):
    p = np.percentile(photons, [1, 25, 50, 75, 99])
    truth = true_variance(p, **camera)
    return float(np.max(np.abs(line.variance(2.0 * p + 100) / truth - 1)))


def test_repeats_recover_the_curve():
    rng = np.random.default_rng(0)
    photons = scene(rng)
    line = fit_line(repeats_curve(counts(rng, photons, frames=12))[0], 0)
    assert worst_error(line, photons) < 0.03


def test_two_repeats_recover_the_curve():
    rng = np.random.default_rng(1)
    photons = scene(rng)
    line = fit_line(repeats_curve(counts(rng, photons, frames=2))[0], 0)
    assert worst_error(line, photons) < 0.1


@pytest.mark.parametrize("kind", ["diagonal", "y", "x"])
def test_single_image_recovers_the_curve(kind):
    rng = np.random.default_rng(2)
    photons = scene(rng)
    line = fit_line(single_image_curve(counts(rng, photons)[0], kind), 0)
    assert worst_error(line, photons) < 0.1


def test_eight_bit_steps_coarser_than_the_noise():
    rng = np.random.default_rng(3)
    photons = scene(rng, 384)
    noisy = np.round(counts(rng, photons, gain=0.05, offset=40.0, read=0.5)[0])
    line = fit_line(single_image_curve(noisy), quantisation_step(noisy))
    assert float(line.variance(40.05 + 2.5)) == pytest.approx(0.25 + 0.0025 * 51, rel=0.2)


def test_line_noise_is_seen_whole_across_the_lines():
    rng = np.random.default_rng(4)
    photons = scene(rng)
    lines = uniform_filter1d(rng.standard_normal(photons.shape), 9, axis=1)
    noisy = counts(rng, photons)[0] + 20 * lines / lines.std()
    total = true_variance(np.median(photons)) + 400
    signal = 2 * np.median(photons) + 100
    across = fit_line(single_image_curve(noisy, "y"), 0)
    along = fit_line(single_image_curve(noisy, "x"), 0)
    assert float(across.variance(signal)) == pytest.approx(total, rel=0.1)
    assert float(along.variance(signal)) < 0.6 * total


def test_clipped_pixels_do_not_count():
    rng = np.random.default_rng(5)
    photons = scene(rng)
    noisy = np.minimum(counts(rng, photons)[0], 265)
    line = fit_line(single_image_curve(np.round(noisy)), 1.0)
    p = np.percentile(photons, [5, 25, 50])
    np.testing.assert_allclose(line.variance(2 * p + 100), true_variance(p), rtol=0.15)


def test_constant_noise_has_no_gain():
    rng = np.random.default_rng(6)
    noisy = 10 * scene(rng) + rng.normal(0, 25, (256, 256))
    line = fit_line(single_image_curve(noisy.astype(np.float32)), 0)
    np.testing.assert_allclose(line.variance(np.array([200.0, 900.0])), 625, rtol=0.12)


def test_too_few_bins_give_nothing():
    flat = np.random.default_rng(7).normal(0, 1, (16, 16)).astype(np.float32)
    assert fit_line(single_image_curve(flat), 0) is None


def test_pooling_two_images_is_one_fit_over_both():
    rng = np.random.default_rng(8)
    photons = scene(rng)
    dim, bright = (single_image_curve(counts(rng, k * photons)[0]) for k in (0.3, 1.0))
    line = fit_line(pool([dim, bright]), 0)
    assert worst_error(line, photons) < 0.1


def test_static_frames_are_told_from_new_scenes_and_from_motion():
    rng = np.random.default_rng(9)
    photons, other = scene(rng), scene(rng)
    a, b = counts(rng, photons, frames=2)
    assert is_static_pair(a, b)
    assert not is_static_pair(a, counts(rng, other)[0])
    assert not is_static_pair(a, np.roll(b, 6, axis=1))
    assert not is_static_pair(a, b[:128])


def test_quantisation_step():
    rng = np.random.default_rng(10)
    assert quantisation_step(rng.integers(0, 200, (64, 64)).astype(np.float32)) == 1
    assert quantisation_step((rng.integers(0, 99, (64, 64)) * 4).astype(np.float32)) == 4
    assert quantisation_step(np.full((64, 64), 3.0)) == 0


@pytest.mark.parametrize("photons", [1.0, 3.0, 10.0, 30.0])
def test_photon_counts_have_the_variance_of_their_signal(photons):
    rng = np.random.default_rng(11)
    shape = scene(rng, 384)
    signal = photons * shape / np.median(shape)
    noisy = rng.poisson(signal).astype(np.float32)
    line = fit_line(single_image_curve(noisy), quantisation_step(noisy))
    p = np.percentile(signal, [25, 50, 95])
    np.testing.assert_allclose(line.variance(p), p, rtol=0.12)


@pytest.mark.parametrize(("photons", "pixels_a_frame"), [(10, 0.4), (30, 0.2), (30, 0.8)])
def test_a_slowly_moving_scene_is_not_taken_for_repeats(photons, pixels_a_frame):
    rng = np.random.default_rng(12)
    still = scene(rng, 320) * photons
    frames = [
        rng.poisson(shift(still, (0, pixels_a_frame * k), order=1, mode="nearest"))[:, 20:-20]
        for k in range(8)
    ]
    curve, moves = repeats_curve(2.0 * np.stack(frames).astype(np.float32) + 100)
    signal = 2.0 * np.percentile(frames, [50, 95])
    assert moves
    np.testing.assert_allclose(fit_line(curve, 2.0).variance(signal + 100), 2 * signal, rtol=0.08)


def test_sparse_small_images_allow_an_estimate():
    rng = np.random.default_rng(13)
    spots = np.zeros((128, 128))
    spots[tuple(rng.integers(10, 118, (2, 12)))] = 3000
    signal = gaussian_filter(spots, 2) + 3
    noisy = np.maximum(rng.poisson(signal) - 3.0, 0).astype(np.float32)
    line = fit_line(single_image_curve(noisy), 1.0)
    assert float(line.variance(20.0)) == pytest.approx(23, rel=0.4)
