"""Handing out the regions of a stack to workers, and taking in what they say."""

from __future__ import annotations

import math
import queue
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from distributed import CancelledError, Future, KilledWorker, wait

from napari_hdn.core.errors import ClusterError, DamagedPlaneError
from napari_hdn.core.events import (
    Notice,
    PlaneFailed,
    PlaneRestored,
    RateLimit,
    RestorationEvent,
    RestorationFinished,
    Stop,
)
from napari_hdn.core.restoring.convergence import MeanSpread, pooled
from napari_hdn.core.restoring.regions import Region, RegionFailed
from napari_hdn.core.restoring.restoration import progress_since, remarks
from napari_hdn.io.cluster import worker
from napari_hdn.io.cluster.agreement import Agreement
from napari_hdn.io.cluster.crew import Crew
from napari_hdn.io.cluster.parcels import Done, Job, Output, Refused, Source

AHEAD = 3  # regions that wait or run for each worker: none is idle, and little is lost on Stop
LOOK_S = 2.0  # between looks at who is there
STOPPING_S = 20.0  # for what runs to come to an end


class Target(Protocol):
    """Where a restoration is written to, as the client sees it."""

    @property
    def output(self) -> Output:
        """What workers write with."""

    @property
    def done(self) -> Collection[Region]:
        """What was written before."""

    def mark(self, done: Done) -> None:
        """Note that a region was written."""

    def forget(self, index: tuple[int, ...]) -> None:
        """Forget what was written of a plane that cannot be restored."""


def restore_by(
    crew: Crew, agreed: Agreement, target: Target, *, stop: Stop | None = None
) -> Iterator[RestorationEvent]:
    """Restore a stack by many processes.

    What a worker that dies was at is given to another; the rest is kept. After an error or Stop, the
    target holds what was written, and knows it.

    Parameters
    ----------
    crew : Crew
    agreed : Agreement
    target : Target
        Regions that are done there are not restored again.
    stop : Stop, optional
        Looked at several times a second; workers look at it after every batch of samples.

    Yields
    ------
    RestorationEvent
        As of `napari_hdn.core.restoring.restoration.restore`, but `PlaneRestored` holds no pixels:
        these are written already. The files of a plane that failed may hold a part of it.

    Raises
    ------
    DamagedPlaneError
        If no plane can be restored.
    ClusterError
        If the scheduler is lost, or a region ends one worker after another.
    HDNError
        That a worker met, such as of a full disk.
    """
    for remark in [*remarks(agreed.model, agreed.stack), *agreed.remarks]:
        yield Notice(remark, "warning")
    walk = _Walk(crew, agreed, target, stop or Stop())
    bring = worker.Bring(agreed.files, walk.job, ours=crew.ours)
    crew.client.register_plugin(bring)
    try:
        yield from walk.events()
    finally:
        walk.give_back()
        if crew.connected:
            with suppress(Exception):  # the error that came first counts
                crew.client.unregister_worker_plugin(bring.name)


