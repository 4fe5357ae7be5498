"""Estimates: what is planned is what is counted, and what will not fit is told."""

import itertools
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.estimates import restoration, training
from napari_hdn.core.estimates.restoration import estimate_restoration
from napari_hdn.core.estimates.training import estimate_training
from napari_hdn.core.estimates.words import Estimate, about, size, spoken_count
from napari_hdn.core.events import Stop
from napari_hdn.core.restoring.restoration import restore
from napari_hdn.core.settings import Settings, put_in_force


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(restoration, "_costs", type(restoration._costs)())
    monkeypatch.setattr(training, "_probes", type(training._probes)())


@pytest.fixture
def known(monkeypatch):
    """A machine where each pixel costs 1 µs once and 2 µs for each sample."""
    monkeypatch.setattr(restoration, "_cost", lambda *args: restoration.Cost(1e-6, 2e-6))


def _stack(shape, axes="TYX", dtype=np.uint16):
    return ImageStack(np.zeros(shape, dtype), axes, "cells")


def test_time_is_that_of_all_planes_samples_and_orientations(tiny_model, known):
    config = RestorationConfig(samples=4, device="cpu")
    one = estimate_restoration(tiny_model, [_stack((1, 64, 64))], config, in_memory=True)
    assert one.seconds == pytest.approx(64**2 * (1 + 4 * 2) * 1e-6)
    many = estimate_restoration(
        tiny_model, [_stack((5, 64, 64)), _stack((3, 32, 64))], config, in_memory=True
    )
    assert many.seconds == pytest.approx((5 + 1.5) * one.seconds)
    flips = config.model_copy(update={"flips": True})
    flipped = estimate_restoration(tiny_model, [_stack((1, 64, 64))], flips, in_memory=True)
    assert flipped.seconds == pytest.approx(64**2 * (4 + 16 * 2) * 1e-6)


def test_workers_share_the_planes_of_an_image_and_take_memory_each(tiny_model, monkeypatch):
    threads = []

    def cost(*args):
        threads.append(torch.get_num_threads())
        return restoration.Cost(1e-6 * 10, 0)

    monkeypatch.setattr(restoration, "_cost", cost)
    config, before = RestorationConfig(samples=1, device="cpu"), torch.get_num_threads()
    stacks = [_stack((5, 64, 64)), _stack((1, 64, 64))]
    alone = estimate_restoration(tiny_model, stacks, config)
    shared = estimate_restoration(tiny_model, stacks, config, workers=2, threads=1)
    # three turns of two planes (one of them alone), and the only plane of the second image
    disk_s = alone.disk_bytes / 4e8
    assert (shared.seconds - disk_s) / (alone.seconds - disk_s) == pytest.approx((3 + 1) / 6)
    assert shared.memory_bytes == 2 * (alone.memory_bytes + 2.1e8)
    assert threads[-1] == 1 and torch.get_num_threads() == before
    huge = ImageStack(np.broadcast_to(np.uint16(0), (1, 8192, 8192)), "TYX", "huge")
    assert restoration._shared([huge], 4)[8192, 8192] == 1 / 4  # in bands


def test_halos_of_tiles_cost_time_and_spare_memory(tiny_model, known):
    whole = RestorationConfig(samples=1, device="cpu")
    tiles = whole.model_copy(update={"tile_px": 64})
    stack = [_stack((1, 512, 512))]
    a = estimate_restoration(tiny_model, stack, whole, in_memory=True)
    b = estimate_restoration(tiny_model, stack, tiles, in_memory=True)
    # tiles of 64 with 64 around: the inner six of each side see 192, the outer two 128
    assert b.seconds / a.seconds == pytest.approx((6 * 192 + 2 * 128) ** 2 / 512**2)
    assert b.memory_bytes < a.memory_bytes


def test_one_channel_of_several_is_a_part_of_the_work(tiny_model, known):
    stack = [_stack((3, 2, 64, 64), "CTYX")]
    config = RestorationConfig(device="cpu", channel=1)
    one = estimate_restoration(tiny_model, stack, config)
    all_ = estimate_restoration(tiny_model, stack, config.model_copy(update={"channel": None}))
    assert 3 * one.seconds == pytest.approx(all_.seconds) and 3 * one.disk_bytes == all_.disk_bytes


