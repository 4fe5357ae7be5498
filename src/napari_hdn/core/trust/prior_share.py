"""Where a restoration depends on what the network expects more than on the image.

At every level the network has a prior (what it expects given the levels above) and a posterior (what
it makes of the image, too). The plain ratio of their standard deviations is 1 where the image said
nothing of a latent and 0 where it decided. In trained ladders it is near 1 nearly everywhere
(*measured*: 0.95 to 0.99 at all levels of four models of real images): an image that has little to
say of one latent moves its mean, and hardly narrows it. Hence the same question in counts, with
the prior's spread taken as the posterior's own around the prior's mean, which is what the prior
was trained to be:

    spread²  = variance of the images that the level draws given the image
    decided² = square of the level's contribution: posterior mean against prior mean
    share    = spread / sqrt(spread² + decided²)

1 where what the level shows is one draw among many, 0 where the image decided it. Squares add up over
levels, each so counting by how much it changes the image at that place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_hdn.core.events import Stop
from napari_hdn.core.model.ladder import Choice
from napari_hdn.core.model.stochastic import Normal
from napari_hdn.core.restoring.latent_noise import LatentNoise
from napari_hdn.core.restoring.planes import Plane, Prepared
from napari_hdn.core.restoring.tiling import Tile
from napari_hdn.core.trust.windows import Window

WINDOW_PX = 4.0  # sigma of the windows in which squares of differences are averaged
_NOTHING = 1e-12


def narrowing(q: Normal, p: Normal) -> Tensor:
    """How much narrower than the prior the posterior of each latent is: 0 as wide, 1 decided."""
    return 1 - torch.exp(0.5 * (q.log_variance - p.log_variance))


@dataclass(frozen=True)
class PriorShare:
    """How much of a plane the network's expectation decided; level 1 (finest) first.

    Attributes
    ----------
    ratio : tuple of float
        Standard deviation of the posterior over that of the prior, mean over the latents of a level.
    spread : ndarray
        (n, Y, X) RMS counts, in small windows, by which images differ that a level draws given the
        image.
    decided : ndarray
        (n, Y, X) RMS counts of what the image changed at the level: its contribution.
    off : tuple of int
        Levels that take nothing from the image; in none of the numbers that put levels together.
    """

    ratio: tuple[float, ...]
    spread: np.ndarray
    decided: np.ndarray
    off: tuple[int, ...] = ()

    @property
    def levels(self) -> int:
        """How many there are."""
        return len(self.ratio)

    @property
    def on(self) -> list[int]:
        """Levels that take something from the image."""
        return [k for k in range(1, self.levels + 1) if k not in self.off]

    @property
    def by_level(self) -> np.ndarray:
        """(n, Y, X) the prior's share at each level, 0..1; 1 where a level is off."""
        return _share(self.spread**2, self.decided**2)

    @property
    def of_levels(self) -> tuple[float, ...]:
        """The prior's share of each level, over the whole plane."""
        squares = (
            (a.astype(np.float64) ** 2).mean(axis=(1, 2)) for a in (self.spread, self.decided)
        )
        return tuple(float(v) for v in _share(*squares))

    @property
    def share(self) -> np.ndarray:
        """(Y, X) the prior's share, all levels that are on put together."""
        on = [k - 1 for k in self.on]
        return _share((self.spread[on] ** 2).sum(0), (self.decided[on] ** 2).sum(0))

    def in_words(self) -> str:
        """What the prior's share is, and is not."""
        shares = ", ".join(
            f"level {k}: {s:.2f}" for k, s in enumerate(self.of_levels, 1) if k in self.on
        )
        return (
            f"Share of the prior: {float(np.median(self.share)):.2f} (median over the piece; 1: what is "
            f"shown is one draw of many, 0: the image decided it). {shares}. A large share is no fault "
            "where an image is dark or smooth. But details there are typical of the training "
            "images, and "
            "no evidence of this one. It is no part of the trust map: tested on known truths it did not "
            "tell where errors are."
        )


