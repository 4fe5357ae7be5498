import numpy as np
import pytest
import torch
from scipy import stats

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import noise_model_from_json, noise_model_to_json
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian


def test_variance_is_the_line_above_the_floor():
    model = PoissonGaussian([2.0], [-50.0], [4.0])
    s = torch.tensor([0.0, 26.0, 27.0, 100.0])
    assert model.variance(s).tolist() == [4.0, 4.0, 4.0, 150.0]


def test_log_likelihood_is_scipys_poisson_in_photons():
    gain, offset = 4.0, -40.0  # camera offset 10 counts
    model = PoissonGaussian([gain], [offset], [0.01])
    photons, rate = np.arange(0, 60, 3), np.linspace(0.05, 70, 20)
    counts, signal = photons * gain + 10, rate * gain + 10
    mine = model.log_likelihood(torch.tensor(counts), torch.tensor(signal))
    exact = stats.poisson(rate).logpmf(photons) - np.log(gain)
    np.testing.assert_allclose(mine, exact, rtol=1e-3, atol=0.025)  # Gosper's factorial at 0


@pytest.mark.parametrize("gain", [1e-4, 1e-3, 1e-2])
def test_log_likelihood_is_normal_where_photons_are_many(gain):
    model = PoissonGaussian([gain], [400.0], [1.0])
    signal = np.array([100.0, 1000.0, 5000.0])
    sigma = np.sqrt(gain * signal + 400)
    counts = signal + sigma * np.array([-2.0, 0.5, 3.0])
    mine = model.log_likelihood(torch.tensor(counts).float(), torch.tensor(signal).float())
    np.testing.assert_allclose(mine, stats.norm(signal, sigma).logpdf(counts), rtol=2e-3)


def test_log_likelihood_without_gain_is_normal():
    model = PoissonGaussian([0.0], [9.0], [1.0])
    mine = model.log_likelihood(torch.tensor([12.0]), torch.tensor([10.0]))
    assert float(mine) == pytest.approx(stats.norm(10, 3).logpdf(12), rel=1e-6)


def test_the_score_is_unbiased_and_points_to_the_counts():
    """d log p / ds = (x - s) / variance(s), the quasi-score, whose mean is 0 for any noise."""
    model = PoissonGaussian([2.0], [-50.0], [4.0])
    counts = torch.tensor([26.0, 60.0, 99.9, 100.5, 250.0])
    signal = torch.full_like(counts, 100.0).requires_grad_()
    model.log_likelihood(counts, signal).sum().backward()
    np.testing.assert_allclose(signal.grad, (counts - 100) / 150, rtol=1e-4)


def test_a_gradient_leads_back_from_below_the_floor():
    signal = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    model = PoissonGaussian([2.0], [-50.0], [4.0])
    model.log_likelihood(torch.full((3,), 60.0), signal).sum().backward()
    assert (signal.grad > 1).all()


def test_each_image_has_its_own_curve():
    model = PoissonGaussian([1.0, 3.0], [0.0, 10.0], [0.1, 0.1])
    signal = torch.full((2, 1, 4, 4), 20.0)
    variance = model.variance(signal, torch.tensor([1, 0]))
    assert variance[0].unique().tolist() == [70.0]
    assert variance[1].unique().tolist() == [20.0]


def test_samples_have_the_variance():
    model = PoissonGaussian([2.0], [-100.0], [1.0])
    noisy = model.sample(torch.full((300, 300), 250.0), torch.Generator().manual_seed(0))
    assert float(noisy.mean()) == pytest.approx(250, rel=0.01)
    assert float(noisy.var()) == pytest.approx(400, rel=0.03)
    skew = float(((noisy - noisy.mean()) ** 3).mean() / noisy.std() ** 3)
    assert skew == pytest.approx(0.1, abs=0.02)  # gain / sigma


def test_gradient_is_finite_far_away():
    signal = torch.tensor([-1e6, 0.0, 1e6], requires_grad=True)
    value = PoissonGaussian([2.0], [-50.0], [0.5]).log_likelihood(torch.zeros(3), signal)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(signal.grad).all()


def test_json_round_trip():
    model = PoissonGaussian([1.0, 3.0], [0.0, 10.0], [0.1, 0.2], "a test", "y")
    again = noise_model_from_json(noise_model_to_json(model))
    assert again.gain.tolist() == [1.0, 3.0] and again.offset.tolist() == [0.0, 10.0]
    assert again.source == "a test" and again.differences == "y"


@pytest.mark.parametrize(
    ("gain", "offset", "floor"),
    [([1.0], [0.0], [0.0]), ([1.0, 2.0], [0.0], [1.0]), ([np.nan], [0.0], [1.0]), ([], [], [])],
)
def test_impossible_curves_are_refused(gain, offset, floor):
    with pytest.raises(NoiseModelError):
        PoissonGaussian(gain, offset, floor)
