"""segment(): samples of an image, each segmented, and their consensus; a generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from napari_hdn.core.errors import ConfigurationError, HDNError, ImageError, StoppedEarly
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoring.sampling import draw_samples
from napari_hdn.core.segmentation.consensus import Consensus, find_consensus
from napari_hdn.core.segmentation.functions import NamedRecipe, find_recipe
from napari_hdn.core.segmentation.recipes import without_small
from napari_hdn.core.segmentation.scores import Scores, check_truth, score
from napari_hdn.core.segmentation.settings import SegmentationConfig
from napari_hdn.core.training.statistics import check_finite

_DRAWING = 0.8  # of the time, where samples are drawn first
_SEGMENTING = 0.3  # of what is left then; finding the consensus takes the rest


@dataclass(frozen=True)
class SegmentationProgress:
    """Where a segmentation is; ``fraction`` 0..1, ``doing`` in words."""

    fraction: float
    doing: str
    remaining_s: float


@dataclass(frozen=True)
class Segmentation:
    """Diverse segmentations of one plane, and what they agree on.

    Attributes
    ----------
    samples : ndarray
        (N, Y, X) int32 labels of each sample; the same number need not mean the same object.
    consensus : Consensus
    areas_px : ndarray
        (K,) pixels of each object of the consensus.
    centroids_px : ndarray
        (K, 2) y and x of its middle, pixels of the plane.
    recipe : str
    wanted : int
        How many samples were to be segmented; more than N where the user stopped before that.
    """

    samples: np.ndarray
    consensus: Consensus
    areas_px: np.ndarray
    centroids_px: np.ndarray
    recipe: str
    wanted: int

    @property
    def stopped(self) -> bool:
        """Whether the user stopped before all samples were segmented."""
        return len(self.samples) < self.wanted

    @property
    def shortfall(self) -> str:
        """``3 of 12 samples`` where the user stopped; else empty."""
        return f"{len(self.samples)} of {self.wanted} samples" if self.stopped else ""

    def scores(self, truth: np.ndarray, name: str = "layer") -> SegmentationScores:
        """AP and SEG of the consensus and of each sample against (Y, X) labels of the truth.

        Raises
        ------
        ImageError, ConfigurationError
            If the truth does not fit, or is no label image.
        """
        truth = check_truth(truth, self.samples.shape[1:], name)
        return SegmentationScores(
            score(self.consensus.labels, truth), tuple(score(s, truth) for s in self.samples)
        )


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of the consensus, and of the samples one by one."""

    consensus: Scores
    samples: tuple[Scores, ...]

    def table(self) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Header and rows: the consensus, the mean over the samples, each sample from 1."""
        header = ("segmentation", "AP (IoU 0.5)", "AP (IoU 0.5:0.95)", "SEG", "objects")
        rows: list[tuple[Any, ...]] = [("consensus", *_numbers(self.consensus))]
        singles = [_numbers(s) for s in self.samples]
        mean = tuple(float(v) for v in np.mean(singles, axis=0))
        rows.append(("mean of single samples", *mean))
        rows += [(f"sample {k}", *numbers) for k, numbers in enumerate(singles, 1)]
        return header, rows


def segment_plane(
    model: HDN,
    counts: np.ndarray,
    config: SegmentationConfig,
    *,
    recipe: str | Callable[[np.ndarray], Any] | None = None,
    number: int = 0,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[Notice | SegmentationProgress | Segmentation]:
    """Draw samples of a (Y, X) plane of counts from the posterior, and `segment` them.

    ``number`` is that of the plane in its stack; see `napari_hdn.core.restoring.sampling.draw_samples`.

    Raises
    ------
    ImageError
        If pixels are NaN or infinite.
    """
    find_recipe(recipe or config.recipe)  # before anything is drawn
    counts = np.ascontiguousarray(counts, dtype=np.float32)
    check_finite(counts, name, ())
    drawn = draw_samples(
        model,
        counts,
        config.samples,
        number=number,
        seed=config.seed,
        off=config.deactivated_levels or (),
        device=config.device,
        tile_px=config.tile_px,
        stop=stop,
    )
    yield from segment(drawn, config, recipe=recipe, stop=stop, name=name)


def segment(
    drawn: Iterable[float | np.ndarray],
    config: SegmentationConfig,
    *,
    recipe: str | Callable[[np.ndarray], Any] | None = None,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[Notice | SegmentationProgress | Segmentation]:
    """Segment samples of one plane one by one, and find what they agree on.

    Parameters
    ----------
    drawn : iterable of float or ndarray
        Fractions done while samples are drawn, then the (N, Y, X) samples in counts; samples that
        are there already as ``[samples]``.
    config : SegmentationConfig
    recipe : str or callable, optional
        Instead of that of ``config``; see `find_recipe`.
    stop : Stop, optional
        Looked at after every sample. Of the samples segmented so far a consensus is made.
    name : str
        Of the image, for messages.

    Yields
    ------
    Notice, SegmentationProgress, Segmentation
        `Segmentation` last.

    Raises
    ------
    ConfigurationError
        If there is no such recipe, or it fails.
    ImageError
        If the samples are no samples.
    StoppedEarly
        If the user stopped before a sample was segmented.
    """
    stop = stop or Stop()
    named = find_recipe(recipe or config.recipe)
    began = time.monotonic()
    samples: np.ndarray | None = None
    begin = 0.0
    for part in drawn:
        if isinstance(part, np.ndarray):
            samples = part
        else:
            begin = _DRAWING
            yield _progress(_DRAWING * part, f"drawing samples of {name}", began)
    if samples is None:
        raise StoppedEarly("Stopped while samples were drawn: nothing was segmented.")
    _check_samples(samples, name)
    n = len(samples)
    if n == 1:
        yield Notice(
            "One sample has nothing to agree with: the consensus is its segmentation, and confidence "
            "says nothing. Draw 10 samples or more.",
            "warning",
        )
    found: list[np.ndarray] = []
    for number, sample in enumerate(samples):
        found.append(_segmented(named, sample, number, n, config.least_px))
        if stop.requested:
            break
        fraction = begin + (1 - begin) * _SEGMENTING * (number + 1) / n
        yield _progress(fraction, f"segmenting sample {number + 1} of {n}", began)
    result = None
    for step in _finished(np.stack(found), config, named.name, wanted=n):
        if isinstance(step, Segmentation):
            result = step
        else:
            fraction = begin + (1 - begin) * (_SEGMENTING + (1 - _SEGMENTING) * step)
            yield _progress(fraction, f"finding what {len(found)} samples agree on", began)
    assert result is not None
    if result.stopped:
        yield Notice(f"Stopped: the consensus is of {result.shortfall}.", severity="warning")
    if not len(result.areas_px):
        yield Notice(_nothing(found, config.least_px, named.name), "warning")
    yield result


def _finished(
    samples: np.ndarray, config: SegmentationConfig, recipe: str, *, wanted: int
) -> Iterator[float | Segmentation]:
    """Fractions, then the consensus of (N, Y, X) labels with place and size of its objects."""
    for part in find_consensus(samples, least_px=config.least_px, tolerance_px=config.tolerance_px):
        if isinstance(part, float):
            yield part
            continue
        numbers = np.arange(1, len(part.confidence) + 1)
        areas = np.bincount(part.labels.ravel(), minlength=len(numbers) + 1)[1:]
        middles = ndimage.center_of_mass(part.labels > 0, part.labels, numbers)
        centroids = np.asarray(middles, dtype=np.float64).reshape(-1, 2)
        yield Segmentation(samples, part, areas, centroids, recipe, wanted)


def objects_table(
    result: Segmentation,
    pixel_um: tuple[float, float] | None = None,
    offset_px: tuple[int, int] = (0, 0),
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of the objects of a consensus.

    Parameters
    ----------
    result : Segmentation
    pixel_um : (float, float), optional
        Size of a pixel along y and x, micrometres.
    offset_px : (int, int)
        First pixel of the piece in its image: centroids are in pixels of the image.
    """
    header = ["object", "confidence", "samples with it", "samples", "area (px)"]
    header += [] if pixel_um is None else ["area (µm²)"]
    header += ["centroid y (px)", "centroid x (px)"]
    agreed, rows = result.consensus, []
    for k, area in enumerate(result.areas_px):
        y, x = result.centroids_px[k] + offset_px
        size = [] if pixel_um is None else [float(area) * pixel_um[0] * pixel_um[1]]
        counts = (int(agreed.samples_with[k]), agreed.samples, int(area))
        rows.append((k + 1, float(agreed.confidence[k]), *counts, *size, float(y), float(x)))
    return tuple(header), rows


