import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_hdn.core.errors import NoiseModelError, StoppedEarly
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.gmm import GaussianMixture, fit_gmm
from napari_hdn.core.noise.pairs import spread_evenly


def formula(weight, low, high, min_sigma, x, s):
    """p(x | s) as `.npz` files mean it, term by term, float64."""
    k = len(weight) // 3
    t = np.clip((s - low) / (high - low), 0, 1)
    powers = np.stack([t**i for i in range(weight.shape[1])])
    mean, alpha = weight[:k] @ powers, np.exp(weight[2 * k :] @ powers)
    alpha /= alpha.sum(0)
    variance = np.maximum(np.exp(weight[k : 2 * k]) @ powers, min_sigma)
    mean = mean - (alpha * mean).sum(0) + s
    normal = np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    return (alpha * normal).sum(0), (alpha * (variance + mean**2)).sum(0) - s**2


def photon_pairs(rng, n):
    """Gain 2, offset 100, read noise 3."""
    photons = rng.uniform(10, 110, n)
    counts = 2.0 * rng.poisson(photons) + 100 + rng.normal(0, 3, n)
    return counts, 2 * photons + 100, 4 * photons + 9


def emccd_pairs(rng, n, gain=20.0, read=10.0):
    photons = rng.uniform(4, 60, n)
    counts = 500 + rng.gamma(photons, gain) + rng.normal(0, read, n)
    return counts, 500 + gain * photons, gain**2 * photons + read**2


def eight_bit_pairs(rng, n):
    photons = rng.uniform(40, 500, n)
    counts = np.round(20 + 0.1 * rng.poisson(photons) + rng.normal(0, 0.5, n))
    return counts, 20 + 0.1 * photons, 0.01 * photons + 0.25


def worst_error(model, signal, variance):
    """Of the variance curve between the 1st and the 99th percentile of the signal."""
    order = np.argsort(signal)
    at = np.linspace(*np.percentile(signal, [1, 99]), 50)
    return np.max(
        np.abs(model.variance_curve(at) / np.interp(at, signal[order], variance[order]) - 1)
    )


def mean_log_likelihood(model, counts, signal):
    with torch.no_grad():
        x, s = (torch.as_tensor(v, dtype=torch.float32) for v in (counts, signal))
        return float(model.log_likelihood(x, s).double().mean())


@settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    components=st.integers(1, 4),
    coefficients=st.integers(1, 5),
    seed=st.integers(0, 10_000),
    least=st.sampled_from([0.05, 3.0, 60.0]),
)
def test_log_density_and_variance_are_the_formula_of_the_files(
    components, coefficients, seed, least
):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 2, (3 * components, coefficients)).astype(np.float32)
    weight[:components] *= 4
    signal = rng.uniform(80, 420, 200)
    counts = signal + rng.normal(0, 8, 200)
    expected, variance = formula(weight.astype(np.float64), 100.0, 400.0, least, counts, signal)
    model = GaussianMixture(weight, 100.0, 400.0, least).double()
    mine = torch.exp(model.log_likelihood(torch.from_numpy(counts), torch.from_numpy(signal)))
    np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(model.variance(torch.from_numpy(signal)), variance, rtol=1e-5)
    single = GaussianMixture(weight, 100.0, 400.0, least)
    x, s = (torch.as_tensor(v, dtype=torch.float32) for v in (counts, signal))
    near = expected > 1e-8
    np.testing.assert_allclose(
        single.log_likelihood(x, s)[near], np.log(expected[near]), rtol=2e-4, atol=1e-4
    )


def test_min_sigma_is_the_least_variance():
    model = GaussianMixture([[0.0], [-5.0], [0.0]], 0.0, 1.0, 4.0)
    assert float(model.variance(torch.tensor(0.5))) == 4


def test_likelihood_far_away_keeps_its_gradient():
    """log(p + 1e-10), as others have it, has none beyond 6 sigma."""
    model = GaussianMixture(np.zeros((9, 1)), 0.0, 100.0, 1.0)
    signal = torch.tensor([50.0, 50.0], requires_grad=True)
    model.log_likelihood(torch.tensor([80.0, 20.0]), signal).sum().backward()
    np.testing.assert_allclose(signal.grad, [30.0, -30.0], rtol=1e-5)