def _share(spread: np.ndarray, decided: np.ndarray) -> np.ndarray:
    whole = spread + decided
    return np.asarray(
        np.sqrt(np.where(whole > _NOTHING, spread / np.maximum(whole, _NOTHING), 1.0))
    )


def prior_share(
    prepared: Prepared,
    plane: Plane,
    stop: Stop,
    *,
    seed: int = 0,
    off: Sequence[int] = (),
) -> Iterator[float | PriorShare]:
    """Compare posterior and prior level by level: yields fractions done, then the result unless stopped.

    One way down at the posterior's means, and from each level three ways on to an image: by its
    posterior's mean, a sample of it, and its prior's mean, the prior's means below.
    """
    network = prepared.network
    n = network.config.levels
    blind = tuple(sorted({*network.config.deactivated_levels, *off}))
    ratio = np.zeros(n)
    apart = np.zeros((2, n, *plane.shape), np.float32)
    noise = LatentNoise(seed, 1, network.config.latent_channels, prepared.device.torch)
    done = 0
    for tile in plane.tiles:
        weight = _area(tile) / (plane.shape[0] * plane.shape[1])
        for level, told, spread, decided in _ways(prepared, plane, tile, noise, blind):
            ratio[level - 1] += weight * told
            apart[0, level - 1, tile.inner_y, tile.inner_x] = spread
            apart[1, level - 1, tile.inner_y, tile.inner_x] = decided
            done += 1
            if stop.requested:
                return
            yield done / (n * len(plane.tiles))
    height, width = plane.size
    window = Window(np.ones((height, width), bool), WINDOW_PX)
    spread_map, decided_map = (
        np.stack([np.sqrt(window.smooth(d[:height, :width] ** 2)) for d in part]) for part in apart
    )
    yield PriorShare(tuple(float(r) for r in ratio), spread_map, decided_map, blind)


def _ways(
    prepared: Prepared, plane: Plane, tile: Tile, noise: LatentNoise, blind: Sequence[int]
) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
    """(level, ratio, sample - mean, mean - prior's mean in counts) of a tile's kept part, top first."""
    network = prepared.network
    features = prepared.encode(plane.image, tile)
    choices = network.choices("mean", blind)
    above: Tensor | None = None
    size = torch.Size((1, *features[-1].shape[-2:]))

    def at(level: int, shape: torch.Size) -> Tensor:
        y0, x0 = tile.y.start >> level, tile.x.start >> level
        return noise.crop(0, level, y0, x0, int(shape[-2]), int(shape[-1]))[None]

    def image_by(level: int, choice: Choice) -> np.ndarray:
        below, dims = above, size
        for k in range(level, 0, -1):
            here = choice if k == level else "prior_mean"
            _, _, below = network.descend(k, here, features[k - 1], below, at, dims)
            dims = torch.Size((1, *below.shape[-2:]))
        signal = network.finish(below)[0, 0]
        kept = prepared.to_counts(signal[tile.crop[0], tile.crop[1]].clone(), plane)
        return np.asarray(kept.float().cpu().numpy())

    for level in reversed(network.levels):
        with torch.inference_mode(), prepared.autocast():
            choice, up = choices[level - 1], features[level - 1]
            _, told, below = network.descend(level, choice, up, above, at, size, measure=narrowing)
            ratio = 1.0
            spread = decided = np.zeros((1, 1), np.float32)
            if level not in blind:
                ys, xs = (slice(s.start >> level, s.stop >> level) for s in tile.crop)
                ratio = 1 - float(told[0, ys, xs].mean()) / network.config.latent_channels
                mean = image_by(level, "mean")
                spread, decided = (
                    image_by(level, "sample") - mean,
                    mean - image_by(level, "prior_mean"),
                )
        yield level, ratio, spread, decided
        above, size = below, torch.Size((1, *below.shape[-2:]))


def _area(tile: Tile) -> int:
    ys, xs = tile.inner_y, tile.inner_x
    return (ys.stop - ys.start) * (xs.stop - xs.start)
