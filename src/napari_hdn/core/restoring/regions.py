"""Regions: the parts of a stack that are restored independently, so that many processes share the work.

A region is a plane, or of a huge plane some bands of tiles. Everything that the result depends on
besides the pixels is settled before (`settled`), and the noise of the samples is drawn by its place in
the plane, so that whoever restores a region gets the same pixels that one process would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig, RestorationConfig
from napari_hdn.core.errors import DamagedPlaneError, is_memory_short
from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.restoring.convergence import MeanSpread
from napari_hdn.core.restoring.restoration import HUGE_PX, checked_reader, plane_remark, too_large
from napari_hdn.core.restoring.restorer import most_side
from napari_hdn.core.restoring.tiled import Rows, TiledRestorer
from napari_hdn.core.restoring.tiling import (
    Tile,
    by_rows,
    fitted,
    halo_px,
    padded_size,
    plan_within,
)

LEAST_PX = 2**22  # of a part of a huge plane: seconds of work, next to which the rest is nothing
FILE_ROWS = 2048  # at most


@dataclass(frozen=True)
class Region:
    """Some rows of a plane.

    Attributes
    ----------
    number : int
        Of the plane in the order of ``stack.indices()``: what its noise is drawn by.
    index : tuple of int
        Of the plane, along the leading axes of the stack.
    start, stop : int
        Rows.
    """

    number: int
    index: tuple[int, ...]
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """Which rows these are."""
        return slice(self.start, self.stop)


@dataclass(frozen=True)
class RegionRestored:
    """What is known of a region besides its pixels, when these have all been given away.

    Attributes
    ----------
    region : Region
    spreads : tuple of (MeanSpread, int)
        How the samples scatter, with the rows that this was seen in.
    remark : str
        A warning where the plane's range is far outside that of the training images.
    short : bool
        Whether memory ran short: then the pixels are the same but for rounding.
    """

    region: Region
    spreads: tuple[tuple[MeanSpread, int], ...] = ()
    remark: str = ""
    short: bool = False


@dataclass(frozen=True)
class RegionFailed:
    """A region of which the plane is damaged."""

    region: Region
    reason: str


def settled(
    config: RestorationConfig, network: NetworkConfig, size: tuple[int, int], free_bytes: float
) -> RestorationConfig:
    """The config in which the tiles do not depend on the free memory any more.

    Tiles and samples at a time are what a process with ``free_bytes`` would choose for planes of
    ``size`` (Y, X); a chosen ``tile_px`` stays.
    """
    if config.tile_px is not None:
        return config
    shape = padded_size(size, network.multiple)
    side, batch = fitted(shape, network, config.batch_size, free_bytes)
    side = max(64, max(shape) if side is None else side)
    return config.model_copy(update={"tile_px": side, "batch_size": batch})


def plane_tiles(
    config: RestorationConfig, network: NetworkConfig, size: tuple[int, int]
) -> list[Tile]:
    """The tiles in which planes of ``size`` (Y, X) are restored with a `settled` config."""
    shape = padded_size(size, network.multiple)
    most = most_side(config, network, shape[1])
    return plan_within(shape, config.tile_px, most, halo_px(network), network.multiple)


def file_rows(tiles: Sequence[Tile], size: tuple[int, int]) -> int | None:
    """Rows of the files that parts of planes are written to, so that no two parts share one.

    Bands of tiles are a multiple of it. None where planes of ``size`` (Y, X) are not cut.
    """
    bands = by_rows(tiles)
    if size[0] * size[1] <= HUGE_PX or len(bands) == 1:
        return None
    band = bands[0][0].inner_y.stop
    return next(
        band // parts
        for parts in range(1, band + 1)
        if band % parts == 0 and band // parts <= FILE_ROWS
    )


def plan_regions(stack: ImageStack, tiles: Sequence[Tile], rows: int | None) -> list[Region]:
    """Cut a stack into regions.

    Parameters
    ----------
    stack : ImageStack
    tiles : sequence of Tile
        Of each of its planes.
    rows : int or None
        Of the files that the result is written to, where planes are cut: no two regions share one.
    """
    height, width = stack.plane_shape
    starts = [0]
    for band in [] if rows is None else by_rows(tiles):
        stop = band[0].inner_y.stop
        if stop < height and stop % rows == 0 and (stop - starts[-1]) * width >= LEAST_PX:
            starts.append(stop)
    stops = [*starts[1:], height]
    return [
        Region(number, index, start, stop)
        for number, index in enumerate(stack.indices())
        for start, stop in zip(starts, stops, strict=True)
    ]


def restore_region(
    model: HDN, stack: ImageStack, restorer: TiledRestorer, region: Region, stop: Stop
) -> Iterator[float | Rows | RegionRestored | RegionFailed]:
    """Restore a region of a stack.

    Parameters
    ----------
    model : HDN
    stack : ImageStack
        Of one channel, where one was chosen.
    restorer : TiledRestorer
        With a config that is `settled`.
    region : Region
    stop : Stop

    Yields
    ------
    float, Rows, RegionRestored or RegionFailed
        Fractions done, rows as they are finished, and one of the last two unless stopped.

    Raises
    ------
    MemoryShortError
        If even small tiles do not fit in memory.
    """
    spreads: list[tuple[MeanSpread, int]] = []
    reached = region.start
    restorer.ran_short = False
    try:
        with kept_memory():
            read = checked_reader(stack, region.index)
            remark = plane_remark(model, stack, region.index, read)
            for part in restorer.plane(
                read, stack.plane_shape, region.number, stop, rows=region.rows
            ):
                if isinstance(part, Rows):
                    reached = part.rows.stop
                    if part.spread is not None:
                        spreads.append((part.spread, part.rows.stop - part.rows.start))
                yield part
    except DamagedPlaneError as damage:
        yield RegionFailed(region, str(damage))
        return
    except Exception as error:
        if is_memory_short(error):
            raise too_large(stack, restorer.device) from error
        raise
    if reached == region.stop:
        yield RegionRestored(region, tuple(spreads), remark, restorer.ran_short)