def test_units_of_the_network_follow_the_variance():
    model = GaussianMixture([[0.0, 0.0], [np.log(50.0), np.log(400.0)], [0.0, 0.0]], 100, 300, 1.0)
    curve = model.curve()
    assert float(curve.gain) == pytest.approx(2.0, rel=1e-3)
    assert float(curve.variance(torch.tensor(200.0))) == pytest.approx(250.0, rel=1e-3)
    assert float(curve.floor) > 0
    given = GaussianMixture([[0.0], [3.0], [0.0]], 0, 1, 1.0, line=(1.0, 2.0, 0.5)).curve()
    assert [float(v) for v in (given.gain, given.offset, given.floor)] == [1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("weight", "numbers", "message"),
    [
        (np.zeros((4, 3)), (0, 1, 1), "three rows for each component .* is 4 x 3"),
        (np.zeros(9), (0, 1, 1), "this one is 9"),
        (np.zeros((0, 3)), (0, 1, 1), "is 0 x 3"),
        (np.zeros((300, 3)), (0, 1, 1), "up to 64 components .* 300 x 3"),
        (np.full((3, 3), np.nan), (0, 1, 1), "9 of the 9 coefficients"),
        ([["a"]], (0, 1, 1), "table of numbers"),
        ([[0.0], [1.0, 2.0]], (0, 1, 1), "table of numbers"),
        (np.zeros((3, 3)), (5, 5, 1), "below its largest; they are 5 and 5"),
        (np.zeros((3, 3)), (5, 2, 1), "they are 5 and 2"),
        (np.zeros((3, 3)), (np.nan, 2, 1), "must be finite"),
        (np.zeros((3, 3)), (0, 1, -1), "0 or more counts², not -1"),
        (np.zeros((3, 3)), (0, 1, np.nan), "not nan"),
    ],
)
def test_impossible_mixtures_are_refused(weight, numbers, message):
    with pytest.raises(NoiseModelError, match=message):
        GaussianMixture(weight, *numbers)


def test_fit_recovers_poisson_gaussian_noise():
    counts, signal, variance = photon_pairs(np.random.default_rng(1), 100_000)
    model = fit_gmm(counts, signal, floor=1.0, seed=0)
    assert worst_error(model, signal, variance) < 0.03
    assert model.signal_range == pytest.approx((signal.min(), signal.max()))
    assert float(model.curve().gain) == pytest.approx(2.0, rel=0.03)


def test_fit_recovers_the_skew_of_an_emccd():
    rng = np.random.default_rng(2)
    counts, signal, variance = emccd_pairs(rng, 100_000)
    model = fit_gmm(counts, signal, floor=10.0, seed=0)
    assert worst_error(model, signal, variance) < 0.03
    unseen, at, spread = emccd_pairs(rng, 50_000)
    normal = np.mean(-0.5 * (unseen - at) ** 2 / spread - 0.5 * np.log(2 * np.pi * spread))
    assert mean_log_likelihood(model, unseen, at) > normal + 0.01
    drawn = model.sample(torch.full((100_000,), 700.0), torch.Generator().manual_seed(0)).numpy()
    z = (drawn - drawn.mean()) / drawn.std()
    # gamma of 10 photons: 2 / sqrt(10), less what read noise dilutes
    assert np.mean(z**3) == pytest.approx(2 * 10 * 20**3 / (10 * 20**2 + 100) ** 1.5, rel=0.15)


def test_fit_recovers_noise_under_grey_levels():
    """Without dither (tried) components collapse onto grey levels, and the variance is 3 x too large."""
    counts, signal, variance = eight_bit_pairs(np.random.default_rng(3), 60_000)
    model = fit_gmm(counts, signal, floor=0.1, step=1.0, seed=0)
    assert worst_error(model, signal, variance) < 0.08


def test_fit_does_not_take_rounding_off_photons():
    rng = np.random.default_rng(4)
    signal = rng.uniform(1, 30, 40_000)
    model = fit_gmm(rng.poisson(signal), signal, floor=1 / 12, step=1.0, seed=0)
    assert worst_error(model, signal, signal) < 0.05


