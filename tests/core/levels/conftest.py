"""A random network of three levels, with and without stabilised noise."""

from __future__ import annotations

import pytest

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.planes import Prepared
from simulated import TINY, network

SUMMARY = TrainingSummary(
    version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
    data_low=100, data_high=350,
)  # fmt: skip
THREE = TINY.model_copy(update={"levels": 3})


@pytest.fixture
def make(tiny_config):
    """A model with a network of this config."""

    def made(config: NetworkConfig = THREE, *, stabilised: bool = False) -> HDN:
        normalisation = Normalisation(20.0, 4.0, True) if stabilised else Normalisation(220.0, 60.0)
        noise_model = PoissonGaussian([2.0], [-190.0], [5.0])
        training = tiny_config.model_copy(update={"network": config})
        return HDN(training, network(config), noise_model, normalisation, SUMMARY)

    return made


@pytest.fixture(params=[False, True], ids=["plain", "stabilised"])
def model(request, make) -> HDN:
    return make(stabilised=request.param)


@pytest.fixture
def ready():
    """A model's network on the CPU, exactly."""

    def prepared(model: HDN) -> Prepared:
        return Prepared(
            model.network,
            model.normalisation,
            model.noise_model,
            Device("cpu", "", False),
            "float32",
        )

    return prepared
