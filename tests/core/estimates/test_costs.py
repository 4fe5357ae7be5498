"""The probe, on a machine whose clock the tests turn."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.estimates import costs
from napari_hdn.core.estimates.restoration import estimate_restoration
from napari_hdn.core.restoring.restorer import Restorer

ONCE_S, DRAW_S = 1e-5, 3e-5  # a pixel


@pytest.fixture
def probed(monkeypatch):
    """Sides of the pieces that were probed, on a machine of exactly that speed."""
    clock, sides = SimpleNamespace(now=0.0), []

    def plane(self, read, size, number, stop):
        sides.append(size[0])
        px = size[0] * size[1]
        turns = {draw.orientation for draw in self.draws}
        clock.now += px * (ONCE_S * len(turns) + DRAW_S * len(self.draws))
        yield 1.0

    monkeypatch.setattr(Restorer, "plane", plane)
    told = SimpleNamespace(perf_counter=lambda: clock.now, monotonic=lambda: clock.now)
    monkeypatch.setattr(costs, "time", told)
    return sides


def _estimate(model, shape, **wishes):
    stack = ImageStack(np.broadcast_to(np.uint16(0), shape), "TYX", "cells")
    config = RestorationConfig(device="cpu", precision="float32", **wishes)
    return estimate_restoration(model, [stack], config, in_memory=True)


def test_the_probe_tells_once_from_each_sample(tiny_model, probed):
    told = _estimate(tiny_model, (100, 256, 256), outputs=("mean",), samples=8)
    assert told.seconds == pytest.approx(100 * 256**2 * (ONCE_S + 8 * DRAW_S))
    probes = len(probed)
    more = _estimate(tiny_model, (200, 256, 256), outputs=("mean",), samples=8, flips=True)
    assert more.seconds == pytest.approx(200 * 256**2 * 4 * (ONCE_S + 8 * DRAW_S))
    assert len(probed) == probes  # nothing is measured anew


def test_a_small_job_is_probed_once_and_roughly(tiny_model, probed):
    told = _estimate(tiny_model, (1, 64, 64), outputs=("mean",), samples=4)
    real = 64**2 * (ONCE_S + 4 * DRAW_S)
    assert real <= told.seconds < 3 * real
    assert probed == [64, 64]  # one of them to warm up
    _estimate(tiny_model, (1, 64, 64), outputs=("mean",), samples=4)
    assert len(probed) == 4  # it is not kept, as it is not good enough for a larger job