def test_results_are_counted_where_they_go(tiny_model, known):
    config = RestorationConfig(outputs=("mean", "std", "samples"), samples=5, device="cpu")
    stack = [_stack((4, 64, 32))]
    pixels = 4 * 64 * 32
    files = estimate_restoration(tiny_model, stack, config)
    assert files.disk_bytes == 4 * pixels * (1 + 1 + 5)
    integers = estimate_restoration(tiny_model, stack, config, integers=True)
    assert integers.disk_bytes == pixels * (2 + 4 + 5 * 2)
    layers = estimate_restoration(tiny_model, stack, config, in_memory=True)
    # samples of a layer are drawn when they are looked at
    assert layers.disk_bytes == 0
    assert layers.memory_bytes - files.memory_bytes == pytest.approx(4 * pixels * 2)


def test_the_probe_measures_what_the_work_costs(tiny_model, monkeypatch):
    """Within a factor of 3 of the real thing in processor time, on a network of almost no cost."""
    clock = SimpleNamespace(perf_counter=time.process_time, monotonic=time.process_time)
    monkeypatch.setattr(restoration, "time", clock)
    config = RestorationConfig(samples=8, device="cpu", precision="float32")
    stack = ImageStack(np.random.default_rng(0).uniform(100, 300, (3, 256, 256)), "TYX", "cells")
    told = estimate_restoration(tiny_model, [stack], config, in_memory=True)
    list(restore(tiny_model, stack, config))  # warm
    began = time.process_time()
    list(restore(tiny_model, stack, config))
    real = time.process_time() - began
    assert real / 3 < told.seconds < 3 * real
    began = time.process_time()
    estimate_restoration(tiny_model, [stack], config.model_copy(update={"samples": 16}))
    assert time.process_time() - began < 0.2  # nothing is measured anew


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


def test_a_stop_ends_a_probe(tiny_model, tiny_config):
    stop = Stop()
    stop.request()
    config = RestorationConfig(device="cpu")
    assert estimate_restoration(tiny_model, [_stack((1, 64, 64))], config, stop=stop) is None
    assert estimate_training(tiny_config, stop=stop) is None
    assert threading.active_count() < 20


def test_what_will_not_fit_is_told_with_numbers(tiny_model, known, monkeypatch):
    monkeypatch.setattr(Device, "free_bytes", lambda self: 10**6)
    put_in_force(Settings(memory_limit_gb=2))
    config = RestorationConfig(device="cpu")
    stack = [ImageStack(np.broadcast_to(np.uint8(0), (10**5, 256, 256)), "TYX", "long")]
    told = estimate_restoration(tiny_model, stack, config, in_memory=True)
    assert not told.fits
    assert "of memory, but 1 MB are free within the limit of 2 GB in the settings" in told.warning
    assert "fewer outputs" in told.warning
    put_in_force(Settings())
    full = estimate_restoration(tiny_model, stack, config, free_disk=5e9)
    assert "results need up to 26 GB on disk, but 5.0 GB are free there. Make room" in full.warning
    both = estimate_restoration(tiny_model, stack, config, free_disk=5e9).warning
    assert "layers" not in both  # that is of the dock


def test_words():
    said = [about(s) for s in (1, 12, 40, 58, 95, 170, 3000, 6000, 40_000, 3e5)]
    assert said == [
        "a few seconds", "about 10 s", "about 40 s", "about 1 min", "about 1.5 min", "about 3 min",
        "about 50 min", "about 1.5 h", "about 11 h", "about 3 days",
    ]  # fmt: skip
    assert [size(b) for b in (0, 25e3, 34e6, 352e6, 999e6, 1.24e9, 24.2e9, 3e12)] == [
        "0 kB", "25 kB", "34 MB", "350 MB", "1.0 GB", "1.2 GB", "24 GB", "3.0 TB",
    ]  # fmt: skip
    assert [spoken_count(n) for n in (7, 42, 2345, 187_654)] == ["7", "42", "2,300", "190,000"]
    told = Estimate(170, 1.2e9, 2.4e9, 8e9, 9e9)
    assert told.in_words() == "about 3 min, 1.2 GB of memory, 2.4 GB on disk" and told.fits
    training_ = Estimate(600, 9e8, 4.6e7, steps=2345)
    words = "about 10 min, 2,300 steps, 900 MB of memory, 46 MB on disk"
    assert training_.in_words() == words


def test_no_estimate_says_less_time_for_more_work():
    said = [about(s) for s in np.geomspace(1, 1e6, 400)]
    assert len([k for k, _ in itertools.groupby(said)]) == len(set(said))
