import numpy as np
import pytest
import torch

from napari_hdn.core.errors import NoiseModelError, StoppedEarly
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.base import noise_model_from_json, noise_model_to_json
from napari_hdn.core.noise.histogram import Histogram, fit_histogram


def emccd_pairs(rng, n, gain=20.0, read=10.0):
    photons = rng.uniform(4, 60, n)
    counts = 500 + rng.gamma(photons, gain) + rng.normal(0, read, n)
    return counts, 500 + gain * photons, gain**2 * photons + read**2


def worst_error(model, signal, variance):
    order = np.argsort(signal)
    at = np.linspace(*np.percentile(signal, [1, 99]), 50)
    return np.max(
        np.abs(model.variance_curve(at) / np.interp(at, signal[order], variance[order]) - 1)
    )


def triangle(rows=3, bins=41):
    """Triangular densities between -4 and 4 sigma."""
    u = np.linspace(-4, 4, bins)
    return np.tile(np.maximum(1 - np.abs(u) / 4, 0) / 4, (rows, 1))


def test_table_is_interpolated_in_both_directions():
    table = triangle(2)
    table[1] = np.roll(table[1], 5)
    table[1, :5] = 0
    table[1, [0, -1]] = 0
    table[1] /= table[1].sum() * 0.2
    model = Histogram([0.0, 10.0], [2.0, 4.0], table, -4, 4)
    # in the middle: sigma 3, mean of both means, half of either density
    mean = float(model.mean.mean())
    x = torch.linspace(-6, 6, 7) + 5
    u = ((x - 5) / 3 + mean).numpy()
    both = 0.5 * (table[0] + table[1])
    expected = np.interp(u, np.linspace(-4, 4, 41), both)
    logistic = np.exp(u / 1.5) / (1 + np.exp(u / 1.5)) ** 2 / 1.5
    expected = (0.999 * expected + 0.001 * logistic) / 3
    mine = torch.exp(model.log_density(x, torch.full((7,), 5.0)))
    np.testing.assert_allclose(mine, expected, rtol=1e-4)


def test_gradient_is_that_of_the_likelihood():
    counts, signal, _ = emccd_pairs(np.random.default_rng(0), 20_000)
    model = fit_histogram(counts, signal, floor=10.0).double()
    s = torch.linspace(520, 1500, 40, dtype=torch.float64).requires_grad_()
    x = torch.linspace(480, 1600, 40, dtype=torch.float64)
    model.log_likelihood(x, s).sum().backward()
    with torch.no_grad():
        h = 1e-5
        difference = (model.log_likelihood(x, s + h) - model.log_likelihood(x, s - h)) / (2 * h)
    np.testing.assert_allclose(s.grad, difference, rtol=1e-4, atol=1e-7)


def test_beyond_its_table_the_likelihood_leads_back():
    model = Histogram([0.0, 100.0], [1.0, 1.0], triangle(2), -4, 4)
    signal = torch.tensor([50.0, 50.0, 50.0], requires_grad=True)
    value = model.log_likelihood(torch.tensor([54.1, 90.0, -1e9]), signal)
    value.sum().backward()
    assert torch.isfinite(value).all()
    np.testing.assert_allclose(signal.grad[1:], [1 / 1.5, -1 / 1.5], rtol=1e-4)
    assert float(signal.grad[0]) > 0


def test_fit_recovers_the_variance_and_the_skew_of_an_emccd():
    rng = np.random.default_rng(1)
    counts, signal, variance = emccd_pairs(rng, 300_000)
    model = fit_histogram(counts, signal, floor=10.0)
    assert worst_error(model, signal, variance) < 0.05
    unseen, at, spread = emccd_pairs(rng, 50_000)
    with torch.no_grad():
        x, s = (torch.as_tensor(v, dtype=torch.float32) for v in (unseen, at))
        mine = float(model.log_likelihood(x, s).double().mean())
    normal = np.mean(-0.5 * (unseen - at) ** 2 / spread - 0.5 * np.log(2 * np.pi * spread))
    assert mine > normal + 0.01
    drawn = model.sample(torch.full((100_000,), 700.0), torch.Generator().manual_seed(0)).numpy()
    z = (drawn - drawn.mean()) / drawn.std()
    assert np.mean(z**3) == pytest.approx(2 * 10 * 20**3 / (10 * 20**2 + 100) ** 1.5, rel=0.15)
    assert float(model.curve().gain) == pytest.approx(20, rel=0.05)


