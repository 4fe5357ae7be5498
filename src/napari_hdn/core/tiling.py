"""Plan tiles with a halo; pure. What runs the plan is in `napari_hdn.core.restoration`.

Tile corners are multiples of what the network needs, so that the latents of a tile are a crop of the
latents of the whole plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_hdn.core.config import NetworkConfig

MEMORY_SHARE = 0.4


@dataclass(frozen=True)
class Tile:
    """A tile of a padded plane: what the network sees, and what of it is kept; pixels."""

    y: slice  # seen
    x: slice
    inner_y: slice  # kept, in plane coordinates
    inner_x: slice

    @property
    def crop(self) -> tuple[slice, slice]:
        """The kept part in the tile's own coordinates."""
        return (
            slice(self.inner_y.start - self.y.start, self.inner_y.stop - self.y.start),
            slice(self.inner_x.start - self.x.start, self.inner_x.stop - self.x.start),
        )


def padded_size(shape: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The next multiples of what the network needs, (Y, X) pixels."""
    return -(-shape[0] // multiple) * multiple, -(-shape[1] // multiple) * multiple


def halo_px(config: NetworkConfig) -> int:
    """Context around a tile, by measurement (``benchmarks/halo.py``).

    Four times the size of a top-level pixel, at least 64 px. Largest difference between the tiled
    and the untiled mean-latent restoration, as a share of its range (Fast, real confocal image):
    7 % without a halo, 0.2 % with 16 px, 0.03 % with 32 px, 0.003 % with 64 px.
    """
    return max(64, 4 * config.multiple)


def tile_side(
    shape: tuple[int, int], config: NetworkConfig, batch: int, free_bytes: float
) -> int | None:
    """Side of tiles that fit in a share of the free memory; None where the whole plane does."""
    # a merge at full size holds about twelve feature maps at once (measured), in float32
    maps = 12 * 4 * config.channels / (4 if config.trunk == "half" else 1)
    pixels = MEMORY_SHARE * free_bytes / (maps * batch)
    if shape[0] * shape[1] <= pixels:
        return None
    side = int(pixels**0.5) - 2 * halo_px(config)
    return max(4 * config.multiple, side // config.multiple * config.multiple)


def plan_tiles(shape: tuple[int, int], tile_px: int | None, halo: int, multiple: int) -> list[Tile]:
    """Cover a padded plane with tiles.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the padded plane; multiples of ``multiple``.
    tile_px : int or None
        Side of the kept part, rounded up to ``multiple``; None for one tile.
    halo : int
        Pixels seen around the kept part, rounded up to ``multiple``.
    """
    if shape[0] % multiple or shape[1] % multiple:
        raise ValueError(f"A plane of {shape} is not padded to a multiple of {multiple}.")
    if tile_px is None:
        whole = (slice(0, shape[0]), slice(0, shape[1]))
        return [Tile(*whole, *whole)]
    halo = -(-halo // multiple) * multiple
    return [
        Tile(seen_y, seen_x, kept_y, kept_x)
        for seen_y, kept_y in _spans(shape[0], tile_px, halo, multiple)
        for seen_x, kept_x in _spans(shape[1], tile_px, halo, multiple)
    ]


def _spans(length: int, tile: int, halo: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    tile = -(-min(tile, length) // multiple) * multiple
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        yield slice(max(0, start - halo), min(length, stop + halo)), slice(start, stop)
