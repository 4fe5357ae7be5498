"""Paired timings: what is compared takes turns, and medians are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def take_turns(
    jobs: dict[str, Callable[[], object]], repeats: int, clock: str = "wall"
) -> dict[str, float]:
    """Median seconds of each job, after one run of each to warm up.

    ``cpu`` counts the processor's time in this process: with one thread, much the same whatever else
    the machine does.
    """
    now = CLOCKS[clock]
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            began = now()
            job()
            if turn:
                times[name].append(now() - began)
    return {name: statistics.median(values) for name, values in times.items()}
