"""Watching the noise model while a network trains with it, and mending it within bounds.

A noise model that is too small makes the network copy noise: the KL of the lowest level that is on,
small at first, rises late, and with it the restored image gets worse. Too small is mostly one of
these: a known sigma or a file that is not of these images, or one curve for images that were scaled
apart. All of them show when each image's own noise is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_hdn.core.calibration.estimation import quantisation_step, single_image_curve
from napari_hdn.core.calibration.frames import central
from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.curves import (
    MeasuredCurve,
    NoiseLine,
    curve_of_moments,
    fit_line,
)
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.training.patches import Region

WATCH_EVERY = 50  # steps: not seconds, so that the same seed trains the same model
FIRST_SEEN = 4  # the first looks at a training are not settled
SMOOTHED = 3
# nats per pixel that the bottom level's KL may rise above its least before something is done:
# on images scaled apart it rose from 0.03 to 0.09 while the restoration lost 1 dB
KL_RISE = 0.03
MOST_SCALED = 2.0  # a variance is refined by this factor at most
WORTH_IT = 0.1  # relative difference of variances that is
SHAPE_BOUND = 1.25
FEW_PLANES = 64  # tell whether images differ
MOST_PLANES = 2048


@dataclass(frozen=True)
class Rise:
    """The watched level's KL in nats per pixel: its least, and now."""

    least: float
    now: float


