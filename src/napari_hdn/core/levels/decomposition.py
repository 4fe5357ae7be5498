"""An exact decomposition of a restored image into what its latent levels contribute.

s_k is decoded with levels 1 to k at their prior's mean and the others at their posterior's;
c_k = s_(k-1) - s_k. The c_k and s_n add up to s_0, the image with all latents at their means. One
bottom-up pass and n + 1 decodes, of which each begins at the first level that differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.events import Stop
from napari_hdn.core.levels.descent import Descent
from napari_hdn.core.restoring.planes import Plane, Prepared
from napari_hdn.core.restoring.tiling import Tile


@dataclass(frozen=True)
class Decomposition:
    """What the levels of a network contribute to one plane; counts, float32.

    Attributes
    ----------
    contributions : ndarray
        (n, Y, X), level 1 (finest) first.
    remainder : ndarray
        (Y, X) s_n: nothing taken from the image; the same for all images but for their noise curve.
    noise : ndarray
        (Y, X) standard deviation of the noise at s_0.
    kl : tuple of float
        Nats per pixel that each level is worth, level 1 first; 0 where it was trained off and takes
        its prior.
    untrained : tuple of int
        Levels that the model was trained without.
    """

    contributions: np.ndarray
    remainder: np.ndarray
    noise: np.ndarray
    kl: tuple[float, ...]
    untrained: tuple[int, ...] = ()

    @property
    def levels(self) -> int:
        """How many there are."""
        return len(self.contributions)

    def without(self, off: tuple[int, ...] | list[int]) -> np.ndarray:
        """(Y, X) counts: the image with the contiguous levels 1..k off, from the sum.

        Exact only for levels 1 to k in a row; others have to be decoded.
        """
        if sorted(off) != list(range(1, len(off) + 1)):
            raise ValueError(f"Levels {off} are no run from level 1 up; decode them instead.")
        return np.asarray(self.remainder + self.contributions[len(off) :].sum(axis=0))

    def part(self, ys: slice, xs: slice) -> Decomposition:
        """The same of a part of the plane; KL stays that of the whole."""
        return replace(
            self,
            contributions=self.contributions[:, ys, xs],
            remainder=self.remainder[ys, xs],
            noise=self.noise[ys, xs],
        )

    @property
    def image(self) -> np.ndarray:
        """(Y, X) counts: s_0, all levels at their posterior means."""
        return self.without(())


def decompose(
    prepared: Prepared, counts: np.ndarray, stop: Stop, *, tile_px: int | None = None
) -> Iterator[float | Decomposition]:
    """Decompose a (Y, X) plane of counts: yields fractions done, then the result unless stopped.

    Parameters
    ----------
    prepared : Prepared
    counts : ndarray
        (Y, X) float32 camera counts.
    stop : Stop
        Looked at after every decode.
    tile_px : int, optional
        Side of tiles; chosen by the free memory if not given.
    """
    network = prepared.network
    n = network.config.levels
    plane = prepared.plane(counts, tile_px, 1)
    images = np.empty((n + 1, *plane.shape), np.float32)
    nats = np.zeros(n)
    done = 0
    for tile in plane.tiles:
        for k, image, kl in _decodes(prepared, plane, tile):
            images[k, tile.inner_y, tile.inner_x] = image
            nats += kl
            done += 1
            if stop.requested:
                return
            yield done / (len(plane.tiles) * (n + 1))
    height, width = plane.size
    sigma = prepared.noise(torch.from_numpy(images[0]).to(plane.home), plane)
    images = images[:, :height, :width]
    for k in range(n):  # in place: planes may be large
        images[k] -= images[k + 1]
    yield Decomposition(
        contributions=images[:-1],
        remainder=images[-1],
        noise=sigma[:height, :width].cpu().numpy(),
        kl=tuple((nats / (plane.shape[0] * plane.shape[1])).tolist()),
        untrained=network.config.deactivated_levels,
    )


def _decodes(
    prepared: Prepared, plane: Plane, tile: Tile
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(k, s_k of the kept part in counts, nats by level), k = 0..n; nats only with s_0."""
    network = prepared.network
    features = prepared.encode(plane.image, tile)
    batch, _, height, width = features[-1].shape
    descent = Descent(network, features, (batch, height, width), with_kl=True)
    for k in range(network.config.levels + 1):
        choices = [
            "prior_mean" if level <= k else choice
            for level, choice in zip(network.levels, network.choices("mean"), strict=True)
        ]
        with torch.inference_mode(), prepared.autocast():
            signal = descent.signal(choices)[0, 0]
        image = _kept(signal, tile, 1)
        kl = np.zeros(network.config.levels)
        if k == 0:
            kl = np.array(
                [
                    float(_kept(nats[0], tile, 2**level).sum())
                    for level, nats in zip(network.levels, descent.kl, strict=True)
                ]
            )
        # the curve may belong to the whole plane
        yield k, prepared.to_counts(image, plane).float().cpu().numpy(), kl


def _kept(values: Tensor, tile: Tile, px: int) -> Tensor:
    """The part of a tile that is kept, of values that lie ``px`` pixels apart."""
    ys, xs = tile.crop
    return values[ys.start // px : ys.stop // px, xs.start // px : xs.stop // px].clone()
