import numpy as np
import pytest
import torch
from scipy import stats

from napari_hdn.core.model.ladder import generator_noise
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.training.objective import Objective
from simulated import network

COUNTS = 100 + 20 * torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
IMAGE = torch.tensor([0, 1, 0])


def test_losses_are_written_out():
    net, free = network(), 0.05
    objective = Objective(net, Gaussian(10.0), Normalisation(100.0, 20.0), free)
    with torch.no_grad():
        losses = objective(COUNTS, IMAGE, torch.Generator().manual_seed(1), dropout=False)
        features = net.encode((COUNTS - 100) / 20)
        noise = generator_noise(torch.Generator().manual_seed(1))
        decoded = net.decode(features, ["sample"] * 2, noise, with_kl=True)
    signal = decoded.signal.numpy() * 20 + 100
    reconstruction = -stats.norm(signal, 10).logpdf(COUNTS.numpy()).mean()
    kl = np.stack([k.numpy() for k in decoded.kl]) / 256
    assert float(losses.reconstruction) == pytest.approx(reconstruction, rel=1e-5)
    np.testing.assert_allclose(losses.kl.numpy(), kl.mean(axis=1), rtol=1e-5)
    expected = reconstruction + np.maximum(kl, free).mean(axis=1).sum()
    assert float(losses.loss) == pytest.approx(expected, rel=1e-5)


def test_stabilised_signal_gets_the_likelihood_in_counts():
    noise_model = PoissonGaussian([2.0, 4.0], [-100.0, -300.0], [10.0, 20.0])
    objective = Objective(network(), noise_model, Normalisation(3.0, 2.0, stabilised=True), 0.0)
    with torch.no_grad():
        losses = objective(COUNTS, IMAGE, torch.Generator().manual_seed(1), dropout=False)
        curve = noise_model.curve(IMAGE)
        features = objective.network.encode((curve.stabilise(COUNTS) - 3) / 2)
        noise = generator_noise(torch.Generator().manual_seed(1))
        signal = curve.unstabilise(
            objective.network.decode(features, ["sample"] * 2, noise).signal * 2 + 3
        )
        expected = -noise_model.log_likelihood(COUNTS, signal, IMAGE).mean()
    assert float(losses.reconstruction) == pytest.approx(float(expected), rel=1e-5)


def test_dropout_only_where_asked():
    objective = Objective(network().train(), Gaussian(10.0), Normalisation(100.0, 20.0), 0.0)

    def loss(dropout):
        with torch.no_grad():
            return float(objective(COUNTS, IMAGE, torch.Generator().manual_seed(1), dropout).loss)

    assert loss(False) == loss(False)
    assert loss(True) != loss(False)
