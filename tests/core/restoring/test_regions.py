"""Parts of a stack, restored one by one in any order, are what one process restores."""

from itertools import pairwise

import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import Device, choose
from napari_hdn.core.errors import MemoryShortError
from napari_hdn.core.events import RestorationFinished, Stop
from napari_hdn.core.restoring import regions
from napari_hdn.core.restoring.convergence import pooled
from napari_hdn.core.restoring.regions import (
    Region,
    RegionFailed,
    RegionRestored,
    file_rows,
    plan_regions,
    plane_tiles,
    restore_region,
    settled,
)
from napari_hdn.core.restoring.restoration import restore, restore_all
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.restoring.tiled import Rows
from simulated import simulate

SPREAD = RestorationConfig(outputs=("mean", "std"), samples=6, tile_px=64, device="cpu")


def restorer_of(model, config):
    parts = (model.network, model.normalisation, model.noise_model)
    return Restorer(*parts, config, choose("cpu"))


def in_regions(model, stack, config):
    """All products, with the regions from last to first, and what was told of each."""
    tiles = plane_tiles(config, model.config.network, stack.plane_shape)
    found = plan_regions(stack, tiles, file_rows(tiles, stack.plane_shape))
    out = {p: np.full(stack.array.shape, np.nan, np.float32) for p in config.products}
    told = {}
    for region in reversed(found):
        restorer = restorer_of(model, config)  # as another process would
        for part in restore_region(model, stack, restorer, region, Stop()):
            if isinstance(part, Rows):
                for product, rows in part.planes.items():
                    out[product][(*region.index, part.rows)] = rows
            elif not isinstance(part, float):
                told[region] = part
    return out, [told[region] for region in found]


@pytest.fixture
def cut(monkeypatch):
    """Planes of any size are cut wherever they can be."""
    monkeypatch.setattr(regions, "HUGE_PX", 0)
    monkeypatch.setattr(regions, "LEAST_PX", 0)


@pytest.mark.parametrize("huge", [False, True])
def test_regions_are_what_one_process_restores_bit_for_bit(tiny_model, huge, request):
    if huge:
        request.getfixturevalue("cut")
    stack = ImageStack(simulate((2, 200, 90)), "TYX", "cells")
    whole = restore_all(tiny_model, stack, SPREAD)
    parts, told = in_regions(tiny_model, stack, SPREAD)
    assert len(told) == (8 if huge else 2)
    np.testing.assert_array_equal(parts["mean"], whole.mean)
    np.testing.assert_array_equal(parts["std"], whole.std)
    last = list(restore(tiny_model, stack, SPREAD))[-1]
    assert isinstance(last, RestorationFinished)
    assert pooled([s for t in told for s in t.spreads]) == last.spread


@pytest.mark.parametrize("size", [(40, 50), (200, 300), (700, 900), (1500, 400)])
@pytest.mark.parametrize("outputs", [("mean",), ("mean", "samples")])
@pytest.mark.parametrize("free", [1e8, 3e8, 1e12])
def test_settled_tiles_are_those_that_a_process_with_such_memory_takes(
    tiny_model, monkeypatch, size, outputs, free
):
    config = RestorationConfig(outputs=outputs, device="cpu")
    network = tiny_model.config.network
    monkeypatch.setattr(Device, "free_bytes", lambda device: free)
    free_to_choose = restorer_of(tiny_model, config)
    fixed = settled(config, network, size, free)
    chosen = free_to_choose.plan(size)
    assert plane_tiles(fixed, network, size) == chosen
    assert fixed.batch_size == free_to_choose.batch
    monkeypatch.setattr(Device, "free_bytes", lambda device: 1e6)  # no longer matters
    assert restorer_of(tiny_model, fixed).plan(size) == chosen


def test_a_chosen_side_of_tiles_stays(tiny_model):
    assert settled(SPREAD, tiny_model.config.network, (5000, 5000), 1e6) == SPREAD


