"""What is planned is what is counted, and what will not fit is told."""

import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.estimates import restoration
from napari_hdn.core.estimates.costs import Cost
from napari_hdn.core.estimates.restoration import estimate_restoration
from napari_hdn.core.events import Stop
from napari_hdn.core.settings import Settings, put_in_force


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
        return Cost(1e-6 * 10, 0)

    monkeypatch.setattr(restoration, "cost_of", cost)
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


def test_a_stop_ends_a_probe(tiny_model):
    stop = Stop()
    stop.request()
    config = RestorationConfig(device="cpu")
    assert estimate_restoration(tiny_model, [_stack((1, 64, 64))], config, stop=stop) is None
