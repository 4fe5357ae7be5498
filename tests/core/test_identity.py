import copy

import pytest
import torch

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.identity import asked_digest
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from simulated import network

CONFIG = RestorationConfig(samples=4, outputs=("mean", "std"))


@pytest.fixture
def model(tiny_config):
    summary = TrainingSummary(
        version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=100, data_high=350,
    )  # fmt: skip
    noise_model = PoissonGaussian([2.0], [-190.0], [5.0])
    return HDN(tiny_config, network(), noise_model, Normalisation(220.0, 60.0), summary)


def test_the_same_wish_has_the_same_digest_wherever_it_is_computed(model, tmp_path):
    digest = asked_digest(model, CONFIG)
    model.folder = tmp_path / "renamed"
    elsewhere = CONFIG.model_copy(update={"device": "cpu", "tile_px": 64, "batch_size": 1})
    assert asked_digest(copy.deepcopy(model), elsewhere) == digest


def test_whatever_changes_the_pixels_changes_the_digest(model):
    def changed(change):
        other = copy.deepcopy(model)
        change(other)
        return asked_digest(other, CONFIG)

    def weight(other):
        with torch.no_grad():
            next(other.network.parameters()).view(-1)[0] += 1e-6

    def noise(other):
        other.noise_model = PoissonGaussian([2.0], [-190.0], [5.1])

    def normalisation(other):
        other.normalisation = Normalisation(220.0, 60.5)

    digests = [asked_digest(model, CONFIG), *map(changed, (weight, noise, normalisation))]
    for wish in (
        {"seed": 1},
        {"samples": 5},
        {"outputs": ("mean",)},
        {"flips": True},
        {"deactivated_levels": (1,)},
        {"channel": 0},
    ):
        digests.append(asked_digest(model, CONFIG.model_copy(update=wish)))
    digests.append(asked_digest(model, CONFIG, integers=True))
    assert len(set(digests)) == len(digests) == 11
