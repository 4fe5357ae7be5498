"""From the samples of a tile, as they come, to what is made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_hdn.core.config import RestorationConfig, quantile_name
from napari_hdn.core.restoring.convergence import MeanSpread
from napari_hdn.core.restoring.mean_shift import WINDOW_PX, map_estimate

_KEPT = {"median", "map", "quantiles", "samples", "difference"}  # need all samples at once


class RunningMoments:
    """Mean and variance of images as they come (Welford, in batches); float32."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def add(self, images: Tensor) -> None:
        """Take in (B, h, w) images."""
        b = len(images)
        total = self.count + b
        batch_mean = images.mean(dim=0)
        deviations = ((images - batch_mean) ** 2).sum(dim=0)
        if self.count == 0:
            self.mean, self.squares = batch_mean, deviations
        else:
            delta = batch_mean - self.mean
            self.squares += deviations + delta**2 * (self.count * b / total)
            self.mean += delta * (b / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """Of single images, unbiased."""
        return self.squares / max(self.count - 1, 1)


class Reduction:
    """What a config asks for, of one tile.

    Parameters
    ----------
    config : RestorationConfig
    pairs : int
        How many antithetic pairs the mean is taken over; 0: over all images there are.
    origin : (int, int)
        Where the tile's images begin in the plane.
    """

    def __init__(
        self, config: RestorationConfig, pairs: int, origin: tuple[int, int] = (0, 0)
    ) -> None:
        self._config = config
        self._origin = origin
        self._keeps = bool(_KEPT & set(config.outputs))
        self._independent = RunningMoments()
        self._all = RunningMoments()  # where nothing but the mean is asked for
        self._pairs = RunningMoments()
        self._halves: dict[int, Tensor] = {}  # of pairs that lack the other half
        self._paired = pairs > 0
        self._kept: dict[int, Tensor] = {}

    def add(self, images: Tensor, keys: list[int], roles: list[str]) -> None:
        """Take in (B, h, w) images in counts.

        Parameters
        ----------
        images : Tensor
        keys : list of int
            Which sample each is.
        roles : list of str
            ``single``: an independent sample. ``first``: one that is half of a pair, too.
            ``partner``: its antithetic partner, which only the mean takes. ``centre``: no sample,
            but the means of all levels.
        """
        if not self._config.independent:
            self._all.add(images)
        alone = [i for i, role in enumerate(roles) if role in ("single", "first")]
        if alone:
            self._independent.add(images[alone])
        for i, (key, role) in enumerate(zip(keys, roles, strict=True)):
            if role in ("first", "partner"):
                other = self._halves.pop(key, None)
                if other is None:
                    self._halves[key] = images[i]
                else:
                    self._pairs.add(((other + images[i]) / 2)[None])
            if self._keeps and role in ("single", "first"):
                self._kept[key] = images[i]

    def finish(self) -> dict[str, Tensor]:
        """The images by product, (h, w) each, samples (N, h, w)."""
        made: dict[str, Tensor] = {}
        config = self._config
        kept = torch.stack([self._kept[k] for k in sorted(self._kept)]) if self._keeps else None
        mean = self._pairs.mean if self._paired else self._all.mean
        for output in config.outputs:
            match output:
                case "mean":
                    made["mean"] = mean
                case "std":
                    made["std"] = torch.sqrt(self._independent.variance)
                case "cv":
                    std = torch.sqrt(self._independent.variance)
                    made["cv"] = torch.where(mean > 0, std / mean, torch.nan)
                case _:
                    assert kept is not None
                    made |= self._from_all(output, kept)
        return made

    def _from_all(self, output: str, kept: Tensor) -> dict[str, Tensor]:
        config = self._config
        match output:
            case "samples":
                return {"samples": kept}
            case "difference":
                a, b = config.difference
                return {"difference": kept[a - 1] - kept[b - 1]}
            case "map":
                return {"map": map_estimate(kept, config.map_bandwidth, self._origin)}
            case "median":
                return {"median": _quantile(kept, 0.5)}
            case _:
                ordered = kept.sort(dim=0).values
                return {quantile_name(q): _at(ordered, q) for q in config.quantiles}

    def spread(self) -> MeanSpread | None:
        """How much single samples and pairs scatter, where this was seen."""
        if self._independent.count < 3:
            return None
        variance = float(self._independent.variance.mean())
        paired = float(self._pairs.variance.mean()) if self._pairs.count > 1 else None
        return MeanSpread(variance, paired, self._independent.count, self._pairs.count)


def margin_px(config: RestorationConfig) -> int:
    """How far around a tile its samples have to be known."""
    return WINDOW_PX if "map" in config.outputs else 0


def keeps_samples(config: RestorationConfig) -> bool:
    """Whether all samples of a tile are held at once."""
    return bool(_KEPT & set(config.outputs))


def _quantile(images: Tensor, q: float) -> Tensor:
    return _at(images.sort(dim=0).values, q)


def _at(ordered: Tensor, q: float) -> Tensor:
    """Quantile of images that are ordered along the first axis; linear in between, as numpy's."""
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return torch.lerp(ordered[low], ordered[high], place - low)
