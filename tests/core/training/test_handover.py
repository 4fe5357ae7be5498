"""What the leading process hands over arrives whole."""

import numpy as np
import pytest
import torch

from napari_hdn.core.config import NoiseConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.training import handover
from napari_hdn.core.training.preparation import prepare


@pytest.fixture
def run(stack, tiny_config):
    config = tiny_config.model_copy(update={"noise": NoiseConfig(source="gaussian", sigma=14)})
    return prepare([stack], config, choose("cpu"), Stop())


def state_of(run):
    return {**run.state(run.budget), "optimizer": None, "network": None, "averaged": None}


def test_a_prepared_run(run, stack):
    run.step, run.guard.strikes, run.budget.origin_step = 7, 2, 3
    run.watch.add(5, 0.25)
    other = handover.unpacked_run(handover.packed_run(run), [stack], choose("cpu"))
    assert state_of(other) | {"noise_model": 0} == state_of(run) | {"noise_model": 0}
    assert (other.config, other.family, other.data) == (run.config, run.family, run.data)
    assert other.normalisation == run.normalisation and other.statistics == run.statistics
    for a, b in zip(run.network.state_dict().values(), other.network.state_dict().values()):  # noqa: B905
        assert torch.equal(a, b)
    assert other.noise_model.describe() == "Gaussian noise, sigma 14 counts"
    for a, b in zip(run.patches.batch(7), other.patches.batch(7), strict=True):
        assert torch.equal(a, b)


def test_a_look_that_mended_the_noise_model(run, stack):
    other = handover.unpacked_run(handover.packed_run(run), [stack], choose("cpu"))
    before, run.step, other.step = run.noise_model, 50, 50
    run.watch.add(50, 0.125)
    run.watch.rescaled_at = 50
    run.remember_least()
    run.change_noise_model(Refined(before, [1.0 / 3] * 4))
    handover.take_over_look(other, handover.packed_look(run, before))
    assert other.watch == run.watch and other.at_least_kl[0] == 50
    signal = torch.full((4, 1, 2, 2), 150.0)
    expected = run.noise_model.variance(signal, torch.arange(4))
    assert torch.equal(other.objective.noise_model.variance(signal, torch.arange(4)), expected)
    np.testing.assert_allclose(expected[0], 14**2 / 3, rtol=1e-5)


def test_a_look_that_ended_the_training(run, stack):
    other = handover.unpacked_run(handover.packed_run(run), [stack], choose("cpu"))
    mine = other.noise_model
    run.watch.copies_noise, run.watch.told_at = True, 100
    handover.take_over_look(other, handover.packed_look(run, run.noise_model))
    assert other.watch.copies_noise and other.watch.told_at == 100
    assert other.noise_model is mine and other.at_least_kl is None
