"""Plan tiles with a halo; pure. What runs the plan is in `napari_hdn.core.restoring.restoration`.

Tile corners are multiples of what the network needs, so that the latents of a tile are a crop of the
latents of the whole plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from napari_hdn.core.config import NetworkConfig

MEMORY_SHARE = 0.4
MOST_BYTES = 2e9  # of feature maps: no pass is faster for more
MOST_KEPT_BYTES = 5e8  # of samples that are held, and of images that are given away, each


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
    pixels = min(MEMORY_SHARE * free_bytes, MOST_BYTES) / (maps * batch)
    if shape[0] * shape[1] <= pixels:
        return None
    side = int(pixels**0.5) - 2 * halo_px(config)
    return max(4 * config.multiple, side // config.multiple * config.multiple)


def fitting_batch(
    shape: tuple[int, int], config: NetworkConfig, batch: int, free_bytes: float
) -> int:
    """How many samples at a time spare a plane its tiles, whose halos cost more than batches save."""
    return next(
        (b for b in range(batch, 1, -1) if tile_side(shape, config, b, free_bytes) is None), 1
    )


def fitted(
    shape: tuple[int, int], config: NetworkConfig, batch: int, free_bytes: float
) -> tuple[int | None, int]:
    """Side of tiles (None: the whole plane) and samples at a time that memory has room for."""
    batch = fitting_batch(shape, config, batch, free_bytes)
    return tile_side(shape, config, batch, free_bytes), batch


def side_for_samples(width: int, samples: int, kept: int, multiple: int) -> int:
    """Largest side of tiles whose samples may all be kept.

    Parameters
    ----------
    width : int
        Of the plane, in pixels.
    samples : int
        Of a tile that are held at once; 0 where only their moments are.
    kept : int
        Images of the plane that are given away for all tiles of a row together.
    """
    by_tile = (MOST_KEPT_BYTES / (4 * max(samples, 1))) ** 0.5
    by_row = MOST_KEPT_BYTES / (4 * max(kept, 1) * width)
    return max(
        multiple, -(-64 // multiple) * multiple, int(min(by_tile, by_row)) // multiple * multiple
    )


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


def plan_within(
    shape: tuple[int, int], side: int | None, most: int, halo: int, multiple: int
) -> list[Tile]:
    """Cover a padded plane with tiles of a side, or of what may be held at most; see `plan_tiles`."""
    sides = [s for s in (side, most if most < max(shape) else None) if s is not None]
    return plan_tiles(shape, min(sides, default=None), halo, multiple)


def _spans(length: int, tile: int, halo: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    tile = -(-min(tile, length) // multiple) * multiple
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        yield slice(max(0, start - halo), min(length, stop + halo)), slice(start, stop)


def by_rows(tiles: Sequence[Tile]) -> list[list[Tile]]:
    """Tiles that keep the same rows of the plane, from top to bottom."""
    rows: dict[tuple[int, int], list[Tile]] = {}
    for tile in tiles:
        rows.setdefault((tile.inner_y.start, tile.inner_y.stop), []).append(tile)
    return [rows[key] for key in sorted(rows)]


def halved(tile: Tile, shape: tuple[int, int], halo: int, multiple: int) -> list[Tile]:
    """The same part of a plane of ``shape`` in tiles of half the side; one where it cannot be less."""
    sides = (tile.inner_y.stop - tile.inner_y.start, tile.inner_x.stop - tile.inner_x.start)
    half = max(multiple, -(-max(sides) // (2 * multiple)) * multiple)
    halo = -(-halo // multiple) * multiple

    def parts(inner: slice, length: int) -> list[tuple[slice, slice]]:
        starts = range(inner.start, inner.stop, half)
        kept = [slice(start, min(start + half, inner.stop)) for start in starts]
        return [(slice(max(0, k.start - halo), min(length, k.stop + halo)), k) for k in kept]

    return [
        Tile(seen_y, seen_x, kept_y, kept_x)
        for seen_y, kept_y in parts(tile.inner_y, shape[0])
        for seen_x, kept_x in parts(tile.inner_x, shape[1])
    ]


def mirrored(tile: Tile, shape: tuple[int, int], dims: Sequence[int]) -> tuple[int, int]:
    """Where what a tile sees begins, (y, x), in the plane flipped along ``dims``."""
    y = shape[0] - tile.y.stop if -2 in dims else tile.y.start
    x = shape[1] - tile.x.stop if -1 in dims else tile.x.start
    return y, x


def widened(tile: Tile, margin: int) -> Tile:
    """The same tile with more of what it sees kept on each side, as far as it sees."""

    def wider(inner: slice, seen: slice) -> slice:
        return slice(max(seen.start, inner.start - margin), min(seen.stop, inner.stop + margin))

    return replace(tile, inner_y=wider(tile.inner_y, tile.y), inner_x=wider(tile.inner_x, tile.x))
