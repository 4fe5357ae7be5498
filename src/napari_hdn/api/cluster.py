"""Restoring by many processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.events import RestorationEvent, Stop

if TYPE_CHECKING:
    from napari_hdn.core.hdn import HDN
    from napari_hdn.io.cluster.agreement import Agreement
    from napari_hdn.io.cluster.crew import Crew
    from napari_hdn.io.images import FileStack
    from napari_hdn.io.restorations import RestorationFiles


@contextmanager
def hire(workers: int | None = None, scheduler: str | None = None) -> Iterator[Crew]:
    """Processes to restore with, for the time of a ``with`` block.

    Parameters
    ----------
    workers : int, optional
        So many processes on this machine, which share its cores and memory.
    scheduler : str, optional
        Address of a running dask scheduler, such as ``tcp://10.0.0.5:8786``, or the file that it
        wrote: its workers.

    Raises
    ------
    ConfigurationError
        If not one of them is given, or there are not so many cores.
    ClusterError
        If no scheduler answers.
    HDNError
        If the extra ``cluster`` is not installed.
    """
    from napari_hdn.io.cluster import need_distributed

    if (workers is None) == (scheduler is None):
        raise ConfigurationError(
            "Say either how many workers to start here, or which scheduler has them."
        )
    need_distributed()
    from napari_hdn.io.cluster.crew import crew_at, local_crew

    with local_crew(workers) if workers is not None else crew_at(str(scheduler)) as crew:
        yield crew


def agree(
    crew: Crew, model: HDN, stack: FileStack, config: RestorationConfig, *, folder: Path
) -> Agreement:
    """Fix all that a result depends on, by a look at all workers; see `io.cluster.agreement`."""
    from napari_hdn.io.cluster.agreement import agree as _agree

    return _agree(crew, model, stack, config, folder=folder)


def restore_by(
    crew: Crew, agreed: Agreement, files: RestorationFiles, *, stop: Stop | None = None
) -> Iterator[RestorationEvent]:
    """Restore a stack by many processes, which write it; see `io.cluster.restoring.restore_by`.

    Parameters
    ----------
    crew : Crew
    agreed : Agreement
    files : RestorationFiles
        OME-Zarr, entered, with the config, the identity and the file rows of the agreement.
    stop : Stop, optional
    """
    from napari_hdn.io.cluster.restoring import restore_by as _restore
    from napari_hdn.io.cluster.zarr_target import ZarrTarget

    target = ZarrTarget(files.zarr, agreed.regions, agreed.stack.plane_shape[0])
    yield from _restore(crew, agreed, target, stop=stop)