@dataclass
class NoiseWatch:
    """What was seen of the lowest level that is on, and what was done about it.

    Attributes
    ----------
    steps, kl : list
        Looks at the validation part.
    rescaled_at, bootstrapped_at, told_at : int or None
        Steps at which the scale was refined, the shape refitted, the user told that nothing helps.
    copies_noise : bool
        Whether nothing helped, so that training had better end.
    inherited : float
        Nats per pixel that this level and those below, now off, had in the model that a variant
        was made of: what they held may move up, and only what is more is a rise.
    """

    steps: list[int] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    rescaled_at: int | None = None
    bootstrapped_at: int | None = None
    told_at: int | None = None
    copies_noise: bool = False  # training should end
    inherited: float = 0.0

    def add(self, step: int, kl: float) -> None:
        """Take in a look."""
        self.steps.append(step)
        self.kl.append(kl)

    @property
    def _since(self) -> list[float]:
        changed = max(self.rescaled_at or 0, self.bootstrapped_at or 0)
        return [kl for step, kl in zip(self.steps, self.kl, strict=True) if step > changed]

    def rise(self) -> Rise | None:
        """Whether the level has begun to learn noise, since the noise model was changed."""
        seen = self._since[FIRST_SEEN:]
        if len(seen) < 2 * SMOOTHED:
            return None
        smooth = np.convolve(seen, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
        least, now = max(float(smooth.min()), self.inherited), float(smooth[-1])
        return Rise(least, now) if now >= 2 * least and now - least >= KL_RISE else None

    @property
    def at_its_least(self) -> bool:
        """Whether the last look saw the least KL so far, or no more than was inherited."""
        seen = self._since
        return len(seen) > FIRST_SEEN and seen[-1] <= max(min(seen[FIRST_SEEN:]), self.inherited)

    def state(self) -> dict[str, Any]:
        """For `load`: numbers and lists."""
        return dict(self.__dict__)

    def load(self, state: dict[str, Any]) -> None:
        """Go on with what `state` gave."""
        self.steps, self.kl = [int(s) for s in state["steps"]], [float(k) for k in state["kl"]]
        for name in ("rescaled_at", "bootstrapped_at", "told_at"):
            setattr(self, name, None if state[name] is None else int(state[name]))
        self.inherited = float(state.get("inherited", 0.0))
        self.copies_noise = False  # whoever continues a training wants it to go on


def watched_level(network: NetworkConfig) -> int:
    """The lowest level that sees the image: noise is copied there first."""
    return min(set(range(1, network.levels + 1)) - set(network.deactivated_levels))


def own_scale(model: NoiseModel, region: Region, kind: str = "diagonal") -> float | None:
    """How many times the noise model's variance an image's own noise has; None where it can't tell."""
    ys, xs = central(region.height, region.width)
    plane = region.read(ys.start, xs.start, ys.stop - ys.start, xs.stop - xs.start)
    curve = single_image_curve(plane, kind)
    if len(curve.signal) < 3:
        return None
    return variance_ratio(model, curve, region.plane, quantisation_step(plane))


def variance_ratio(model: NoiseModel, curve: MeasuredCurve, image: int, step: float) -> float:
    """Measured variance over the model's, the median over the signal."""
    expected = model.variance_curve(curve.signal, image) + step**2 / 12
    ratio = np.sort(curve.variance / np.maximum(expected, 1e-30))
    return float(np.median(ratio))


def rescaled(
    model: NoiseModel,
    regions: Sequence[Region],
    planes: int,
    kind: str = "diagonal",
    stop: Stop | None = None,
) -> tuple[Refined | None, str]:
    """The model with each image's variance scaled to what its own noise says, if that is more.

    Too large a variance makes no network copy noise; it is scaled down only for single images of
    which others need more.

    Parameters
    ----------
    model : NoiseModel
    regions : sequence of Region
        Training images; of several pieces of one plane the largest counts.
    planes : int
        Number of all planes.

    Returns
    -------
    refined : Refined or None
        None where the model agrees with the images' own noise.
    text : str
        What was found, for the user.
    """
    by_size = sorted(regions, key=lambda r: r.height * r.width)
    by_plane = {region.plane: region for region in by_size}  # the largest piece of each
    every = sorted(by_plane)
    some = [
        every[k] for k in np.linspace(0, len(every) - 1, min(len(every), FEW_PLANES)).astype(int)
    ]

    def ratios_of(chosen: Sequence[int]) -> dict[int, float]:
        found: dict[int, float] = {}
        for k in chosen:
            if stop is not None and stop.requested:
                break
            ratio = own_scale(model, by_plane[k], kind)
            if ratio is not None:
                found[k] = ratio
        return found

    ratios = ratios_of(some)
    if not ratios:
        return None, "the images are too uniform to measure their own noise"
    middle = float(np.median(list(ratios.values())))
    spread = float(np.std(np.log(list(ratios.values())))) if len(ratios) > 1 else 0.0
    apart = spread > WORTH_IT and len(every) <= MOST_PLANES
    if apart and len(every) > len(some):
        ratios |= ratios_of([k for k in every if k not in ratios])
    low, high = min(ratios.values()), max(ratios.values())
    if middle - 1 <= WORTH_IT and not apart:
        return (
            None,
            f"the images' own noise is not larger than its (x {low:.2f} to {high:.2f})",
        )
    bound = (1 / MOST_SCALED, MOST_SCALED)
    scale = [float(np.clip(middle, *bound))]
    if apart:
        scale = [float(np.clip(ratios.get(k, middle), *bound)) for k in range(planes)]
    if apart:
        text = (
            f"the images' own noise has {low:.2f} to {high:.2f} times its variance; it was scaled by "
            f"{min(scale):.2f} to {max(scale):.2f}, each image by its own"
        )
    else:
        text = (
            f"the images' own noise has {middle:.2f} times its variance; it was scaled by "
            f"{scale[0]:.2f}"
        )
    previous = np.ones(1)
    inner, units = model, None
    if isinstance(model, Refined):
        inner, units, previous = model.inner, model.units, model.scale.cpu().numpy()
        inner.clipping, inner.calibration = model.clipping, model.calibration
        inner.structured = model.structured
    return Refined(inner, (np.asarray(scale) * previous).tolist(), units), text


def reshaped(
    model: PoissonGaussian, counts: np.ndarray, signal: np.ndarray, step: float
) -> tuple[PoissonGaussian | None, str]:
    """Bootstrap: the line's tilt refitted to posterior samples, its scale anchored, bounded.

    A posterior sample s of an image x is drawn from the pairs (x, s) that the noise model speaks of,
    if network and noise model are right; what their noise has too much or too little of at some
    signals against others tells the shape. The scale does not change: pseudo-truth is
    known to be off there (Prakash et al. 2020, fully unsupervised bootstrap).

    Parameters
    ----------
    counts, signal : ndarray
        (n,) noisy counts and posterior samples.

    Returns
    -------
    model : PoissonGaussian or None
        None where nothing is worth a change.
    text : str
    """
    curve = curve_of_moments(signal, (counts - signal) ** 2, 1, step)
    if len(curve.signal) < 6:
        return None, "too few signals were seen to refit its shape"
    old = model.variance_curve(curve.signal)
    log_ratio = np.log(np.maximum(curve.variance, 1e-30) / old)
    log_ratio -= np.average(log_ratio, weights=curve.number)
    anchored = MeasuredCurve(
        curve.signal, old * np.exp(log_ratio), curve.number, np.zeros_like(old)
    )
    line = fit_line(anchored, step)
    if line is None:
        return None, "its shape could not be refitted"
    # samples of a network that was hardly trained yet span less than the images do
    low, high = np.quantile(counts, [0.01, 0.99])
    span = np.linspace(float(low), float(high), 32)
    gain, offset = _within_bounds(model, line, span)
    floor = float(model.floor[0])
    new = np.maximum(gain * span + offset, floor)
    change = new / model.variance_curve(span) - 1
    if np.abs(change).max() < 0.02:
        return None, f"its shape holds (within {100 * np.abs(change).max():.1f} %)"
    made = PoissonGaussian([gain], [offset], [floor], model.source, model.differences)
    text = (
        f"its shape was refitted to posterior samples: gain {float(model.gain[0]):.3g} -> "
        f"{gain:.3g}, variances change by {100 * change.min():+.0f} to "
        f"{100 * change.max():+.0f} %, the scale stays"
    )
    return made, text


def _within_bounds(
    model: PoissonGaussian, line: NoiseLine, signal: np.ndarray
) -> tuple[float, float]:
    """Gain and offset as far from the model's towards a line's as `SHAPE_BOUND` allows."""
    gain, offset = float(model.gain[0]), float(model.offset[0])
    old = model.variance_curve(signal)
    change = (line.variance(signal) - old) / old
    most = max(float(change.max()) / (SHAPE_BOUND - 1), float(change.min()) / (1 / SHAPE_BOUND - 1))
    part = 1 / max(1.0, most)
    return gain + part * (line.gain - gain), offset + part * (line.offset - offset)
