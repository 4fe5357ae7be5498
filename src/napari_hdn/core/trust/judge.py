"""judge(): draw samples of a plane and ask all that can be asked of them; a generator of events."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import (
    ConfigurationError,
    ImageError,
    MemoryShortError,
    StoppedEarly,
    is_memory_short,
)
from napari_hdn.core.events import Stop, TrustEvent, TrustFinished, TrustProgress
from napari_hdn.core.hdn import HDN
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.restoring.drawing import Drawing
from napari_hdn.core.restoring.planes import Plane, Prepared
from napari_hdn.core.restoring.restoration import range_remark
from napari_hdn.core.restoring.restorer import check_levels
from napari_hdn.core.training.statistics import check_finite
from napari_hdn.core.trust import control as controls
from napari_hdn.core.trust.control import pure_noise
from napari_hdn.core.trust.judgement import Judgement, ModelFacts, Settings
from napari_hdn.core.trust.more_frames import (
    RESTORED,
    check_second,
    frames_of,
    from_repeats,
    from_second_frame,
    uncut,
)
from napari_hdn.core.trust.more_frames import SIDE_PX as REPEATS_PX
from napari_hdn.core.trust.prior_share import prior_share
from napari_hdn.core.trust.residual_maps import SAMPLES as RESIDUAL_SAMPLES
from napari_hdn.core.trust.residual_maps import local_residuals
from napari_hdn.core.trust.spread import SpreadCalibration
from napari_hdn.core.trust.trust_map import trust_map

LEAST_SAMPLES = 4
LEAST_PX = 64  # windows of 800 pixels tell nothing of a smaller piece
MOST_PX = 2048
_WORDS = {
    "samples": "drawing samples",
    "prior": "comparing prior and posterior level by level",
    "control": "restoring pure noise",
    "repeats": "restoring repeats",
}


def judge(
    model: HDN,
    counts: np.ndarray,
    *,
    repeats: ImageStack | None = None,
    second_frame: np.ndarray | None = None,
    samples: int = 16,
    off: tuple[int, ...] = (),
    seed: int = 0,
    device: str = "auto",
    name: str = "the image",
    stop: Stop | None = None,
) -> Iterator[TrustEvent]:
    """Judge the restoration of a plane, or of a piece of it.

    Parameters
    ----------
    model : HDN
    counts : ndarray
        (Y, X) camera counts, 64 to 2048 pixels a side.
    repeats : ImageStack, optional
        Three frames or more of any static scene of the same microscope, along T or S.
    second_frame : ndarray, optional
        (Y, X) the same scene as ``counts``, with other noise.
    samples : int
        At least 4.
    off : tuple of int
        Levels to switch off, as in restoring.
    seed : int
    device : str
    name : str
        Of the image, for messages.
    stop : Stop, optional
        Looked at after every sample. What is done is kept; what is not is named.

    Yields
    ------
    TrustEvent
        `TrustFinished` last.

    Raises
    ------
    ImageError, ConfigurationError
        If image, frames or settings cannot be used.
    StoppedEarly
        If stopped before the samples were drawn.
    MemoryShortError
        If the piece does not fit in memory.
    """
    counts = np.ascontiguousarray(counts, dtype=np.float32)
    check_piece(model, counts, name)
    off = check_levels(model.config.network, off)
    if samples < LEAST_SAMPLES:
        raise ConfigurationError(
            f"{samples} sample{'s' * (samples > 1)} cannot tell how far samples differ; choose at least "
            f"{LEAST_SAMPLES}, better 16."
        )
    if repeats is not None and second_frame is not None:
        raise ConfigurationError(
            "Give repeats or a second frame, not both: each gives the same curve."
        )
    if repeats is not None:
        frames_of(repeats)
    if second_frame is not None:
        second_frame = np.ascontiguousarray(second_frame, dtype=np.float32)
        check_second(counts, second_frame)
    try:
        with kept_memory():
            run = _Run(model, counts, samples, off, seed, device, name, stop or Stop())
            yield from run.steps(repeats, second_frame)
    except Exception as error:
        if is_memory_short(error):
            raise MemoryShortError(
                f"There is not enough memory to judge {counts.shape[1]} x {counts.shape[0]} pixels with "
                f"{samples} samples. Close other programs, or choose a smaller piece."
            ) from error
        raise


def check_piece(model: HDN, counts: np.ndarray, name: str) -> None:
    """Refuse what tells nothing.

    Raises
    ------
    ImageError
        If the piece is too small, too large, constant or not finite.
    """
    least = max(LEAST_PX, model.config.network.multiple)
    shape = " x ".join(map(str, counts.shape))
    if counts.ndim != 2 or min(counts.shape) < least:
        raise ImageError(
            f"{name}: {shape} pixels are too few to judge a restoration by: noise is judged in "
            "windows of "
            f"some 800 pixels. Choose a piece of at least {least} x {least}."
        )
    if max(counts.shape) > MOST_PX:
        raise ImageError(
            f"{name}: {shape} pixels are too many at once. Choose a piece of at most {MOST_PX} x "
            f"{MOST_PX}."
        )
    check_finite(counts, name, ())
    if np.ptp(counts) == 0:
        raise ImageError(
            f"All pixels of this piece of {name} are {counts.flat[0]:g} counts: there is neither "
            "noise nor "
            "signal to judge. Choose a piece of the raw image, with structures."
        )


class _Run:
    """One judgement on its way, with what is done of it."""

    def __init__(
        self,
        model: HDN,
        counts: np.ndarray,
        samples: int,
        off: tuple[int, ...],
        seed: int,
        device: str,
        name: str,
        stop: Stop,
    ) -> None:
        self.model, self.counts, self.samples = model, counts, samples
        self.off, self.seed, self.name, self.stop = off, seed, name, stop
        self.drawing = Drawing(model, samples, seed=seed, off=off, device=device)
        self.prepared: Prepared = self.drawing.prepared
        self.started = time.monotonic()
        self.done = self.whole = 0.0

    def steps(
        self, repeats: ImageStack | None, second_frame: np.ndarray | None
    ) -> Iterator[TrustEvent]:
        """Do all, the most important first."""
        costs = self._costs(repeats)
        self.whole = sum(costs.values())
        prepared, stop = self.prepared, self.stop
        plane = prepared.plane(self.counts, None, 1)
        drawn = yield from self._part("samples", self.drawing.draw(self.counts, stop), costs)
        if drawn is None:
            raise StoppedEarly(
                "Stopped before the samples were drawn: there is nothing to judge by."
            )
        found = self._first(plane, drawn)
        usable = found.pop("usable")
        results: dict[str, Any] = {}
        missed = []
        for part, steps in self._further(plane, found["mean"], repeats).items():
            results[part] = yield from self._part(part, steps, costs)
            if results[part] is None:
                missed.append(part)
        spread: SpreadCalibration | None = results.get("repeats")
        if second_frame is not None:
            spread = from_second_frame(prepared, self.counts, second_frame, drawn, found["noise"])
        factor = 1.0 if spread is None else spread.applied
        network, noise_model = self.model.config.network, self.model.noise_model
        structured = bool(self.off or network.deactivated_levels or noise_model.structured)
        remark = range_remark(self.model, self.counts, self.name)
        yield TrustFinished(
            Judgement(
                model=_facts(self.model),
                settings=Settings(self.samples, self.seed, self.off, self.prepared.device.label),
                name=self.name,
                counts=self.counts,
                structured=structured,
                trust=trust_map(
                    found["residuals"],
                    found["std"],
                    found["noise"],
                    usable,
                    factor,
                    structured=structured,
                ),
                prior=results.get("prior"),
                control=results.get("control"),
                spread=spread,
                not_done=tuple(missed),
                warnings=(remark,) if remark else (),
                **found,
            )
        )

    def _further(
        self, plane: Plane, mean: np.ndarray, repeats: ImageStack | None
    ) -> dict[str, Iterator[Any]]:
        """What is asked besides, not yet begun; the cheapest first."""
        drawing, stop = self.drawing, self.stop
        parts: dict[str, Iterator[Any]] = {}
        if self.model.config.network.levels > 1:  # a single level expects nothing of an image
            parts["prior"] = prior_share(self.prepared, plane, stop, seed=self.seed, off=self.off)
        parts["control"] = pure_noise(drawing, mean, plane.curve, stop)
        if repeats is not None:
            parts["repeats"] = from_repeats(drawing, repeats, stop)
        return parts

    def _first(self, plane: Plane, drawn: np.ndarray) -> dict[str, Any]:
        """What follows from the samples alone."""

        def noise_at(signal: np.ndarray) -> np.ndarray:
            at = self.prepared.noise(torch.from_numpy(signal).to(plane.home), plane)
            return np.asarray(at.cpu().numpy())

        mean = drawn.mean(axis=0)
        some = drawn[: min(RESIDUAL_SAMPLES, len(drawn))]
        sigma = np.stack([noise_at(s) for s in some])
        usable = uncut(self.prepared, self.counts)
        return {
            "mean": mean,
            "std": drawn.std(axis=0, ddof=1),
            "noise": noise_at(mean),
            "residuals": local_residuals(self.counts, some, sigma, usable),
            "usable": usable,
        }

    def _part(
        self, name: str, steps: Iterator[Any], costs: dict[str, float]
    ) -> Generator[TrustEvent, None, Any]:
        """Progress of one part; its result, or None if stopped."""
        result = None
        if not self.stop.requested:
            for part in steps:
                if not isinstance(part, float):
                    result = part
                    continue
                fraction = (self.done + costs[name] * part) / self.whole
                elapsed = time.monotonic() - self.started
                yield TrustProgress(
                    fraction, _WORDS[name], elapsed, elapsed * (1 / max(fraction, 1e-9) - 1)
                )
        self.done += costs[name]
        return result

    def _costs(self, repeats: ImageStack | None) -> dict[str, float]:
        """Pixels to decode, by part."""
        pixels, n = float(self.counts.size), self.model.config.network.levels
        flat = len(controls.QUANTILES) * controls.SIDE_PX**2
        costs = {
            "samples": self.samples * pixels,
            "prior": 3.0 * n * pixels if n > 1 else 0.0,
            "control": float(self.samples * flat),
        }
        if repeats is not None:
            height, width = (min(s, REPEATS_PX) for s in repeats.plane_shape)
            costs["repeats"] = float(RESTORED * self.samples * height * width)
        return costs


def _facts(model: HDN) -> ModelFacts:
    done = model.summary
    return ModelFacts(
        name=model.name,
        created=done.created,
        version=done.version,
        steps=done.steps_in_all,
        data=done.data,
        levels=model.config.network.levels,
        parameters=model.parameters,
        noise_model=model.noise_model.describe(),
    )
