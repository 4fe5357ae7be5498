"""A random network of three levels as a model, and its network on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hdn.core.devices import Device
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.drawing import Drawing
from napari_hdn.core.restoring.planes import Prepared
from simulated import TINY, network, simulate

SUMMARY = TrainingSummary(
    version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
    data_low=100, data_high=350,
)  # fmt: skip


@pytest.fixture
def model(tiny_config) -> HDN:
    """Its noise model is that of `simulated.simulate`."""
    config = TINY.model_copy(update={"levels": 3})
    training = tiny_config.model_copy(update={"network": config})
    noise_model = PoissonGaussian([2.0], [-191.0], [5.0])
    return HDN(training, network(config), noise_model, Normalisation(220.0, 60.0), SUMMARY)


@pytest.fixture
def prepared(model) -> Prepared:
    device = Device("cpu", "", False)
    return Prepared(model.network, model.normalisation, model.noise_model, device, "float32")


@pytest.fixture
def drawing(model) -> Drawing:
    """Draws four samples."""
    return Drawing(model, 4, device="cpu")


@pytest.fixture
def counts() -> np.ndarray:
    """(Y, X) = (72, 80) counts."""
    return simulate((1, 72, 80))[0]
