"""Workers to restore with: started here, or those of a scheduler that runs already."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import Client, LocalCluster

from napari_hdn.core.errors import ClusterError, ConfigurationError
from napari_hdn.core.settings import cores_here

CONNECT_S = 20
_TALKERS = ("", ".nanny", ".worker", ".scheduler", ".client", ".core", ".comm", ".batched")


@dataclass(frozen=True)
class Crew:
    """Workers behind a scheduler.

    Attributes
    ----------
    client : distributed.Client
    address : str
        Of the scheduler.
    threads : int or None
        For one worker's computations; None: those that dask gives it.
    ours : bool
        Whether the workers were started here, and end with us.
    """

    client: Client
    address: str
    threads: int | None = None
    ours: bool = False

    @property
    def connected(self) -> bool:
        """Whether the scheduler is there; asking one that is not takes long."""
        return bool(self.client.status == "running")

    @property
    def size(self) -> int:
        """How many workers are connected now."""
        return len(self.client.nthreads())


@contextmanager
def local_crew(workers: int) -> Iterator[Crew]:
    """Worker processes on this machine, which share its cores and its memory.

    Raises
    ------
    ConfigurationError
        If there are none, or more than cores.
    ClusterError
        If they do not start.
    """
    cores = cores_here()
    if not 1 <= workers <= cores:
        raise ConfigurationError(
            f"This machine has {cores} cores; choose from 1 to {cores} workers, not {workers}."
        )
    with _quiet():
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=":0",  # 8787 may be taken
                scheduler_kwargs={"dashboard": False},
                memory_limit=int(psutil.virtual_memory().available / workers),
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ClusterError(
                f"The {workers} worker processes could not be started: {error}."
            ) from error
        with cluster, Client(cluster, set_as_default=False) as client:
            yield Crew(client, cluster.scheduler_address, max(1, cores // workers), ours=True)


@contextmanager
def crew_at(scheduler: str) -> Iterator[Crew]:
    """The workers of a scheduler, by its address or by the file that it wrote.

    Raises
    ------
    ClusterError
        If there is no scheduler.
    """
    file = Path(scheduler)
    by_file = scheduler.endswith(".json") or file.is_file()
    if by_file and not file.is_file():
        raise ClusterError(
            f"There is no scheduler file {scheduler}. Start a scheduler with 'dask scheduler "
            f"--scheduler-file {scheduler}', and wait until it has begun."
        )
    with _quiet():
        try:
            client = (
                Client(scheduler_file=scheduler, timeout=CONNECT_S, set_as_default=False)
                if by_file
                else Client(scheduler, timeout=CONNECT_S, set_as_default=False)
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"No dask scheduler answers at {scheduler}. Start one with 'dask scheduler', take the "
                f"address that it tells, such as tcp://10.0.0.5:8786, and see that this machine reaches "
                f"it. ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
            ) from error
        address = client.scheduler.address if client.scheduler else scheduler
        crew = Crew(client, str(address))
        try:
            yield crew
        finally:
            if crew.connected:  # else it tries for a while to connect again, and closes by itself
                client.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep distributed's own messages away from the user, who is told in our words."""
    loggers = [logging.getLogger(f"distributed{name}") for name in _TALKERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
