import json
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import (
    Clipping,
    load_noise_model,
    log_normal_cdf,
    noise_model_from_json,
    noise_model_to_json,
)
from napari_hdn.core.noise.gaussian import Gaussian, LearnedGaussian
from napari_hdn.core.noise.gmm import GaussianMixture
from napari_hdn.core.noise.histogram import fit_histogram
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian

# three components that change with the signal, one of them far to the right
GMM = [
    [0.0, 4.0, 1.0],
    [-3.0, -2.0, 0.0],
    [12.0, 30.0, -5.0],
    [3.0, 6.0, 1.0],
    [2.0, 5.0, 2.0],
    [4.0, 7.0, 0.0],
    [1.0, 0.5, 0.0],
    [0.5, 1.0, -1.0],
    [-1.0, 0.5, 0.3],
]


@cache
def skewed_histogram():
    rng = np.random.default_rng(0)
    photons = rng.uniform(2, 60, 40_000)
    counts = 100 + rng.gamma(photons, 8.0) + rng.normal(0, 4, photons.size)
    return noise_model_to_json(fit_histogram(counts, 100 + 8 * photons, floor=1.0, bins=128))


MODELS = {
    "gaussian": lambda: Gaussian(9.0),
    "learned_gaussian": lambda: LearnedGaussian(9.0),
    "poisson_gaussian": lambda: PoissonGaussian([2.0], [-191.0], [4.0]),
    "flat": lambda: PoissonGaussian([0.0], [81.0], [4.0]),
    "curves": lambda: PoissonGaussian([2.0, 0.5, 0.0], [-191.0, 20.0, 81.0], [4.0, 1.0, 4.0]),
    "gmm": lambda: GaussianMixture(GMM, 100.0, 500.0, 2.0),
    "histogram": lambda: noise_model_from_json(skewed_histogram()),
}
# images between 0 and 1, sparse photons, a curve that a file may hold
EXTREME = {
    "small sigma": lambda: Gaussian(1e-4),
    "small units": lambda: PoissonGaussian([1e-3], [1e-6], [1e-8]),
    "photons": lambda: PoissonGaussian([1.0], [0.0], [1e-3]),
    "large gain": lambda: PoissonGaussian([1e3], [400.0], [0.5]),
    "falling": lambda: PoissonGaussian([-1.0], [400.0], [0.5]),
    "gmm in small units": lambda: GaussianMixture(np.array(GMM) - 15.0, 0.0, 1.0, 0.0),
    "gmm, one component": lambda: GaussianMixture([[0.0], [3.0], [0.0]], 0.0, 100.0, 1e-8),
}
CLIPPINGS = [None, Clipping(0.0), Clipping(None, 4095.0, 1.0), Clipping(100.0, 255.0, 1.0)]

FAR = float(np.float32(1e12))
NUMBERS = st.one_of(
    st.floats(-FAR, FAR, width=32),
    st.floats(-50, 600, width=32),
    st.floats(-2, 2, width=32),
    st.sampled_from([0.0, 95.5, 97.5, 100.0, 255.0, 500.0, FAR, -FAR]),
)
quick = settings(
    deadline=None,
    derandomize=True,
    max_examples=40,
    # the fixtures of all tests set folders and threads, which no example changes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_variance_curve_takes_and_gives_arrays():
    model = PoissonGaussian([2.0, 5.0], [1.0, 1.0], [0.1, 0.1])
    np.testing.assert_allclose(model.variance_curve(np.array([0.0, 10.0])), [1.0, 21.0])
    np.testing.assert_allclose(model.variance_curve(np.array([0.0, 10.0]), 1), [1.0, 51.0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "does not state its kind"),
        ([], "does not state its kind"),
        ({"kind": "magic"}, "kind 'magic'"),
        ({"kind": ["gaussian"]}, "of kind \"\\['gaussian'\\]\" are not known"),
        ({"kind": "x" * 10**5}, "kind 'x{40}' are not known"),
        ({"kind": "gaussian", "schema_version": 99}, "newer napari-hdn"),
        ({"kind": "gaussian", "schema_version": "9" * 10**5}, r"\(format 9{20}; this one"),
        ({"kind": "gaussian"}, "damaged"),
        ({"kind": "poisson_gaussian", "gain": "x", "offset": [0], "floor": [1]}, "damaged"),
        ({"kind": "gmm", "weight": [[0.0]]}, "damaged"),
        ({"kind": "histogram", "signal": [0.0, 1.0]}, "damaged"),
    ],
)
def test_what_is_no_noise_model_is_refused(data, message):
    with pytest.raises(NoiseModelError, match=message):
        noise_model_from_json(data)


