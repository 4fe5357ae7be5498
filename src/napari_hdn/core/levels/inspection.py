"""inspect(): decompose a plane, score its levels, advise; a generator of events."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_hdn.core.artefacts import Box, Structure, structure_of_background
from napari_hdn.core.calibration.frames import central
from napari_hdn.core.devices import choose
from napari_hdn.core.errors import ConfigurationError, ImageError, MemoryShortError, is_memory_short
from napari_hdn.core.events import InspectionEvent, InspectionFinished, InspectionProgress, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.levels.advice import Advice, advise
from napari_hdn.core.levels.decomposition import Decomposition, decompose
from napari_hdn.core.levels.scores import LevelScores, score_levels
from napari_hdn.core.memory import kept_memory
from napari_hdn.core.restoring.planes import Prepared
from napari_hdn.core.restoring.restoration import range_remark
from napari_hdn.core.training.statistics import check_finite

LEAST_PX = 32  # a smaller piece tells nothing of its noise
JUDGED_PX = 2048  # of a side, from the middle: enough to judge noise by, in bounded time
SCORED_PX = 4096
BYTES_DECODED, BYTES_SCORED = (
    24,
    82,
)  # a pixel, besides four for each level's contribution; measured


@dataclass(frozen=True)
class Inspection:
    """What the levels of a model make of one plane.

    Attributes
    ----------
    model : str
    counts : ndarray
        (Y, X) the raw plane, float32 camera counts.
    decomposition : Decomposition
    structure : Structure or None
        Of the raw background's noise; None where the image shows none.
    scores : tuple of LevelScores
        Level 1 first.
    advice : Advice
    warnings : tuple of str
        What makes all of it doubtful.
    """

    model: str
    counts: np.ndarray
    decomposition: Decomposition
    structure: Structure | None
    scores: tuple[LevelScores, ...]
    advice: Advice
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Scores, advice and what the noise is like; no images."""
        return {
            "model": self.model,
            "shape": list(self.counts.shape),
            "levels_trained_off": list(self.decomposition.untrained),
            "noise": None if self.structure is None else self.structure.to_json(),
            "levels": [s.to_json() for s in self.scores],
            "advice": self.advice.to_json(),
            "warnings": list(self.warnings),
        }


def prepare(model: HDN, device: str = "auto") -> Prepared:
    """A model's network on a device, for `inspect`, `LevelView` and `draw_levels`."""
    return Prepared(model.network, model.normalisation, model.noise_model, choose(device))  # type: ignore[arg-type]


def inspect(
    model: HDN,
    counts: np.ndarray,
    *,
    boxes: Sequence[Box] | None = None,
    device: str = "auto",
    tile_px: int | None = None,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[InspectionEvent]:
    """Look at what each latent level of a model contributes to a plane.

    Parameters
    ----------
    model : HDN
    counts : ndarray
        (Y, X) camera counts, at least 32 x 32 pixels.
    boxes : sequence of (y0, y1, x0, x1), optional
        Background that the user drew, pixels.
    device : str
    tile_px : int, optional
        Side of tiles for planes that do not fit in memory; chosen if not given.
    stop : Stop, optional
        Looked at after every decode.
    name : str
        Of the image, for messages.

    Yields
    ------
    InspectionEvent
        `InspectionFinished` last, unless stopped.

    Raises
    ------
    ConfigurationError
        If the model has one level only.
    ImageError
        If the plane is too small or holds pixels that are not finite.
    NoiseModelError
        If a box lies outside or shows no noise.
    MemoryShortError
        If it does not fit in memory.
    """
    counts = np.ascontiguousarray(counts, dtype=np.float32)
    _check(model, counts, boxes, name)
    stop, started = stop or Stop(), time.monotonic()
    height, width = counts.shape
    judged = counts if boxes else counts[central(height, width, JUDGED_PX)]
    structure = structure_of_background([judged], boxes)
    prepared = prepare(model, device)
    decomposition = None
    try:
        with kept_memory():
            for part in decompose(prepared, counts, stop, tile_px=tile_px):
                if isinstance(part, Decomposition):
                    decomposition = part
                else:
                    elapsed = time.monotonic() - started
                    yield InspectionProgress(part, elapsed, elapsed * (1 / part - 1))
    except Exception as error:
        if is_memory_short(error):
            raise MemoryShortError(
                f"There is not enough memory to look at {width} x {height} pixels at once. Close "
                "other programs, or draw a smaller rectangle."
            ) from error
        raise
    if decomposition is None:
        return
    scored = decomposition if boxes else decomposition.part(*central(height, width, SCORED_PX))
    scores = score_levels(scored, structure, boxes)
    advice = advise(scores, structure)
    remark = range_remark(model, counts, name)
    if remark and advice.off:
        advice = replace(advice, confidence="low")
    warnings = (remark,) if remark else ()
    yield InspectionFinished(
        Inspection(model.name, counts, decomposition, structure, scores, advice, warnings)
    )


def _check(model: HDN, counts: np.ndarray, boxes: Sequence[Box] | None, name: str) -> None:
    least = max(LEAST_PX, model.config.network.multiple)
    if model.config.network.levels == 1:
        raise ConfigurationError(
            f"{model.name} has a single latent level, which has to stay on: there is nothing to "
            "switch off. Train a model with more levels, such as the preset Fast."
        )
    if counts.ndim != 2 or min(counts.shape) < least:
        raise ImageError(
            f"The piece of {' x '.join(map(str, counts.shape))} pixels is too small to look at its "
            f"levels: one latent of the coarsest level is {model.config.network.multiple} pixels wide. "
            f"Choose a piece of at least {least} x {least} pixels."
        )
    check_finite(counts, name, ())
    if np.ptp(counts) == 0:
        raise ImageError(
            f"All pixels of this piece of {name} are {counts.flat[0]:g} counts: there is nothing to "
            "see. Choose a piece with structures and background."
        )
    scored = counts.size if boxes else min(counts.size, SCORED_PX**2)
    decoded = counts.size * (4 * model.config.network.levels + BYTES_DECODED)
    needed = decoded + scored * BYTES_SCORED
    free = choose("cpu").free_bytes()
    if needed > free:
        height, width = counts.shape
        raise MemoryShortError(
            f"Looking at {width} x {height} pixels at once needs about {needed / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free. Draw a smaller rectangle: one that shows background and "
            "structures tells as much."
        )