def _segmented(
    recipe: NamedRecipe, sample: np.ndarray, number: int, n: int, least_px: int
) -> np.ndarray:
    try:
        return without_small(recipe.segment(sample), least_px)
    except HDNError as error:
        error.add_note(f"(sample {number + 1} of {n})")
        raise


def _check_samples(samples: np.ndarray, name: str) -> None:
    if samples.ndim != 3 or 0 in samples.shape:
        raise ImageError(
            f"Samples of {name} are a stack of (sample, y, x), not {samples.ndim} axes of "
            f"{' x '.join(map(str, samples.shape))} pixels."
        )
    bad = int(samples.size - np.count_nonzero(np.isfinite(samples)))
    if bad:
        raise ImageError(
            f"The samples of {name} cannot be segmented: {bad} of {samples.size} pixels are NaN or "
            "infinite."
        )


def _nothing(found: list[np.ndarray], least_px: int, recipe: str) -> str:
    counts = [int(labels.max(initial=0)) for labels in found]
    if not any(counts):
        return (
            f"The recipe {recipe} found no object of at least {least_px} pixels in any sample: is the "
            "image empty here, or is it the wrong recipe for it?"
        )
    return (
        f"The samples have {min(counts)} to {max(counts)} objects, but most of them agree on none of "
        f"at least {least_px} pixels."
    )


def _progress(fraction: float, doing: str, began: float) -> SegmentationProgress:
    elapsed = time.monotonic() - began
    left = elapsed * (1 / fraction - 1) if fraction > 0 else math.inf
    return SegmentationProgress(fraction, doing, left)


def _numbers(scores: Scores) -> tuple[float, float, float, int]:
    return scores.ap50, scores.ap, scores.seg, scores.objects


def check_recipe(recipe: str) -> str:
    """The name of a recipe that can be used.

    Raises
    ------
    ConfigurationError
        If there is none such.
    """
    if not recipe.strip():
        raise ConfigurationError(
            "Say how to segment: membranes, bright, or a function of your own as FILE.py:FUNCTION."
        )
    return find_recipe(recipe).name