def test_fit_to_constant_noise_has_no_gain():
    rng = np.random.default_rng(5)
    signal = rng.uniform(100, 900, 30_000)
    counts = signal + rng.normal(0, 25, signal.size)
    model = fit_gmm(counts, signal, floor=1.0, components=2, coefficients=2)
    np.testing.assert_allclose(model.variance_curve(np.array([150.0, 850.0])), 625, rtol=0.05)
    assert mean_log_likelihood(model, counts, signal) >= mean_log_likelihood(
        Gaussian(25.0), counts, signal
    )


@pytest.mark.parametrize(("components", "coefficients"), [(1, 1), (1, 3), (2, 1), (6, 4)])
def test_fit_of_other_sizes(components, coefficients):
    counts, signal, variance = photon_pairs(np.random.default_rng(6), 4_000)
    model = fit_gmm(
        counts, signal, floor=1.0, components=components, coefficients=coefficients, seed=1
    )
    assert model.weight.shape == (3 * components, coefficients)
    middle = float(np.median(signal))
    if coefficients > 1:
        expected = np.median(variance)
        assert model.variance_curve(np.array([middle]))[0] == pytest.approx(expected, rel=0.1)


def test_hot_pixels_do_not_spoil_the_fit():
    rng = np.random.default_rng(7)
    counts, signal, _ = photon_pairs(rng, 15_000)
    model = fit_gmm(counts, signal, floor=1.0)
    hot = rng.choice(len(counts), 15, replace=False)
    counts[hot] += 3000
    spoiled = fit_gmm(counts, signal, floor=1.0)
    at = torch.linspace(130, 280, 50)
    x = at + torch.sqrt(model.variance(at))
    near, clean = (m.log_likelihood(x, at) for m in (spoiled, model))
    np.testing.assert_allclose(near, clean, atol=0.1)


def test_same_seed_same_model():
    counts, signal, _ = emccd_pairs(np.random.default_rng(8), 4_000)
    one, same, other = (fit_gmm(counts, signal, floor=10.0, step=1.0, seed=k) for k in (3, 3, 4))
    assert torch.equal(one.weight, same.weight) and not torch.equal(one.weight, other.weight)


def test_fit_tells_how_far_it_is_and_stops():
    counts, signal, _ = photon_pairs(np.random.default_rng(9), 3_000)
    told = []
    fit_gmm(counts, signal, floor=1.0, tell=told.append)
    assert told == sorted(told) and 0 < told[0] < 0.1 and told[-1] == 1.0
    stop = Stop()
    with pytest.raises(StoppedEarly):
        fit_gmm(counts, signal, floor=1.0, stop=stop, tell=lambda fraction: stop.request())


@pytest.mark.parametrize(
    ("counts", "signal", "message"),
    [
        (np.zeros(1000), np.zeros(999), "1000 counts cannot be paired with 999"),
        (np.zeros(20), np.arange(20.0), "20 pixels with a known signal are too few"),
        (np.zeros(1000), np.full(1000, 100.0), "100 counts everywhere"),
        (np.full(1000, np.nan), np.arange(1000.0), "1000 of 1000 pixels"),
    ],
)
def test_pairs_that_allow_no_fit_are_refused(counts, signal, message):
    with pytest.raises(NoiseModelError, match=message):
        fit_gmm(counts, signal, floor=1.0)


def test_noise_free_pairs_are_fitted_at_the_floor():
    signal = np.linspace(0, 100, 2000)
    model = fit_gmm(signal, signal, floor=0.5)
    np.testing.assert_allclose(model.variance_curve(np.array([10.0, 90.0])), 0.5, rtol=0.1)


def test_rare_bright_signals_are_kept():
    signal = np.concatenate([np.random.default_rng(10).uniform(0, 10, 99_000), np.full(50, 640.0)])
    chosen = spread_evenly(signal, 5_000, 0)
    assert len(chosen) <= 5_000 and np.all(np.diff(chosen) > 0)
    assert np.count_nonzero(signal[chosen] == 640) == 50
    np.testing.assert_array_equal(spread_evenly(signal, 10**6, 0), np.arange(len(signal)))
