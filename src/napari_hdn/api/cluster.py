"""Restoring by many processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.events import RestorationEvent, Stop

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.recipes.environment import Environment
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


def check_shared(format: str | None, *, direct: bool) -> None:
    """Find out whether several processes can do what is asked for.

    Raises
    ------
    ConfigurationError
        If they cannot write such files, or a direct network is to restore.
    """
    if format not in (None, "ome-zarr"):
        raise ConfigurationError(
            "Several processes cannot write to one OME-TIFF; with --workers or --scheduler, leave "
            "--format away or choose ome-zarr."
        )
    if direct:
        raise ConfigurationError(
            "Direct networks restore in one process. Leave --direct away, or --workers and --scheduler."
        )


class SharedWork:
    """Restores image after image with a crew; what `napari_hdn.api.restore_batch` needs of it.

    Raises
    ------
    ConfigurationError
        If something is asked for that a crew does not do.
    """

    def __init__(
        self,
        crew: Crew,
        model: HDN,
        config: RestorationConfig,
        format: str,
        student: Direct | None,
        stop: Stop,
    ) -> None:
        check_shared(format, direct=student is not None)
        self._crew, self._model, self._config, self._stop = crew, model, config, stop
        self._at: tuple[FileStack, Agreement, RestorationFiles] | None = None

    def files(self, stack: FileStack, folder: Path, **about: Any) -> RestorationFiles:
        """The files of an image, not yet entered."""
        from napari_hdn.io.restorations import RestorationFiles

        agreed = agree(self._crew, self._model, stack, self._config, folder=folder)
        files = RestorationFiles(
            folder,
            stack,
            agreed.config,
            format="ome-zarr",
            identity=agreed.identity,
            rows=agreed.file_rows,
            **about,
        )
        self._at = (stack, agreed, files)
        return files

    @property
    def environment(self) -> Environment:
        """With what the workers compute, after the files of an image."""
        assert self._at is not None, "its files come first"
        return self._at[1].environment

    def restore(self, stack: FileStack) -> Iterator[RestorationEvent]:
        """The events of the image that the last files are of, which have been entered."""
        assert self._at is not None and self._at[0] is stack, "its files come first"
        return restore_by(self._crew, self._at[1], self._at[2], stop=self._stop)
