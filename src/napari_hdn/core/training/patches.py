"""Random crops of the training images, drawn lazily; what is held out for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import TrainingConfig
from napari_hdn.core.devices import moved
from napari_hdn.core.errors import ImageError
from napari_hdn.core.ranks import ALONE, Rank
from napari_hdn.core.training.statistics import check_finite

IN_MEMORY_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Region:
    """A rectangle of one plane, and the noise curve of that plane."""

    stack: ImageStack
    index: tuple[int, ...]
    y0: int
    x0: int
    height: int
    width: int
    plane: int  # running number over all training images

    def read(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """(height, width) counts from (y, x) of this region.

        Raises
        ------
        ImageError
            If a pixel is NaN or infinite.
        """
        ys = slice(self.y0 + y, self.y0 + y + height)
        xs = slice(self.x0 + x, self.x0 + x + width)
        piece = self.stack.crop(self.index, ys, xs)
        check_finite(piece, self.stack.name, self.index)
        return piece


@dataclass(frozen=True)
class Split:
    """Training and validation regions."""

    training: tuple[Region, ...]
    validation: tuple[Region, ...]


def split_regions(stacks: Sequence[ImageStack], config: TrainingConfig) -> Split:
    """Hold out whole frames where there are at least four, else a strip of every frame.

    Raises
    ------
    ImageError
        If an image is smaller than a patch.
    """
    whole: list[Region] = []
    for stack in stacks:
        height, width = stack.plane_shape
        if min(height, width) < config.patch_px:
            multiple = config.network.multiple
            largest = min(height, width) // multiple * multiple
            todo = (
                f"choose patch {config.patch_px} -> {largest}"
                if largest >= max(8, multiple)
                else "choose a network with fewer levels and a smaller patch"
            )
            raise ImageError(
                f"{stack.name} has {width} x {height} pixels, less than a patch of "
                f"{config.patch_px} x {config.patch_px}; {todo}."
            )
        for index in stack.indices():
            whole.append(Region(stack, index, 0, 0, height, width, len(whole)))
    if config.validation_fraction == 0:
        return Split(tuple(whole), ())
    if len(whole) >= 4:
        count = max(1, round(config.validation_fraction * len(whole)))
        chosen = np.random.default_rng([config.seed, 11]).permutation(len(whole))[:count]
        held_out = set(chosen.tolist())
        return Split(
            tuple(r for r in whole if r.plane not in held_out),
            tuple(r for r in whole if r.plane in held_out),
        )
    pairs = [_split_off_strip(region, config) for region in whole]
    return Split(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs if p[1] is not None))


def _split_off_strip(region: Region, config: TrainingConfig) -> tuple[Region, Region | None]:
    """A strip at the end of the longer side, if a patch still fits beside it."""
    multiple = config.network.multiple
    along_y = region.height >= region.width
    length = region.height if along_y else region.width
    strip = max(1, -(-round(length * config.validation_fraction) // multiple)) * multiple
    if length - strip < config.patch_px:
        return region, None
    rest, at = length - strip, length - strip
    s, i, p = region.stack, region.index, region.plane
    if along_y:
        return (
            Region(s, i, 0, 0, rest, region.width, p),
            Region(s, i, at, 0, strip, region.width, p),
        )
    return (
        Region(s, i, 0, 0, region.height, rest, p),
        Region(s, i, 0, at, region.height, strip, p),
    )


class Patches:
    """Batches of random crops; a pure function of the seed and the step.

    Regions are copied to the device once where they are small enough together, else each crop is
    read when it is needed.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        config: TrainingConfig,
        device: torch.device,
        *,
        in_memory_bytes: int = IN_MEMORY_BYTES,
    ) -> None:
        self.regions = tuple(regions)
        self.config = config
        self.device = device
        area = np.array([r.height * r.width for r in self.regions], dtype=np.float64)
        self._weights = area / area.sum()
        self.in_memory = 4 * area.sum() <= in_memory_bytes
        self._held: list[Tensor] = []
        if self.in_memory:
            self._held = [
                torch.from_numpy(r.read(0, 0, r.height, r.width)).to(device) for r in self.regions
            ]

    def batch(
        self, step: int, *, size: int | None = None, rank: Rank = ALONE
    ) -> tuple[Tensor, Tensor]:
        """Draw the batch of one step, or one process's share of it.

        Parameters
        ----------
        step : int
        size : int, optional
            Number of patches of the whole batch; by default the config's.
        rank : Rank
            Whose patches to read; the shares of all processes make the whole batch.

        Returns
        -------
        counts : Tensor
            (B, 1, patch, patch) on the device.
        image : Tensor
            (B,) running number of the plane, for the noise model.
        """
        config = self.config
        rng = np.random.default_rng([config.seed, step])
        size = config.batch_size if size is None else size
        chosen = rng.choice(len(self.regions), size=size, p=self._weights)
        mine, pieces = rank.share(size), []
        for i, k in enumerate(chosen):
            region = self.regions[k]
            # a validation strip may be narrower than a patch
            h = min(config.patch_px, region.height)
            w = min(config.patch_px, region.width)
            y = int(rng.integers(region.height - h + 1))
            x = int(rng.integers(region.width - w + 1))
            flip_y, flip_x, turn = (int(rng.integers(2)) for _ in range(3))
            if not mine.start <= i < mine.stop:
                continue
            if self.in_memory:
                piece = self._held[k][y : y + h, x : x + w]
            else:
                piece = torch.from_numpy(region.read(y, x, h, w))
            pieces.append(self._augment(piece, flip_y, flip_x, turn))
        smallest = (min(p.shape[0] for p in pieces), min(p.shape[1] for p in pieces))
        counts = torch.stack([p[: smallest[0], : smallest[1]] for p in pieces])[:, None]
        image = torch.tensor([self.regions[k].plane for k in chosen[mine]])
        # one transfer for the batch, which the device need not be waited for
        return moved(counts, self.device), moved(image, self.device)

    def _augment(self, piece: Tensor, flip_y: int, flip_x: int, turn: int) -> Tensor:
        if self.config.flips:
            dims = [d for d, flip in ((0, flip_y), (1, flip_x)) if flip]
            piece = piece.flip(dims) if dims else piece
        if self.config.rotations and turn and piece.shape[0] == piece.shape[1]:
            piece = piece.T
        return piece