class _Walk:
    """The regions of one stack on their way."""

    def __init__(self, crew: Crew, agreed: Agreement, target: Target, stop: Stop) -> None:
        self._crew, self._agreed, self._target, self._stop = crew, agreed, target, stop
        self.job = Job(
            id=uuid.uuid4().hex[:12],
            digest=agreed.files.digest,
            source=Source.of(agreed.stack),
            config=agreed.config,
            output=target.output,
            threads=crew.threads,
        )
        before = set(target.done)
        self._waiting = [r for r in agreed.regions if r not in before]
        self._left = Counter(region.index for region in self._waiting)  # regions, by plane
        self._rows = sum(r.stop - r.start for r in self._waiting)  # not over yet
        self._away: dict[str, tuple[Region, Future]] = {}
        self._back: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._failed: dict[tuple[int, ...], str] = {}
        self._spreads: dict[Region, Sequence[tuple[MeanSpread, int]]] = {}
        self._stopping: float | None = None  # since when
        self._told: set[str] = set()

    def events(self) -> Iterator[RestorationEvent]:
        """Hand out all regions and tell what comes back."""
        started, may_speak, looked, size = time.monotonic(), RateLimit(), -math.inf, 0
        rows = self._rows or 1
        self._waiting.reverse()  # popped from the end
        while (self._waiting and self._stopping is None) or self._away:
            if time.monotonic() - looked > LOOK_S:
                looked, size = time.monotonic(), self._size()
                if size == 0:
                    yield from self._once(
                        "No worker is left; what is done is kept. Waiting for one."
                    )
            if self._stop.requested:
                self._wind_up()
                if self._stopping is not None and time.monotonic() - self._stopping > STOPPING_S:
                    break
            else:
                self._hand_out(AHEAD * max(size, 1))
            with suppress(queue.Empty):
                yield from self._take_in(*self._away.pop(self._back.get(timeout=0.2)))
                if may_speak.ready():
                    yield progress_since(1 - self._rows / rows, started)
        yield from self._end(started)

    def give_back(self) -> None:
        """Let the workers forget what is still with them."""
        if self._away and self._crew.connected:
            with suppress(Exception):  # the error that came first counts
                futures = [future for _, future in self._away.values()]
                self._wind_up()
                wait(futures, timeout=STOPPING_S)  # nobody shall write behind our back
                self._crew.client.cancel(futures)
        self._away.clear()

    def _hand_out(self, most: int) -> None:
        while self._waiting and len(self._away) < most:
            region = self._waiting.pop()
            key = f"napari-hdn-{self.job.id}-{region.number}-{region.start}"
            try:
                future = self._crew.client.submit(
                    worker.work, self.job.id, region, key=key, pure=False, retries=2
                )
            except Exception as error:
                raise self._lost(str(error)) from error
            self._away[key] = (region, future)
            future.add_done_callback(lambda future: self._back.put(future.key))

    def _size(self) -> int:
        if not self._crew.connected:
            raise self._lost("the connection was closed")
        try:
            return self._crew.size
        except Exception as error:  # comm errors of many types
            raise self._lost(str(error)) from error

    def _wind_up(self) -> None:
        """Hand out no more, and let the workers end what they are at after a batch of samples."""
        if self._stopping is None:
            self._stopping = time.monotonic()
            with suppress(Exception):  # what does not hear of it is not waited for long
                self._crew.client.run(worker.stop_job, self.job.id, on_error="ignore")

    def _take_in(self, region: Region, future: Future) -> Iterator[RestorationEvent]:
        """Note what came of a region, and tell it if its plane is done."""
        done = self._result(region, future)
        if done is None:  # stopped
            return
        self._rows -= region.stop - region.start
        if isinstance(done.result, RegionFailed):
            self._failed.setdefault(region.index, done.result.reason)
            beside = [r for r in self._waiting if r.index == region.index]
            self._waiting = [r for r in self._waiting if r.index != region.index]
            self._left[region.index] -= len(beside)
            self._rows -= sum(r.stop - r.start for r in beside)
        else:
            self._target.mark(done)
            self._spreads[region] = done.result.spreads
            if done.result.remark and not self._told & {"range"}:
                self._told.add("range")
                yield Notice(done.result.remark, "warning")
            if done.result.short:
                yield from self._once(
                    "A worker ran short of memory and went on in smaller pieces: the result is the "
                    "same but for rounding. Fewer workers, or a smaller --tile, avoid that."
                )
        self._left[region.index] -= 1
        if self._left[region.index]:
            return
        if region.index in self._failed:
            self._target.forget(region.index)
            yield PlaneFailed(region.index, self._failed[region.index])
        else:
            height = self._agreed.stack.plane_shape[0]
            yield PlaneRestored(region.index, {}, slice(0, height))

    def _result(self, region: Region, future: Future) -> Done | None:
        where = f"Rows {region.start} to {region.stop}"
        if region.index:
            where += f" of plane {', '.join(map(str, region.index))}"
        if future.status in ("cancelled", "lost"):
            if self._stop.requested:
                return None
            raise self._lost("the connection was closed")
        try:
            result = future.result()  # of a worker that died meanwhile, made again
        except KilledWorker as error:
            raise ClusterError(
                f"{where} ended one worker after another, most often since memory ran out. Take "
                "fewer workers or more memory for each, or a smaller --tile. What is done is kept."
            ) from error
        except CancelledError as error:
            raise self._lost("the connection was closed") from error
        except Exception as error:
            raise ClusterError(
                f"{where} could not be restored by a worker: {type(error).__name__}: {error}. What is "
                "done is kept."
            ) from error
        if isinstance(result, Refused):
            result.error.add_note(f"Told by a worker on {result.worker}.")
            raise result.error
        return result

    def _lost(self, reason: str) -> ClusterError:
        done = len(self._agreed.regions) - len(self._waiting) - len(self._away)
        return ClusterError(
            f"The scheduler at {self._crew.address} was lost ({reason or 'no answer'}). About {done} of "
            f"{len(self._agreed.regions)} regions are done and kept: give the same command again to "
            "go on."
        )

    def _end(self, started: float) -> Iterator[RestorationEvent]:
        total, failed = len(self._agreed.stack), len(self._failed)
        if failed == total:
            raise DamagedPlaneError(next(iter(self._failed.values())))
        spread = pooled([s for r in self._agreed.regions for s in self._spreads.get(r, ())])
        missing = sum(1 for left in self._left.values() if left)
        if not missing:
            yield progress_since(1.0, started)
        yield RestorationFinished(
            total - failed - missing, total, missing > 0, spread, failed, self._agreed.tiles
        )

    def _once(self, text: str) -> Iterator[Notice]:
        if text not in self._told:
            self._told.add(text)
            yield Notice(text, "warning")
