"""Restoring with real worker processes."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("distributed")


import zarr

from clustered import Log, Logged, local_cluster
from napari_hdn.api import agree, restore_by
from napari_hdn.core.config import RestorationConfig, TrainingConfig
from napari_hdn.core.errors import ClusterError, DamagedPlaneError, ImageFileError
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
from napari_hdn.core.restoring import regions, restoration
from napari_hdn.core.restoring.restoration import restore_all
from napari_hdn.io.cluster.agreement import Agreement
from napari_hdn.io.cluster.crew import Crew, crew_at
from napari_hdn.io.images import FileStack, open_images
from napari_hdn.io.restorations import RestorationFiles
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


class Files(RestorationFiles):
    """OME-Zarr for an agreement; what came of it is read by product."""

    def __init__(self, folder: Path, agreed: Agreement, integers: bool = False) -> None:
        super().__init__(
            folder / "out", agreed.stack, agreed.config, model="m", format="ome-zarr",
            identity=agreed.identity, rows=agreed.file_rows, integers=integers,
        )  # fmt: skip

    def __getitem__(self, product: str) -> np.ndarray:
        return zarr.open_group(self.written[product], mode="r")["0"][:]


def restored(crew, model, stack, folder, config=CONFIG, *, stop=None, after=lambda event: None):
    """The agreement, the files, the events; ``after`` each event something may happen."""
    agreed = agree(crew, model, stack, config, folder=folder)
    events = []
    with Files(folder, agreed) as files:
        for event in restore_by(crew, agreed, files, stop=stop):
            events.append(event)
            if isinstance(event, PlaneFailed):
                files.give_up(event.index)
            after(event)
    return agreed, files, events


def of(kind, events):
    return [e for e in events if isinstance(e, kind)]


@pytest.fixture
def cut(monkeypatch):
    """The client, who plans, cuts planes of any size wherever they can be."""
    monkeypatch.setattr(regions, "HUGE_PX", 0)
    monkeypatch.setattr(regions, "LEAST_PX", 0)


@pytest.mark.parametrize("huge", [False, True])
def test_many_processes_make_what_one_does_and_write_each_region_once(
    crew, model, slow, tmp_path, huge, request, monkeypatch
):
    submit, sent = crew.client.submit, []
    monkeypatch.setattr(
        crew.client,
        "submit",
        lambda f, *a, **k: sent.append(len(pickle.dumps(a))) or submit(f, *a, **k),
    )
    if huge:
        request.getfixturevalue("cut")
    stack = stack_of(tmp_path, simulate((3, 150, 90)))
    agreed, files, events = restored(crew, model, stack, tmp_path)
    assert len(agreed.regions) == (9 if huge else 3)
    whole = restore_all(model, stack, CONFIG)
    np.testing.assert_array_equal(files["mean"], whole.mean)
    np.testing.assert_array_equal(files["std"], whole.std)
    assert sorted(e.index for e in of(PlaneRestored, events)) == [(0,), (1,), (2,)]
    finished = list(restoration.restore(model, stack, CONFIG))[-1]
    assert events[-1] == finished and finished.spread is not None
    fractions = [e.fraction for e in of(RestorationProgress, events)]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    log = Log.read(slow)
    assert {(r.number, r.start) for r in agreed.regions} == set(log.ended)
    assert all(len(pids) == 1 for pids in log.begun.values())
    assert len({pid for pids in log.ended.values() for pid in pids}) == 2  # both had work
    assert not list((tmp_path / "out").glob(".*"))
    assert max(sent) < 300  # bytes: what all regions share was brought once


def test_a_killed_worker_costs_only_what_it_was_at(crew, model, slow, tmp_path):
    stack = stack_of(tmp_path, simulate((10, 64, 64)))
    victims = []

    def kill(event):
        while isinstance(event, PlaneRestored) and not victims:  # one in the middle of a region
            log = Log.read(slow)
            victims.extend([p[-1] for k, p in log.begun.items() if k not in log.ended][:1])
            for victim in victims:
                os.kill(victim, signal.SIGKILL)

    _, files, events = restored(crew, model, stack, tmp_path, after=kill)
    assert events[-1] == RestorationFinished(10, 10, False, events[-1].spread, 0)
    np.testing.assert_array_equal(files["mean"], restore_all(model, stack, CONFIG).mean)
    again = {key: pids for key, pids in Log.read(slow).begun.items() if len(pids) > 1}
    assert 1 <= len(again) <= 3  # what it was at, and what it had not handed in yet
    assert all(pids[0] == victims[0] not in pids[1:] for pids in again.values())


@pytest.mark.parametrize("huge", [False, True])
def test_stop_keeps_what_is_done_and_the_same_restoration_goes_on(
    crew, model, slow, tmp_path, huge, request
):
    if huge:
        request.getfixturevalue("cut")
    stack = stack_of(tmp_path, simulate((4, 192, 64) if huge else (12, 64, 64)))
    stop = Stop()

    def interrupt(event):
        if isinstance(event, PlaneRestored):
            stop.request()

    _, files, events = restored(crew, model, stack, tmp_path, stop=stop, after=interrupt)
    first = Log.read(slow)
    assert events[-1].stopped and 1 <= events[-1].planes < len(stack) and not files.written
    assert "done and kept" in files.kept
    time.sleep(0.5)
    assert Log.read(slow) == first  # nobody goes on behind our back
    _, files, events = restored(crew, model, stack, tmp_path)
    assert events[-1].planes == len(stack)
    np.testing.assert_array_equal(files["mean"], restore_all(model, stack, CONFIG).mean)
    last = Log.read(slow)
    assert len(last.ended) == 12 and len(first.ended) < 12
    for key, pids in first.ended.items():  # was not touched again
        assert last.begun[key] == pids


def test_a_damaged_plane_is_told_and_left_out(crew, model, tmp_path, cut):
    counts = simulate((3, 200, 64))
    counts[1, 190, 3] = np.nan
    stack = stack_of(tmp_path, counts)
    _, files, events = restored(crew, model, stack, tmp_path)
    (failed,) = of(PlaneFailed, events)
    assert failed.index == (1,) and "cells.tif" in failed.reason
    assert events[-1].planes == 2 and events[-1].failed == 1 and not events[-1].stopped
    assert np.isnan(files["mean"][1]).all() and np.isfinite(files["mean"][[0, 2]]).all()
    assert "partial" in files.written["mean"].name
    counts[:] = np.nan
    stack = stack_of(tmp_path, counts)
    with pytest.raises(DamagedPlaneError, match="cells"):
        restored(crew, model, stack, tmp_path)


def test_a_model_that_workers_do_not_see_travels_to_them(crew, model, tmp_path):
    stack = stack_of(tmp_path, simulate((2, 64, 64)))
    model.folder = None
    agreed, files, _ = restored(crew, model, stack, tmp_path)
    assert set(agreed.files.contents) == {"config.json", "weights.safetensors", "noise_model.json"}
    np.testing.assert_array_equal(files["mean"], restore_all(model, stack, CONFIG).mean)


def test_integers_are_written_and_what_was_clipped_is_told(crew, model, tmp_path):
    counts = simulate((2, 64, 64))
    stack = stack_of(tmp_path, np.clip(counts - 120, 0, 255).astype(np.uint8))  # noise goes below 0
    agreed = agree(crew, model, stack, CONFIG, folder=tmp_path)
    with Files(tmp_path, agreed, integers=True) as files:
        list(restore_by(crew, agreed, files))
    exact = np.rint(restore_all(model, stack, CONFIG).mean)
    assert files["mean"].dtype == np.uint8
    np.testing.assert_array_equal(files["mean"], np.clip(exact, 0, 255))
    outside = int(((exact < 0) | (exact > 255)).sum())
    assert outside > 0 and files.clipped == {"mean": outside}


def test_workers_that_do_not_see_the_files_are_told(crew, model, tmp_path):
    stack = stack_of(tmp_path, simulate((2, 64, 64)))
    (tmp_path / "cells.tif").rename(tmp_path / "moved.tif")
    with pytest.raises(ClusterError, match=r"does not see .*cells\.tif.* disk that all machines"):
        restored(crew, model, stack, tmp_path)


def test_an_image_that_became_another_is_not_restored(crew, model, tmp_path):
    stack = stack_of(tmp_path, simulate((2, 64, 64)))
    stack_of(tmp_path, simulate((2, 64, 80)))
    with pytest.raises(ImageFileError, match=r"2 x 64 x 64 is no longer in .* 2 x 64 x 80"):
        restored(crew, model, stack, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_recorded_again_is_opened_again_by_the_same_workers(crew, model, tmp_path):
    for seed in (0, 1):
        counts = simulate((2, 64, 64)) + seed
        stack = stack_of(tmp_path, counts)
        _, files, _ = restored(crew, model, stack, tmp_path)
        np.testing.assert_array_equal(files["mean"], restore_all(model, stack, CONFIG).mean)


def test_a_region_that_ends_every_worker_is_told(cluster, crew, model, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)  # the usual 3 would take long
    stack = stack_of(tmp_path, simulate((8, 64, 64)))
    crew.client.register_plugin(Logged(tmp_path / "log", 0.1, fatal=7))
    with pytest.raises(ClusterError, match=r"Rows 0 to 64 of plane 7 ended .* memory") as caught:
        restored(crew, model, stack, tmp_path)
    crew.client.unregister_worker_plugin("logged")
    assert "of 8 planes are done and kept" in "".join(caught.value.__notes__)


def test_a_lost_scheduler_is_told_and_what_is_done_is_kept(cluster, crew, model, slow, tmp_path):
    stack = stack_of(tmp_path, simulate((20, 64, 64)))

    def close(event):
        if isinstance(event, PlaneRestored):
            cluster.close()  # this is the last test that uses it

    lost = r"scheduler at .* was lost .* of 20 regions are done"
    with pytest.raises(ClusterError, match=lost) as caught:
        restored(crew, model, stack, tmp_path, after=close)
    assert "of 20 planes are done and kept" in "".join(caught.value.__notes__)
