"""Restoring with real worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("distributed")


from clustered import Log, Logged, PlainTarget, local_cluster
from napari_hdn.core import regions, restoration
from napari_hdn.core.config import RestorationConfig, TrainingConfig
from napari_hdn.core.errors import ClusterError, DamagedPlaneError
from napari_hdn.core.events import (
    PlaneFailed,
    PlaneRestored,
    RestorationFinished,
    RestorationProgress,
    Stop,
)
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoration import restore_all
from napari_hdn.io.cluster.agreement import agree
from napari_hdn.io.cluster.crew import Crew, crew_at
from napari_hdn.io.cluster.restoring import restore_by
from napari_hdn.io.images import FileStack, open_images
from simulated import TINY, network, simulate

CONFIG = RestorationConfig(outputs=("mean", "std"), samples=6, tile_px=64, device="cpu")


@pytest.fixture(scope="module")
def cluster():
    with local_cluster() as cluster:
        yield cluster


@pytest.fixture
def crew(cluster):
    with crew_at(cluster.scheduler_address) as crew:
        crew.client.wait_for_workers(2)
        yield crew


@pytest.fixture
def slow(crew: Crew, tmp_path: Path):
    """A log of what workers do, who take 0.2 s more for each region."""
    crew.client.register_plugin(Logged(tmp_path / "log", 0.2))
    yield tmp_path / "log"
    if crew.connected:
        crew.client.unregister_worker_plugin("logged")


@pytest.fixture
def model(tmp_path: Path) -> HDN:
    config = TrainingConfig(network=TINY, minutes=None, steps=6, device="cpu", precision="float32")
    summary = TrainingSummary(
        version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
        data_low=100, data_high=350,
    )  # fmt: skip
    noise_model = PoissonGaussian([2.0], [-190.0], [5.0])
    model = HDN(config, network(), noise_model, Normalisation(20.0, 4.0, True), summary)
    model.save(tmp_path / "model")
    return model


def stack_of(folder: Path, counts: np.ndarray) -> FileStack:
    tifffile.imwrite(folder / "cells.tif", counts, photometric="minisblack")
    return open_images([folder / "cells.tif"], axes="TYX")[0]


def target_for(folder, agreed, name="out"):
    return PlainTarget(
        folder / name, agreed.stack.array.shape, agreed.config.products, agreed.chunk_rows
    )


def restored(crew, model, stack, folder, config=CONFIG):
    agreed = agree(crew, model, stack, config, folder=folder)
    target = target_for(folder, agreed)
    return agreed, target, list(restore_by(crew, agreed, target))


def of(kind, events):
    return [e for e in events if isinstance(e, kind)]


@pytest.mark.parametrize("huge", [False, True])
def test_many_processes_make_what_one_does_and_write_each_region_once(
    crew, model, slow, tmp_path, monkeypatch, huge
):
    if huge:  # for the client, who plans
        monkeypatch.setattr(regions, "HUGE_PX", 0)
        monkeypatch.setattr(regions, "LEAST_PX", 0)
    stack = stack_of(tmp_path, simulate((3, 150, 90)))
    agreed, target, events = restored(crew, model, stack, tmp_path)
    assert len(agreed.regions) == (9 if huge else 3)
    whole = restore_all(model, stack, CONFIG)
    np.testing.assert_array_equal(target["mean"], whole.mean)
    np.testing.assert_array_equal(target["std"], whole.std)
    assert sorted(e.index for e in of(PlaneRestored, events)) == [(0,), (1,), (2,)]
    finished = list(restoration.restore(model, stack, CONFIG))[-1]
    assert events[-1] == finished and finished.spread is not None
    fractions = [e.fraction for e in of(RestorationProgress, events)]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert sorted(target.marked, key=agreed.regions.index) == list(agreed.regions)
    log = Log.read(slow)
    assert {(r.number, r.start) for r in agreed.regions} == set(log.ended)
    assert all(len(pids) == 1 for pids in log.begun.values())
    assert len({pid for pids in log.ended.values() for pid in pids}) == 2  # both had work


def test_a_killed_worker_costs_only_what_it_was_at(crew, model, slow, tmp_path):
    stack = stack_of(tmp_path, simulate((10, 64, 64)))
    agreed = agree(crew, model, stack, CONFIG, folder=tmp_path)
    target = target_for(tmp_path, agreed)
    victim = None
    for event in restore_by(crew, agreed, target):
        if isinstance(event, PlaneRestored) and victim is None:
            while victim is None:  # a worker in the middle of a region
                log = Log.read(slow)
                open_ = [p[-1] for k, p in log.begun.items() if k not in log.ended]
                victim = open_[0] if open_ else None
            os.kill(victim, signal.SIGKILL)
    assert event == RestorationFinished(10, 10, False, event.spread, 0)
    np.testing.assert_array_equal(target["mean"], restore_all(model, stack, CONFIG).mean)
    log = Log.read(slow)
    again = {key: pids for key, pids in log.begun.items() if len(pids) > 1}
    assert 1 <= len(again) <= 3  # what it was at, and what it had not handed in yet
    assert all(pids[0] == victim and victim not in pids[1:] for pids in again.values())
    assert len(target.marked) == 10


def test_stop_keeps_what_is_done_and_the_rest_follows(crew, model, slow, tmp_path):
    stack = stack_of(tmp_path, simulate((12, 64, 64)))
    agreed = agree(crew, model, stack, CONFIG, folder=tmp_path)
    target, stop = target_for(tmp_path, agreed), Stop()
    for event in restore_by(crew, agreed, target, stop=stop):
        if isinstance(event, PlaneRestored):
            stop.request()
    assert event.stopped and 1 <= event.planes < 12 and event.planes == len(target.marked)
    begun = len(Log.read(slow).begun)
    time.sleep(0.5)
    assert len(Log.read(slow).begun) == begun  # nobody goes on behind our back
    for region in target.marked:
        assert np.isfinite(target["mean"][region.index]).all()
    first = Log.read(slow)
    target.before, target.marked = set(target.marked), []
    assert list(restore_by(crew, agreed, target))[-1].planes == 12
    np.testing.assert_array_equal(target["mean"], restore_all(model, stack, CONFIG).mean)
    for region in target.before:  # was not touched again
        key = (region.number, region.start)
        assert Log.read(slow).begun[key] == first.begun[key]


def test_a_damaged_plane_is_told_and_left_out(crew, model, tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "HUGE_PX", 0)
    monkeypatch.setattr(regions, "LEAST_PX", 0)
    counts = simulate((3, 200, 64))
    counts[1, 190, 3] = np.nan
    stack = stack_of(tmp_path, counts)
    _, target, events = restored(crew, model, stack, tmp_path)
    (failed,) = of(PlaneFailed, events)
    assert failed.index == (1,) and "cells.tif" in failed.reason
    assert events[-1].planes == 2 and events[-1].failed == 1 and not events[-1].stopped
    assert np.isnan(target["mean"][1]).all() and np.isfinite(target["mean"][[0, 2]]).all()
    counts[:] = np.nan
    stack = stack_of(tmp_path, counts)
    with pytest.raises(DamagedPlaneError, match="cells"):
        restored(crew, model, stack, tmp_path)


def test_a_model_that_workers_do_not_see_travels_to_them(crew, model, tmp_path):
    stack = stack_of(tmp_path, simulate((2, 64, 64)))
    model.folder = None
    agreed, target, _ = restored(crew, model, stack, tmp_path)
    assert set(agreed.files.contents) == {"config.json", "weights.safetensors", "noise_model.json"}
    np.testing.assert_array_equal(target["mean"], restore_all(model, stack, CONFIG).mean)


def test_a_region_that_ends_every_worker_is_told(cluster, crew, model, slow, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)  # the usual 3 would take long
    stack = stack_of(tmp_path, simulate((4, 64, 64)))
    agreed = agree(crew, model, stack, CONFIG, folder=tmp_path)
    events = restore_by(crew, agreed, target_for(tmp_path, agreed))
    with pytest.raises(ClusterError, match=r"Rows 0 to 64 of plane \d ended .* memory"):
        for _ in events:
            os.kill(next(iter(Log.read(slow).begun.values()))[-1], signal.SIGKILL)
            os.kill(list(Log.read(slow).begun.values())[-1][-1], signal.SIGKILL)


def test_workers_that_do_not_see_the_files_are_told(crew, model, tmp_path):
    stack = stack_of(tmp_path, simulate((2, 64, 64)))
    (tmp_path / "cells.tif").rename(tmp_path / "moved.tif")
    with pytest.raises(ClusterError, match=r"does not see .*cells\.tif.* disk that all machines"):
        agree(crew, model, stack, CONFIG, folder=tmp_path)


def test_an_image_that_became_another_is_not_restored(crew, model, tmp_path):
    stack = stack_of(tmp_path, simulate((2, 64, 64)))
    agreed = agree(crew, model, stack, CONFIG, folder=tmp_path)
    stack_of(tmp_path, simulate((2, 64, 80)))
    with pytest.raises(ClusterError, match=r"2 x 64 x 64 is no longer in .* 2 x 64 x 80"):
        list(restore_by(crew, agreed, target_for(tmp_path, agreed)))


def test_a_lost_scheduler_is_told_and_what_is_done_is_kept(crew, model, slow, tmp_path, cluster):
    stack = stack_of(tmp_path, simulate((20, 64, 64)))
    with crew_at(cluster.scheduler_address) as crew:
        agreed = agree(crew, model, stack, CONFIG, folder=tmp_path)
        target = target_for(tmp_path, agreed)
        with pytest.raises(
            ClusterError, match=r"scheduler at .* was lost .* of 20 regions are done"
        ):
            for event in restore_by(crew, agreed, target):
                if isinstance(event, PlaneRestored):
                    cluster.close()  # last of all tests that use it
    assert 1 <= len(target.marked) < 20