def test_no_two_regions_share_a_file(tiny_model, cut, monkeypatch):
    monkeypatch.setattr(regions, "LEAST_PX", 300 * 40)
    monkeypatch.setattr(regions, "FILE_ROWS", 1024)
    stack = ImageStack(np.zeros((3, 2000, 40), np.uint8), "ZYX")
    for side in (64, 184, 504, 1496):
        config = RestorationConfig(tile_px=side)
        tiles = plane_tiles(config, tiny_model.config.network, (2000, 40))
        rows = file_rows(tiles, (2000, 40))
        assert side % rows == 0 and rows <= 1024
        found = plan_regions(stack, tiles, rows)
        assert next(r for r in found if r.number == 2).index == (2,)
        for plane in range(3):
            of_plane = [r for r in found if r.number == plane]
            assert of_plane[0].start == 0 and of_plane[-1].stop == 2000
            assert all(a.stop == b.start for a, b in pairwise(of_plane))
            assert all(r.start % side == 0 for r in of_plane)
            assert all(r.stop - r.start >= 300 for r in of_plane[:-1])


def test_regions_keep_to_files_that_were_chosen_by_others(tiny_model, cut):
    stack = ImageStack(np.zeros((2000, 40), np.uint8), "YX")
    tiles = plane_tiles(RestorationConfig(tile_px=64), tiny_model.config.network, (2000, 40))
    found = plan_regions(stack, tiles, 96)
    assert [r.start for r in found] == list(range(0, 2000, 192))


def test_short_memory_changes_no_region_and_is_told(tiny_model, monkeypatch, cut):
    stack = ImageStack(simulate((1, 200, 90)), "TYX", "cells")
    config = SPREAD.model_copy(update={"batch_size": 1})
    whole = restore_all(tiny_model, stack, config)
    restorer = restorer_of(tiny_model, config)
    decode, room = restorer._decode, {"px": 150 * 92}

    def short(features, batch, noise, corner):
        signal = decode(features, batch, noise, corner)
        if signal.shape[-2] * signal.shape[-1] > room["px"]:
            raise MemoryError
        return signal

    monkeypatch.setattr(restorer, "_decode", short)
    for region in plan_regions(stack, restorer.plan((200, 90)), 64):
        parts = list(restore_region(tiny_model, stack, restorer, region, Stop()))
        rows = [p for p in parts if isinstance(p, Rows)]
        assert rows[0].rows.start == region.start and rows[-1].rows.stop == region.stop
        mean = np.concatenate([r.planes["mean"] for r in rows])
        np.testing.assert_allclose(mean, whole.mean[0, region.rows], rtol=1e-3)
        assert parts[-1].short == (region.start == 64)  # which sees most
    room["px"] = 1
    with pytest.raises(MemoryShortError, match="not enough memory on CPU"):
        list(restore_region(tiny_model, stack, restorer, Region(0, (0,), 0, 64), Stop()))


def test_a_damaged_plane_is_told_and_stop_leaves_a_region_unfinished(tiny_model):
    counts = simulate((2, 100, 64))
    counts[1, 50, 3] = np.nan
    stack = ImageStack(counts, "TYX", "cells")
    restorer = restorer_of(tiny_model, SPREAD)
    damaged = list(restore_region(tiny_model, stack, restorer, Region(1, (1,), 0, 100), Stop()))
    assert isinstance(damaged[-1], RegionFailed) and "cells" in damaged[-1].reason
    stop = Stop()
    stop.request()
    parts = list(restore_region(tiny_model, stack, restorer, Region(0, (0,), 0, 100), stop))
    assert not any(isinstance(p, RegionRestored | Rows) for p in parts)


def test_a_range_far_from_training_is_told(tiny_model):
    stack = ImageStack(simulate((1, 64, 64)) * 50, "TYX", "cells")
    _, told = in_regions(tiny_model, stack, SPREAD)
    assert "was trained on images from 100 to 350" in told[0].remark
