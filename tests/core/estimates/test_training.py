"""What a training takes, from a few of its steps."""

import threading

import pytest

from napari_hdn.core.estimates import training
from napari_hdn.core.estimates.training import estimate_training
from napari_hdn.core.events import Stop


def test_a_training_by_steps_or_by_minutes(tiny_config):
    by_steps = estimate_training(tiny_config.model_copy(update={"steps": 1000}))
    assert by_steps.steps == 1000 and by_steps.seconds > 0
    by_minutes = estimate_training(tiny_config.model_copy(update={"steps": None, "minutes": 2.0}))
    assert by_minutes.seconds == 120
    assert by_minutes.steps == pytest.approx(120 / by_steps.seconds * 1000, rel=0.01)  # same probe


def test_memory_of_a_training_grows_with_batch_and_patch(tiny_config, monkeypatch):
    monkeypatch.setattr(training, "_PROGRAM_BYTES", 0.0)
    base = estimate_training(tiny_config)
    batch = estimate_training(tiny_config.model_copy(update={"batch_size": 8}))
    patch = estimate_training(tiny_config.model_copy(update={"patch_px": 32}))
    parameters = 4 * training._COPIES * base.disk_bytes / (4 * training._ON_DISK)
    grew = [
        (e.memory_bytes - parameters) / (base.memory_bytes - parameters) for e in (batch, patch)
    ]
    assert grew == pytest.approx([4, 4], rel=0.35)


def test_a_slow_training_is_probed_with_a_few_patches(tiny_config, monkeypatch):
    asked = []

    def steps(config, batch, stop):
        asked.append(batch)
        return training._Probe(0.5 * batch, 100.0 * batch, 7)

    monkeypatch.setattr(training, "_steps", steps)
    told = estimate_training(tiny_config.model_copy(update={"batch_size": 64, "steps": 10}))
    assert asked == [2] and told.seconds == pytest.approx(10 * 0.5 * 64)


def test_a_stop_ends_a_probe(tiny_config):
    stop = Stop()
    stop.request()
    assert estimate_training(tiny_config, stop=stop) is None
    assert threading.active_count() < 20
