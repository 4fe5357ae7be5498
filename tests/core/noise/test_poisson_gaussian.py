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


def test_log_likelihood_is_scipys():
    model = PoissonGaussian([2.0], [-50.0], [4.0])
    signal, counts = np.array([10.0, 100.0, 500.0]), np.array([12.0, 80.0, 505.0])
    sigma = np.sqrt(np.maximum(2 * signal - 50, 4))
    mine = model.log_likelihood(torch.tensor(counts), torch.tensor(signal))
    np.testing.assert_allclose(mine, stats.norm(signal, sigma).logpdf(counts), rtol=1e-5)


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
