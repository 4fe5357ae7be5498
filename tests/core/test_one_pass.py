import numpy as np
import pytest
import torch

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.hdn import HDN
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.one_pass import OnePass, save_torchscript, typical_curve
from simulated import network, simulate


@pytest.fixture
def image():
    return torch.from_numpy(simulate((2, 1, 48, 64)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit.load
@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(levels=2, channels=8, latent_channels=4),
        NetworkConfig(levels=3, channels=8, latent_channels=4, deactivated_levels=(1,)),
        NetworkConfig(
            levels=3, channels=8, latent_channels=4, deactivated_levels=(1, 2),
            deactivation="posterior", trunk="half", activation="elu",
        ),
        NetworkConfig(
            levels=2, channels=8, latent_channels=4, batch_norm=False, gated=False,
            generative_skip=False, activation="relu", top_prior="standard",
        ),
    ],
)  # fmt: skip
def test_torchscript_is_a_restoration_from_the_means_at_any_size(
    tiny_model, image, tmp_path, config
):
    training = tiny_model.config.model_copy(update={"network": config})
    model = HDN(
        training, network(config), tiny_model.noise_model, tiny_model.normalisation,
        tiny_model.summary,
    )  # fmt: skip
    save_torchscript(OnePass(model), tmp_path / "pass.pt")
    loaded = torch.jit.load(tmp_path / "pass.pt")
    for counts in (image, image[:1, :, :16, :40]):
        wanted = model.restore(counts[:, 0].numpy(), "TYX", samples=1, precision="float32").mean
        got = loaded(counts).detach().numpy()[:, 0]
        np.testing.assert_allclose(got, wanted, atol=1e-4 * np.ptp(wanted))


def test_the_typical_curve_is_that_of_the_median_gain():
    many = PoissonGaussian([3.0, 1.0, 2.0], [30.0, 10.0, 20.0], [5.0, 5.0, 5.0])
    for model in (many, Refined(many, [1.0]), Refined(Refined(many, [2.0]), [1.0])):
        curve = typical_curve(model)
        assert (float(curve.gain), float(curve.offset)) == (2.0, 20.0)
