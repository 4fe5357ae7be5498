"""Segmenting, evaluating, judging."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_hdn.api.noted import noted
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.events import Notice, Stop, TrustEvent
from napari_hdn.core.segmentation.settings import SegmentationConfig
from napari_hdn.io.metadata import NO_METADATA, ImageMetadata

if TYPE_CHECKING:
    from napari_hdn.core.evaluation import Evaluation, EvaluationProgress
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.segmentation.segment import Segmentation, SegmentationProgress
    from napari_hdn.core.trust.judgement import Judgement


@noted
def segment(
    model: HDN,
    counts: np.ndarray,
    config: SegmentationConfig,
    *,
    recipe: str | Callable[[np.ndarray], Any] | None = None,
    number: int = 0,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[Notice | SegmentationProgress | Segmentation]:
    """Draw samples of a (Y, X) plane, segment each; see `core.segmentation.segment`."""
    from napari_hdn.core.segmentation.segment import segment_plane

    return segment_plane(model, counts, config, recipe=recipe, number=number, stop=stop, name=name)


@noted
def segment_samples(
    samples: np.ndarray | Iterable[float | np.ndarray],
    config: SegmentationConfig,
    *,
    recipe: str | Callable[[np.ndarray], Any] | None = None,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[Notice | SegmentationProgress | Segmentation]:
    """Segment (N, Y, X) samples, or what ends with them; see `core.segmentation.segment`."""
    from napari_hdn.core.segmentation.segment import segment as _segment

    drawn = [samples] if isinstance(samples, np.ndarray) else samples
    return _segment(drawn, config, recipe=recipe, stop=stop, name=name)


def check_recipe(recipe: str) -> str:
    """The name of a recipe that can be used; see `core.segmentation.segment.check_recipe`."""
    from napari_hdn.core.segmentation.segment import check_recipe as _check

    return _check(recipe)


def check_truth(truth: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """A truth as (Y, X) int32 labels, or why it is none; see `core.segmentation.scores`."""
    from napari_hdn.core.segmentation.scores import check_truth as _check

    return _check(truth, shape, name)


@noted
def evaluate(
    images: Sequence[ImageStack],
    truth: ImageStack,
    span: Literal["truth"] | float = "truth",
    *,
    stop: Stop | None = None,
) -> Iterator[Notice | EvaluationProgress | Evaluation]:
    """Compare images with a truth, plane by plane; see `core.evaluation.evaluate`."""
    from napari_hdn.core.evaluation import evaluate as _evaluate

    return _evaluate(images, truth, span, stop=stop)


@noted
def evaluate_second_frame(
    model: HDN,
    images: Sequence[ImageStack],
    second: ImageStack,
    span: float | None = None,
    *,
    stop: Stop | None = None,
) -> Iterator[Notice | EvaluationProgress | Evaluation]:
    """Estimate errors without a truth; see `core.evaluation.evaluate_second_frame`."""
    from napari_hdn.core.evaluation import evaluate_second_frame as _evaluate

    return _evaluate(model, images, second, span, stop=stop)


def objects_table(
    result: Segmentation,
    pixel_um: tuple[float, float] | None = None,
    offset_px: tuple[int, int] = (0, 0),
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of the objects of a consensus; see `core.segmentation.segment`."""
    from napari_hdn.core.segmentation.segment import objects_table as _table

    return _table(result, pixel_um, offset_px)


@noted
def judge_restoration(
    model: HDN,
    counts: np.ndarray,
    *,
    repeats: ImageStack | None = None,
    second_frame: np.ndarray | None = None,
    samples: int = 16,
    off: Sequence[int] = (),
    seed: int = 0,
    device: str = "auto",
    name: str = "the image",
    stop: Stop | None = None,
) -> Iterator[TrustEvent]:
    """Whether to trust the restoration of a plane; see `core.trust.judge.judge`."""
    from napari_hdn.core.trust.judge import judge

    return judge(
        model,
        counts,
        repeats=repeats,
        second_frame=second_frame,
        samples=samples,
        off=tuple(off),
        seed=seed,
        device=device,
        name=name,
        stop=stop,
    )


def trust_paths(folder: Path | str, stem: str) -> dict[str, Path]:
    """Where a judgement is written to; see `napari_hdn.io.trust.files`."""
    from napari_hdn.io.trust.files import trust_paths as _paths

    return _paths(Path(folder), stem)


def trust_products(paths: Mapping[str, Path], written: Sequence[Path]) -> dict[str, Path]:
    """What each file of a judgement holds; see `napari_hdn.io.trust.files`."""
    from napari_hdn.io.trust.files import trust_products as _products

    return _products(paths, written)


def check_trust_folder(folder: Path | str, shape: tuple[int, int], levels: int) -> None:
    """Whether a judgement could be written, known before it; see `napari_hdn.io.trust.files`."""
    from napari_hdn.io.trust.files import check_trust_folder as _check

    _check(Path(folder), shape, levels)


def trust_maps(judgement: Judgement) -> dict[str, np.ndarray]:
    """All maps of a judgement but the trust map itself, (Y, X) float32 by name."""
    from napari_hdn.io.trust.files import trust_maps as _maps

    return _maps(judgement)


def write_trust(
    judgement: Judgement,
    paths: Mapping[str, Path],
    *,
    where: str = "",
    facts: Mapping[str, Any] | None = None,
    metadata: ImageMetadata = NO_METADATA,
) -> list[Path]:
    """Write report, numbers and maps of a judgement; see `napari_hdn.io.trust.files`."""
    from napari_hdn.io.trust.files import write_trust as _write

    return _write(judgement, paths, where=where, facts=facts, metadata=metadata)
