import numpy as np
import pytest
import torch

from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.base import Clipping, noise_model_from_json, noise_model_to_json
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined


def test_a_scaled_gaussian_is_the_gaussian_of_that_size():
    scaled, plain = Refined(Gaussian(10.0), [2.25]), Gaussian(15.0)
    x, s = torch.linspace(20, 180, 50)[None], torch.full((1, 50), 100.0)
    torch.testing.assert_close(scaled.log_likelihood(x, s), plain.log_likelihood(x, s))
    torch.testing.assert_close(scaled.variance(s), plain.variance(s))
    for mine, theirs in zip(scaled.log_tails(130.0, s), plain.log_tails(130.0, s), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_clipping_is_that_of_the_whole():
    inner = Gaussian(10.0)
    inner.clipping = Clipping(high=120.0)
    scaled, plain = Refined(inner, [2.25]), Gaussian(15.0)
    plain.clipping = Clipping(high=120.0)
    x, s = torch.tensor([[100.0, 120.0]]), torch.tensor([[110.0, 110.0]])
    torch.testing.assert_close(scaled.log_likelihood(x, s), plain.log_likelihood(x, s))


def test_each_image_has_its_own_scale():
    model = Refined(PoissonGaussian([2.0], [5.0], [1.0]), [1.0, 4.0])
    s = torch.full((2, 1, 2, 2), 50.0)
    v = model.variance(s, torch.tensor([1, 0]))
    assert v[0, 0, 0, 0] == pytest.approx(420) and v[1, 0, 0, 0] == pytest.approx(105)
    rng = torch.Generator().manual_seed(0)
    s = torch.full((2, 1, 200, 200), 50.0)
    drawn = model.sample(s, rng, torch.tensor([1, 0]))
    np.testing.assert_allclose(drawn.mean((1, 2, 3)).numpy(), 50, atol=0.4)
    np.testing.assert_allclose(drawn.var((1, 2, 3)).numpy(), [420, 105], rtol=0.05)


def test_the_network_goes_on_in_the_units_it_began_with():
    began = PoissonGaussian([2.0], [5.0], [1.0])
    model = Refined(PoissonGaussian([2.4], [3.0], [1.0]), [1.1], units=began)
    assert float(model.curve().gain) == 2.0
    again = noise_model_from_json(noise_model_to_json(model))
    assert float(again.curve().gain) == 2.0 and again.describe() == model.describe()
    s = torch.linspace(0, 90, 10)[None]
    torch.testing.assert_close(again.variance(s), model.variance(s))


@pytest.mark.parametrize("scale", [[], [0.0], [1.0, -2.0], [np.nan]])
def test_a_scale_is_positive(scale):
    with pytest.raises(NoiseModelError, match="positive"):
        Refined(Gaussian(3.0), scale)
