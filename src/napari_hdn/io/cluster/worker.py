"""What runs in a worker process: a region read, restored and written."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from distributed import WorkerPlugin, get_worker

import napari_hdn
from napari_hdn.core.config import DeviceName, RestorationConfig
from napari_hdn.core.devices import Precision, choose
from napari_hdn.core.errors import HDNError
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.restoring.regions import Region, RegionFailed, RegionRestored, restore_region
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.restoring.tiled import Rows
from napari_hdn.io.cluster.parcels import About, Done, Job, ModelFiles, Refused

if TYPE_CHECKING:
    from distributed import Worker

    from napari_hdn.io.images import FileStack

_known: dict[str, ModelFiles] = {}
_jobs: dict[str, Job] = {}
_stops: dict[str, Stop] = {}
_kept: dict[str, ExitStack] = {}
# a worker with several threads gives them all to one region: memory for more than one is not planned
_one_at_a_time = threading.Lock()


class Bring(WorkerPlugin):
    """Brings a job and its model to every worker, also to those that come later or anew.

    Parameters
    ----------
    files : ModelFiles
    job : Job
        Regions are then asked for by its id alone.
    ours : bool
        Whether the workers are children of a terminal's command, whose Ctrl-C is not for them.
    """

    def __init__(self, files: ModelFiles, job: Job, *, ours: bool) -> None:
        self.name = f"napari-hdn-{job.id}"  # another job may have the same model, and end before
        self.files, self.job, self.ours = files, job, ours

    def setup(self, worker: Worker) -> None:
        """Take the model in; it is loaded when it is needed."""
        _known[self.files.digest] = self.files
        _jobs[self.job.id] = self.job
        # from the first region to the last, not for each
        _kept[self.name] = kept = ExitStack()
        kept.enter_context(kept_memory())
        if self.ours and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Worker) -> None:
        """Forget the job, and give memory back to the system."""
        _jobs.pop(self.job.id, None)
        if kept := _kept.pop(self.name, None):
            kept.close()


def look(
    device: DeviceName,
    precision: Precision,
    paths: tuple[str, ...],
    model: ModelFiles,
    dask_worker: Any = None,  # which dask fills in by this name
) -> About:
    """What this process is like, and which of the paths it does not see."""
    there = choose(device)
    limit = dask_worker.memory_manager.memory_limit
    return About(
        host=socket.gethostname(),
        version=napari_hdn.__version__,
        torch=str(torch.__version__),
        device=there.name,
        dtype=there.dtype_name(precision),
        free_bytes=float(there.free_bytes()),
        limit_bytes=float(limit) if limit and there.name == "cpu" else float("inf"),
        unseen=tuple(p for p in paths if not Path(p).exists()),
        has_model=model.seen_here,
    )


def stop_job(job: str) -> None:
    """End what this process does for a job after the next batch of samples."""
    _stop_of(job).request()


def work(job: str, region: Region) -> Done | Refused | None:
    """Restore a region of a job that was brought, and write it; None if the job was stopped."""
    with _one_at_a_time:
        try:
            return _restored(_jobs[job], region)
        except HDNError as error:
            return Refused(error, f"{socket.gethostname()}, process {os.getpid()}")


def _restored(job: Job, region: Region) -> Done | None:
    stop = _stop_of(job.id)
    if stop.requested:
        return None
    started = time.perf_counter()
    torch.set_num_threads(job.threads or get_worker().state.nthreads)
    stack = _stack(job.id)
    events = restore_region(
        _model(job.digest), stack, _restorer(job.digest, job.config), region, stop
    )
    files = job.output.begin(region)
    for part in events:
        if isinstance(part, Rows):
            files.write(part.rows.start, part.planes)
        elif isinstance(part, RegionRestored):
            return Done(part, files.end(), time.perf_counter() - started)
        elif isinstance(part, RegionFailed):
            return Done(part, {}, time.perf_counter() - started)
    return None


def _stop_of(job: str) -> Stop:
    return _stops.setdefault(job, Stop())


@lru_cache(maxsize=1)
def _model(digest: str) -> HDN:
    return _known[digest].load()


@lru_cache(maxsize=1)
def _restorer(digest: str, config: RestorationConfig) -> Restorer:
    model = _model(digest)
    return Restorer(
        model.network, model.normalisation, model.noise_model, config, choose(config.device)
    )


@lru_cache(maxsize=1)
def _stack(job: str) -> FileStack:
    # not by its source: the file may have become another one since an earlier job
    return _jobs[job].source.open()
