import numpy as np
import pytest
import torch
from scipy import stats

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import noise_model_from_json, noise_model_to_json
from napari_hdn.core.noise.gaussian import Gaussian, LearnedGaussian


@pytest.mark.parametrize("kind", [Gaussian, LearnedGaussian])
def test_log_likelihood_is_scipys(kind):
    counts, signal = np.array([90.0, 110.0, 400.0]), np.array([100.0, 100.0, 100.0])
    mine = kind(7.5).log_likelihood(torch.tensor(counts), torch.tensor(signal))
    expected = stats.norm(signal, 7.5).logpdf(counts)
    np.testing.assert_allclose(mine.detach().numpy(), expected, rtol=1e-5)


def test_samples_have_the_sigma():
    rng = torch.Generator().manual_seed(0)
    noisy = Gaussian(12.0).sample(torch.full((200, 200), 50.0), rng)
    assert float(noisy.std()) == pytest.approx(12.0, rel=0.02)


@pytest.mark.parametrize("kind", [Gaussian, LearnedGaussian])
def test_json_round_trip(kind):
    again = noise_model_from_json(noise_model_to_json(kind(3.25)))
    assert type(again) is kind and float(again.sigma.detach()) == pytest.approx(3.25)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_sigma_is_refused(sigma):
    with pytest.raises(NoiseModelError, match="sigma > 0"):
        Gaussian(sigma)


def test_learned_sigma_finds_the_spread():
    model = LearnedGaussian(1.0)
    x = 5 * torch.randn(4000, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-model.log_likelihood(x, torch.zeros_like(x)).mean()).backward()
        optimizer.step()
    assert float(model.sigma.detach()) == pytest.approx(5.0, rel=0.05)