def test_few_pairs_borrow_from_their_neighbours():
    rng = np.random.default_rng(2)
    signal = np.concatenate([rng.uniform(100, 150, 20_000), rng.uniform(900, 1000, 40)])
    counts = signal + rng.normal(0, 1, signal.size) * np.sqrt(2 * signal)
    model = fit_histogram(counts, signal, floor=1.0)
    at = np.linspace(100, 1000, 30)
    np.testing.assert_allclose(model.variance_curve(at), 2 * at, rtol=0.2)
    x = torch.linspace(200, 800, 2001, dtype=torch.float64)
    p = model.density_curve(x.numpy(), 500.0)
    assert np.all(p > 0)
    assert np.count_nonzero(np.diff(np.sign(np.diff(p[p > 1e-4])))) <= 8  # hardly any noise


def test_fit_recovers_noise_under_grey_levels():
    rng = np.random.default_rng(3)
    photons = rng.uniform(40, 500, 100_000)
    counts = np.round(20 + 0.1 * rng.poisson(photons) + rng.normal(0, 0.5, photons.size))
    signal, variance = 20 + 0.1 * photons, 0.01 * photons + 0.25
    model = fit_histogram(counts, signal, floor=0.1, step=1.0)
    assert worst_error(model, signal, variance) < 0.08
    assert np.diff(model.signal.numpy()).min() > 0.99


def test_same_seed_same_model():
    counts, signal, _ = emccd_pairs(np.random.default_rng(4), 5_000)
    one, same, other = (
        fit_histogram(counts, signal, floor=1.0, step=5.0, seed=k) for k in (1, 1, 2)
    )
    assert torch.equal(one.density, same.density) and not torch.equal(one.density, other.density)


def test_fit_tells_how_far_it_is_and_stops():
    counts, signal, _ = emccd_pairs(np.random.default_rng(5), 2_000)
    told = []
    fit_histogram(counts, signal, floor=1.0, tell=told.append)
    assert told[-1] == 1.0
    stop = Stop()
    with pytest.raises(StoppedEarly):
        fit_histogram(counts, signal, floor=1.0, stop=stop, tell=lambda f: stop.request())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": [[0.0, 1.0, 0.0]] * 3}, "at least 2 signals x 8 bins.* 3 x 3"),
        ({"density": "nothing"}, "tables of numbers"),
        ({"density": (2 * triangle()).tolist()}, "integrate to 1, not to 2"),
        ({"density": (-triangle()).tolist()}, "must not be negative"),
        ({"density": np.full((3, 41), 0.122).tolist()}, "0 at its ends"),
        ({"signal": [0.0, 2.0]}, "each of its 3 rows; there are 2 and 3"),
        ({"signal": [0.0, 2.0, 2.0]}, "must ascend"),
        ({"sigma": [1.0, float("nan"), 1.0]}, "not finite"),
        ({"sigma": [1.0, 0.0, 1.0]}, "between 1e-5 and 1e12"),
        ({"low": 1.0}, "from below 0 to above it"),
        ({"high": 1e9}, "up to 60"),
        ({"line": [1.0, 0.0, 0.0]}, "positive floor"),
        ({"line": [1.0]}, "positive floor"),
    ],
)
def test_damaged_tables_are_refused(change, message):
    data = noise_model_to_json(Histogram([0.0, 1.0, 5.0], [1.0, 2.0, 3.0], triangle(), -4, 4))
    assert isinstance(noise_model_from_json(data), Histogram)
    with pytest.raises(NoiseModelError, match=message):
        noise_model_from_json({**data, **change})
