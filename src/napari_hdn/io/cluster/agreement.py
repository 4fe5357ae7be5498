"""What the result depends on is fixed before the work, by a look at all workers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

import napari_hdn
from napari_hdn.core.config import NetworkConfig, RestorationConfig
from napari_hdn.core.errors import ClusterError, ConfigurationError, HDNError
from napari_hdn.core.hdn import HDN
from napari_hdn.core.identity import asked_digest
from napari_hdn.core.recipes.environment import Environment, environment
from napari_hdn.core.recipes.tiles import Tiles
from napari_hdn.core.restoring.regions import Region, file_rows, plan_regions, plane_tiles, settled
from napari_hdn.core.restoring.tiling import MEMORY_SHARE, MOST_BYTES
from napari_hdn.io.cluster import worker
from napari_hdn.io.cluster.crew import Crew
from napari_hdn.io.cluster.parcels import About, ModelFiles
from napari_hdn.io.disk import existing
from napari_hdn.io.images import FileStack

PLENTY_BYTES = MOST_BYTES / MEMORY_SHARE  # more makes no difference to the tiles


@dataclass(frozen=True)
class Agreement:
    """How a stack is restored by all workers alike, whatever each of them would choose.

    Attributes
    ----------
    config : RestorationConfig
        Settled: tiles, samples at a time, device and precision are fixed.
    regions : tuple of Region
    file_rows : int or None
        Of the files to be written to, where planes are cut: no two regions share one.
    remarks : tuple of str
        What the user should know of the workers.
    workers : int
    """

    config: RestorationConfig
    regions: tuple[Region, ...]
    file_rows: int | None
    remarks: tuple[str, ...]
    workers: int
    model: HDN = field(repr=False)
    files: ModelFiles = field(repr=False)
    stack: FileStack = field(repr=False)

    @property
    def tiles(self) -> Tiles:
        """That planes are taken apart into, for a recipe."""
        network, size = self.model.config.network, self.stack.plane_shape
        planes = plane_tiles(self.config, network, size)
        side = None if len(planes) == 1 else self.config.tile_px
        return Tiles(side_px=side, samples_at_a_time=self.config.batch_size)

    @property
    def environment(self) -> Environment:
        """With what the workers compute, for a recipe."""
        label = f"{self.workers} workers on {self.config.device}"
        return environment(label, self.config.precision)

    @property
    def identity(self) -> str:
        """A digest of all that the pixels depend on, to the last digit."""
        fixed = self.config
        return asked_digest(
            self.model, fixed, tile=fixed.tile_px, batch=fixed.batch_size, device=fixed.device
        )


def agree(
    crew: Crew,
    model: HDN,
    stack: FileStack,
    config: RestorationConfig,
    *,
    folder: Path,
) -> Agreement:
    """Look at the workers and fix all that the result depends on.

    Parameters
    ----------
    crew : Crew
    model : HDN
    stack : FileStack
        Of a file that all workers see.
    config : RestorationConfig
        Where its ``tile_px`` is None, tiles are what a process with the memory of the worker with
        the least of it would take.
    folder : Path
        That is written to; it need not exist, but the one above it.

    Raises
    ------
    ClusterError
        If there is no worker, or one does not see the files, or has another napari-hdn.
    ConfigurationError, DeviceError
        If they have different devices.
    """
    stack = stack.of_channel(config.channel)
    files = ModelFiles.of(model)
    paths = (str(Path(stack.path).absolute()), str(existing(folder)))
    abouts = _look(crew, config, paths, files.light())
    _check(abouts, paths)
    fixed = _fixed(abouts, config, model.config.network, stack.plane_shape)
    tiles = plane_tiles(fixed, model.config.network, stack.plane_shape)
    rows = file_rows(tiles, stack.plane_shape)
    light = all(about.has_model for about in abouts.values())
    return Agreement(
        config=fixed,
        regions=tuple(plan_regions(stack, tiles, rows)),
        file_rows=rows,
        remarks=_remarks(abouts, config),
        workers=len(abouts),
        model=model,
        files=files.light() if light else files,
        stack=stack,
    )


def _look(
    crew: Crew, config: RestorationConfig, paths: tuple[str, ...], files: ModelFiles
) -> dict[str, About]:
    """What each worker says of itself, by its address."""
    try:
        found = crew.client.run(worker.look, config.device, config.precision, paths, files)
    except HDNError:
        raise
    except ImportError as error:
        raise ClusterError(
            f"The workers at {crew.address} cannot load napari-hdn ({error}). Start them in the same "
            "environment as this command."
        ) from error
    except OSError as error:
        raise ClusterError(f"The scheduler at {crew.address} was lost: {error}.") from error
    if not found:
        raise ClusterError(
            f"No worker is connected to {crew.address} yet. Start some with 'dask worker {crew.address} "
            "--nthreads 4', or wait until the queue has started yours."
        )
    return dict(found)


def _check(abouts: Mapping[str, About], paths: tuple[str, ...]) -> None:
    for address, about in abouts.items():
        if about.unseen:
            raise ClusterError(
                f"The worker {address} on {about.host} does not see {about.unseen[0]}. Images and "
                "results have to be on a disk that all machines share, under the same path."
            )
        if about.version != napari_hdn.__version__:
            raise ClusterError(
                f"The worker {address} on {about.host} has napari-hdn {about.version}, this command "
                f"{napari_hdn.__version__}. Start both in the same environment: results could differ."
            )
    if len(devices := {about.device for about in abouts.values()}) > 1:
        raise ConfigurationError(
            f"Some workers have {' and some '.join(sorted(devices))}, on which results differ. Choose "
            "one with --device, such as --device cpu, or connect workers of one kind."
        )


def _fixed(
    abouts: Mapping[str, About],
    config: RestorationConfig,
    network: NetworkConfig,
    size: tuple[int, int],
) -> RestorationConfig:
    """The config with all fixed that workers would choose for themselves."""
    precisions = {about.dtype for about in abouts.values()}
    chosen = config.model_copy(
        update={
            "device": next(iter(abouts.values())).device,
            "precision": "bfloat16" if precisions == {"bfloat16"} else "float32",
        }
    )
    neighbours = Counter(about.host for about in abouts.values())
    room = min(
        min(about.free_bytes / neighbours[about.host], about.limit_bytes)
        for about in abouts.values()
    )
    return settled(chosen, network, size, _rounded(room))


def _rounded(room: float) -> float:
    """Memory, so that what is free at the moment does not change the tiles from run to run."""
    return math.inf if room >= PLENTY_BYTES else 2.0 ** math.floor(math.log2(max(room, 1.0)))


def _remarks(abouts: Mapping[str, About], config: RestorationConfig) -> tuple[str, ...]:
    found = []
    versions = sorted({about.torch for about in abouts.values()} | {str(torch.__version__)})
    if len(versions) > 1:
        found.append(
            f"Workers and this command have different versions of PyTorch ({', '.join(versions)}): "
            "results may differ in their last digits."
        )
    if len({about.dtype for about in abouts.values()}) > 1:
        found.append(
            "Not all workers compute in bfloat16: all take float32, which is slower there."
        )
    return tuple(found)
