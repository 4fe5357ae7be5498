"""For tests with real worker processes, which import this module: a log of what each does, a cluster."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import LocalCluster, WorkerPlugin

from napari_hdn.core.restoring.regions import RegionFailed, RegionRestored
from napari_hdn.io.cluster import worker as working


def local_cluster(workers: int = 2) -> LocalCluster:
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
        dashboard_address=":0", scheduler_kwargs={"dashboard": False}, silence_logs=50, memory_limit=0,
    )  # fmt: skip


class Logged(WorkerPlugin):
    """Notes what a worker begins and ends, and makes it take its time, or end at a plane."""

    name = "logged"

    def __init__(self, log: Path, seconds: float, fatal: int | None = None) -> None:
        self.log, self.seconds, self.fatal = log, seconds, fatal

    def setup(self, worker: Any) -> None:
        restore_region = working.restore_region

        def logged(model, stack, restorer, region, stop):
            self.note("begin", region)
            time.sleep(self.seconds)
            if region.number == self.fatal:
                os._exit(1)
            for part in restore_region(model, stack, restorer, region, stop):
                if isinstance(part, RegionRestored | RegionFailed):  # its rows are written
                    self.note("end", region)
                yield part

        self.plain, working.restore_region = restore_region, logged

    def teardown(self, worker: Any) -> None:
        working.restore_region = self.plain

    def note(self, what: str, region) -> None:
        line = f"{what} {os.getpid()} {region.number} {region.start}\n"
        with self.log.open("a") as file:  # one short line is appended at once
            file.write(line)


@dataclass(frozen=True)
class Log:
    """Who began and ended which region (plane, first row), as process ids."""

    begun: dict[tuple[int, int], list[int]]
    ended: dict[tuple[int, int], list[int]]

    @classmethod
    def read(cls, path: Path) -> Log:
        found = {"begin": defaultdict(list), "end": defaultdict(list)}
        for line in path.read_text().splitlines() if path.exists() else []:
            what, pid, number, start = line.split()
            found[what][int(number), int(start)].append(int(pid))
        return cls(dict(found["begin"]), dict(found["end"]))
