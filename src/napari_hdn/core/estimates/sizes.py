"""What a restoration holds in memory, and what it makes, in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.restoring.reduction import keeps_samples
from napari_hdn.core.restoring.restorer import Restorer
from napari_hdn.core.restoring.tiled import TiledRestorer
from napari_hdn.core.restoring.tiling import Tile

_PROGRAM_BYTES = 1.0e8  # that torch takes when it computes for the first time


def work_bytes(restorer: TiledRestorer, tiles: Sequence[Tile], shape: tuple[int, int]) -> float:
    """Memory of the work on a plane: feature maps, what is held of samples, the plane itself."""
    largest = max(tiles, key=seen_px)
    kept = side_px(largest) * (largest.inner_x.stop - largest.inner_x.start)
    rows = largest.inner_y.stop - largest.inner_y.start
    plane = 4 * 4 * prod(shape) if len(tiles) == 1 else 4 * 4 * side_px(largest) * shape[1]
    if not isinstance(restorer, Restorer):
        net = restorer.network.config  # type: ignore[attr-defined]
        maps = 4 * 6 * net.widths[0] / net.unshuffle**2
        return _PROGRAM_BYTES + maps * seen_px(largest) + plane
    net = restorer.prepared.network.config
    maps = 12 * 4 * net.channels / (4 if net.trunk == "half" else 1)
    # what is freed after one tile does not always serve another of another shape (measured)
    maps *= 2 if len({(side_px(t), seen_px(t)) for t in tiles}) > 2 else 1
    batch = min(restorer.batch, len(restorer.draws))
    config = restorer.config
    samples = len(restorer.draws) * (3 if keeps_samples(config) else 0)
    made = len(config.products) + ("samples" in config.outputs) * config.samples
    outputs = 4 * (samples * kept + (made + 4) * rows * shape[1])
    parameters = sum(p.numel() * p.element_size() for p in restorer.prepared.network.parameters())
    return _PROGRAM_BYTES + parameters + maps * batch * seen_px(largest) + plane + outputs


def result_bytes(
    stacks: Sequence[ImageStack], config: RestorationConfig, integers: bool
) -> tuple[float, float]:
    """Of what is written, and of the same as layers, whose samples are drawn when looked at."""
    written = held = 0.0
    for stack in stacks:
        pixels = len(stack) * prod(stack.plane_shape)
        own = np.dtype(stack.array.dtype)
        for product in config.products:
            whole = integers and own.kind in "ui" and product not in ("std", "cv", "difference")
            many = config.samples if product == "samples" else 1
            written += many * pixels * (own.itemsize if whole else 4)
            held += 0 if product == "samples" else 4 * pixels
    return written, held


def seen_px(tile: Tile) -> int:
    """Pixels that a tile sees."""
    return (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)


def side_px(tile: Tile) -> int:
    """How high it is."""
    return tile.y.stop - tile.y.start
