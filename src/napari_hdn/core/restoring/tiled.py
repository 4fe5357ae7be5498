"""Walking a plane tile by tile: some rows at a time, in smaller tiles where memory runs short."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_hdn.core.calibration.frames import central
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import is_memory_short
from napari_hdn.core.events import Stop
from napari_hdn.core.normalisation import NoiseCurve
from napari_hdn.core.recipes.tiles import Tiles
from napari_hdn.core.restoring.convergence import MeanSpread, pooled
from napari_hdn.core.restoring.tiling import Tile, by_rows, halved, padded_size, plan_within

Read = Callable[[slice, slice], np.ndarray]
"""(Y, X) float32 counts of a part of a plane."""


@dataclass(frozen=True)
class Rows:
    """What was made of some rows of a plane: (rows, X) by product, samples (N, rows, X)."""

    rows: slice
    planes: dict[str, np.ndarray]
    complete: bool
    spread: MeanSpread | None


Made = tuple[dict[str, np.ndarray], MeanSpread | None]
"""The kept part of a tile by product, and how its samples scatter."""


class TiledRestorer(ABC):
    """Restores planes; what is done with a tile is a subclass's.

    Parameters
    ----------
    device : Device
    multiple, halo : int
        Sides of tiles are multiples of the one, in pixels; the other is what a tile sees around
        what it keeps.
    """

    def __init__(self, device: Device, multiple: int, halo: int) -> None:
        self.device = device
        self._multiple, self._halo = multiple, halo
        self._largest: int | None = None  # side of tiles, once memory has run short
        self.batch = 1
        self.begin()

    def begin(self) -> None:
        """A new stack: it gets a plan of its own, which its recipe notes."""
        self.ran_short = False
        self._planned: dict[tuple[int, int], tuple[int | None, int]] = {}  # sides by plane's shape
        self.tiles: Tiles | None = None

    def plan(self, size: tuple[int, int], *, settled: bool = False) -> list[Tile]:
        """Tiles of a (Y, X) plane, by the memory that was free at the first plane of this size.

        If ``settled``, as if memory had never run short.
        """
        shape = padded_size(size, self._multiple)
        if shape not in self._planned:
            side, most = self._planned[shape] = self._sides(shape)
            sides = (side, self._largest, most if most < max(shape) else None)
            least = min((s for s in sides if s is not None), default=None)
            self.tiles = Tiles(side_px=least, samples_at_a_time=self.batch)
        side, most = self._planned[shape]
        if self._largest is not None and not settled:
            side = self._largest if side is None else min(side, self._largest)
        return plan_within(shape, side, most, self._halo, self._multiple)

    def plane(
        self,
        read: Read,
        size: tuple[int, ...],
        number: int,
        stop: Stop,
        *,
        curve: NoiseCurve | None = None,
        rows: slice | None = None,
    ) -> Iterator[float | Rows]:
        """Restore one plane: yields fractions done, and rows as they are finished, until stopped.

        Parameters
        ----------
        read : callable
            Gives (Y, X) counts of a part of the plane.
        size : (int, int)
            Of the plane, (Y, X).
        number : int
            Of the plane, so that planes have noise of their own.
        curve : NoiseCurve, optional
            Of the plane, where it is not to be found from its counts.
        rows : slice, optional
            Restore these rows alone, just as they are in the whole plane: those that some bands of
            the plan keep, from the top of one to the bottom of another.
        """
        height, width = size[0], size[1]
        shape = padded_size((height, width), self._multiple)
        bands = by_rows(self.plan((height, width), settled=rows is not None))
        if rows is not None:
            bands = [b for b in bands if rows.start <= b[0].inner_y.start < rows.stop]
        if curve is None:
            curve = self._curve(read(*central(height, width)))
        area, done = sum(_pixels(t.inner_y, t.inner_x) for band in bands for t in band), 0
        for band in bands:
            if stop.requested:
                return
            top = min(t.y.start for t in band)
            counts = read(slice(top, min(band[0].y.stop, height)), slice(0, width))
            seen = self._seen(np.ascontiguousarray(counts), curve, band)
            kept = slice(band[0].inner_y.start, min(band[0].inner_y.stop, height))
            made: dict[str, np.ndarray] = {}
            spreads: list[tuple[MeanSpread, int]] = []
            waiting = list(band)
            while waiting:
                tile = waiting.pop(0)
                pixels, whole = _pixels(tile.inner_y, tile.inner_x), False
                try:
                    for part in self._tile(seen, top, shape, tile, number, stop):
                        if isinstance(part, float):
                            yield (done + part * pixels) / area
                        else:
                            images, spread = part
                            _place(made, images, tile, kept, width)
                            whole = True
                            if spread is not None:
                                spreads.append((spread, pixels))
                except Exception as error:
                    if not is_memory_short(error):
                        raise
                    waiting = [*self._smaller(tile, shape, error), *waiting]
                    continue
                if stop.requested and (waiting or not whole):
                    return
                done += pixels
            yield Rows(kept, made, kept.stop == height, pooled(spreads))

    def _smaller(self, tile: Tile, shape: tuple[int, int], error: Exception) -> list[Tile]:
        """What to try instead where memory ran short: tiles of half the side; the result stays."""
        self.device.release()
        self._note_short()
        parts = halved(tile, shape, self._halo, self._multiple)
        seen = _pixels(tile.y, tile.x)
        if len(parts) == 1 or all(_pixels(p.y, p.x) >= seen for p in parts):
            raise error
        self._largest = max(t.inner_y.stop - t.inner_y.start for t in parts)
        return parts

    def _note_short(self) -> None:
        self.ran_short = True
        if self.tiles is not None:
            self.tiles = self.tiles.model_copy(update={"changed": True})

    @abstractmethod
    def _sides(self, shape: tuple[int, int]) -> tuple[int | None, int]:
        """Sides of tiles of a padded plane: what fits in memory at once, and what may be held."""

    @abstractmethod
    def _curve(self, counts: np.ndarray) -> NoiseCurve | None:
        """The noise curve of a plane of which these counts are the middle."""

    @abstractmethod
    def _seen(self, counts: np.ndarray, curve: NoiseCurve | None, band: list[Tile]) -> Any:
        """What `_tile` needs of the rows that a band of tiles sees."""

    @abstractmethod
    def _tile(
        self, seen: Any, top: int, shape: tuple[int, int], tile: Tile, number: int, stop: Stop
    ) -> Iterator[float | Made]:
        """Restore a tile of a padded plane whose rows from ``top`` on are ``seen``.

        Yields fractions done, last what was made, unless stopped.
        """


def _pixels(ys: slice, xs: slice) -> int:
    return (ys.stop - ys.start) * (xs.stop - xs.start)


def _place(
    made: dict[str, np.ndarray],
    images: dict[str, np.ndarray],
    tile: Tile,
    rows: slice,
    width: int,
) -> None:
    """Put a tile's images among those of its rows, without the padding."""
    ys = slice(tile.inner_y.start - rows.start, min(tile.inner_y.stop, rows.stop) - rows.start)
    xs = slice(tile.inner_x.start, min(tile.inner_x.stop, width))
    for product, image in images.items():
        cut = image[..., : ys.stop - ys.start, : xs.stop - xs.start]
        if product not in made:
            made[product] = np.empty((*image.shape[:-2], rows.stop - rows.start, width), np.float32)
        made[product][..., ys, xs] = cut