def test_files(tmp_path):
    path = tmp_path / "noise.json"
    path.write_text(json.dumps(noise_model_to_json(PoissonGaussian([2.0], [1.0], [0.1]))))
    assert float(load_noise_model(path).gain) == 2.0
    path.write_text("{")
    with pytest.raises(NoiseModelError, match="not valid JSON"):
        load_noise_model(path)
    with pytest.raises(NoiseModelError, match="cannot be read"):
        load_noise_model(tmp_path / "none.json")


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=str)
@pytest.mark.parametrize("name", [*MODELS, *EXTREME])
def test_likelihood_and_gradient_are_finite_for_any_counts_and_signal(name, clipping):
    model = {**MODELS, **EXTREME}[name]()
    model.clipping = clipping

    @quick
    @given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=6, max_size=24))
    def check(pairs):
        x, s = torch.tensor(pairs[: len(pairs) // 3 * 3]).T.reshape(2, 3, -1)
        s = s.clone().requires_grad_()
        log_p = model.log_likelihood(x, s, torch.arange(3) % model.curves)
        (gradient,) = torch.autograd.grad(log_p.sum(), s)
        assert torch.isfinite(log_p).all() and torch.isfinite(gradient).all()

    check()


def around(model, signal, image=0, sigmas=45.0):
    """Counts for quadrature, (n,) float64, and log p of each."""
    sigma = float(model.variance_curve(np.array([signal]), image)[0]) ** 0.5
    x = torch.linspace(signal - sigmas * sigma, signal + sigmas * sigma, 120_001).double()
    if isinstance(model, PoissonGaussian) and float(model.gain[image]) > 0:
        x = x[x > -float(model.offset[image] / model.gain[image])]  # from 0 photons on
    return x, log_density(model, x, signal, image)


def log_density(model, x, signal, image=0):
    with torch.no_grad():
        return model.log_density(x[None], torch.full_like(x[None], signal), torch.tensor([image]))[
            0
        ]


AT = [(name, 0, signal) for name in MODELS for signal in (130.0, 207.0, 480.0, 900.0)]
AT += [("curves", 1, 130.0), ("curves", 2, 480.0)]


@pytest.mark.parametrize(("name", "image", "signal"), AT)
def test_densities_integrate_to_one_with_the_mean_and_the_variance(name, image, signal):
    model = MODELS[name]()
    x, log_p = around(model, signal, image)
    p = torch.exp(log_p)
    variance = float(model.variance_curve(np.array([signal]), image)[0])
    # the shifted Poisson's integral over photons stands for its sum
    tolerance = 3e-3 if isinstance(model, PoissonGaussian) else 1e-4
    assert float(torch.trapezoid(p, x)) == pytest.approx(1, abs=tolerance)
    mean = float(torch.trapezoid(p * x, x))
    assert abs(mean - signal) < (0.6 if tolerance > 1e-3 else 2e-3) * variance**0.5
    spread = float(torch.trapezoid(p * (x - mean) ** 2, x))
    assert spread == pytest.approx(variance, rel=0.05 if tolerance > 1e-3 else 1e-3)


@pytest.mark.parametrize(("name", "image", "signal"), AT)
def test_tails_are_what_the_density_integrates_to(name, image, signal):
    model = MODELS[name]()
    x, log_p = around(model, signal, image)
    below = torch.cumulative_trapezoid(torch.exp(log_p), x)
    tolerance = {"rtol": 1e-3, "atol": 1e-6}
    if isinstance(model, PoissonGaussian) and float(model.gain[image]) > 0:
        tolerance = {"rtol": 0.1, "atol": 4e-3}  # Wilson & Hilferty's and Gosper's formulas differ
    sigma = float(model.variance_curve(np.array([signal]), image)[0]) ** 0.5
    edges = signal + sigma * torch.tensor([-5.0, -3.0, -1.0, -0.1, 0.0, 0.4, 2.0, 4.0]).double()
    s = torch.full((1, len(edges)), signal).double()
    with torch.no_grad():
        lower, upper = model.log_tails(edges[None], s, torch.tensor([image]))
        one, other = model.log_tails(float(edges[3]), s[0, 3])
    expected = below[torch.searchsorted(x, edges).clamp(1, len(below)) - 1]
    torch.testing.assert_close(torch.exp(lower[0]), expected, **tolerance)
    torch.testing.assert_close(torch.exp(upper[0]), below[-1] - expected, **tolerance)
    if image == 0:
        assert float(one) == pytest.approx(float(lower[0, 3]), rel=1e-5)
        assert float(other) == pytest.approx(float(upper[0, 3]), rel=1e-5)


@pytest.mark.parametrize(("name", "image", "signal"), AT)
def test_clipped_counts_and_the_others_make_up_the_whole(name, image, signal):
    model = MODELS[name]()
    sigma = float(model.variance_curve(np.array([signal]), image)[0]) ** 0.5
    model.clipping = Clipping(signal - 1.2 * sigma, signal + 0.8 * sigma, 0.5)
    x = torch.linspace(model.clipping.below, model.clipping.above, 50_001).double()[1:-1]
    inside = torch.exp(log_density(model, x, signal, image))
    at = torch.tensor([[model.clipping.low, model.clipping.high]]).double()
    with torch.no_grad():
        ends = model.log_likelihood(at, torch.full_like(at, signal), torch.tensor([image]))
    total = float(torch.trapezoid(inside, x) + torch.exp(ends).sum())
    assert total == pytest.approx(1, abs=6e-3 if isinstance(model, PoissonGaussian) else 3e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_leads_to_where_counts_are_cut_off(name):
    model = MODELS[name]()
    model.clipping = Clipping(110.0, 500.0)
    for x, s, upward in ((110.0, 300.0, False), (500.0, 150.0, True), (500.0, -1e6, True)):
        signal = torch.tensor([s], requires_grad=True)
        model.log_likelihood(torch.tensor([x]), signal).sum().backward()
        assert (float(signal.grad) > 0) == upward
    signal = torch.tensor([3000.0], requires_grad=True)  # far above saturation all are the same
    model.log_likelihood(torch.tensor([500.0]), signal).sum().backward()
    assert abs(float(signal.grad)) < 1e-3


@pytest.mark.parametrize(("name", "image", "signal"), AT)
def test_samples_have_the_mean_and_the_variance(name, image, signal):
    model = MODELS[name]()
    n = 200_000
    s = torch.full((1, n), signal)
    with torch.no_grad():
        noisy, again = (
            model.sample(s, torch.Generator().manual_seed(3), torch.tensor([image])).double()
            for _ in range(2)
        )
    variance = float(model.variance_curve(np.array([signal]), image)[0])
    assert torch.equal(noisy, again)
    assert abs(float(noisy.mean()) - signal) < 4.5 * (variance / n) ** 0.5
    assert float(noisy.var()) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_samples_are_cut_off_where_the_camera_does(name):
    model = MODELS[name]()
    model.clipping = Clipping(190.0, 215.0)
    with torch.no_grad():
        noisy = model.sample(torch.full((1, 5000), 207.0), torch.Generator().manual_seed(0))
    assert float(noisy.min()) == 190 and float(noisy.max()) == 215


@pytest.mark.parametrize("name", MODELS)
def test_json_gives_back_identical_values(name):
    model = MODELS[name]()
    model.clipping, model.source = Clipping(0.0, 4095.0, 1.0), "a test"
    again = noise_model_from_json(json.loads(json.dumps(noise_model_to_json(model))))
    assert type(again) is type(model)
    assert again.clipping == model.clipping and again.source == "a test"
    assert again.signal_range == model.signal_range and again.describe() == model.describe()
    x, s = 400 * torch.rand(2, model.curves, 500, generator=torch.Generator().manual_seed(1)) + 50
    image = torch.arange(model.curves)
    assert torch.equal(again.variance(s, image), model.variance(s, image))
    assert torch.equal(again.log_likelihood(x, s, image), model.log_likelihood(x, s, image))
    curve, other = model.curve(image), again.curve(image)
    assert (curve is None) == (other is None)
    if curve is not None:
        assert torch.equal(curve.variance(s), other.variance(s))


@pytest.mark.parametrize("name", MODELS)
def test_models_move_with_to_and_take_other_shapes(name):
    model = MODELS[name]()
    x, s = 400 * torch.rand(2, 3, 1, 4, 5) + 50
    shape = model.log_likelihood(x, s, torch.zeros(3, dtype=torch.long)).shape
    assert shape == (3, 1, 4, 5)
    double = model.to(torch.float64).log_likelihood(
        x.double(), s.double(), torch.zeros(3, dtype=torch.long)
    )
    assert double.dtype == torch.float64


@quick
@given(st.floats(-(2**30), 2**14, width=32))
def test_log_normal_cdf_has_the_gradient_of_its_asymptote(z):
    at = torch.tensor(z, requires_grad=True)
    log_normal_cdf(at).backward()
    if z < -20:
        expected = min(-z - 1 / z, 1e4)
        assert float(at.grad) == pytest.approx(expected, rel=1e-4)
    else:
        assert 0 <= float(at.grad) < 21
