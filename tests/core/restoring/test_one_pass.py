import numpy as np
import pytest
import torch

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoring.one_pass import OnePass, save_torchscript
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
