"""The one door to the core for the docks, the command line and scripts.

Importing this module loads no torch; the functions that need it load it when called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_hdn.core.axes import ImageStack, guess_axes
from napari_hdn.core.config import (
    OUTPUTS,
    CalibrationConfig,
    DeviceName,
    GenerationConfig,
    NetworkConfig,
    NoiseConfig,
    RestorationConfig,
    TrainingConfig,
)
from napari_hdn.core.convergence import MeanSpread, decibels
from napari_hdn.core.direct.config import DirectConfig, DirectNetworkConfig
from napari_hdn.core.direct.events import (
    DistillationEvent,
    DistillationFinished,
    DistillationProgress,
    DistillationStarted,
    DistillationValidated,
)
from napari_hdn.core.errors import HDNError
from napari_hdn.core.events import (
    CalibrationEvent,
    CalibrationFinished,
    CalibrationProgress,
    InspectionEvent,
    InspectionFinished,
    InspectionProgress,
    Notice,
    PlaneFailed,
    PlaneRestored,
    Preview,
    PreviewRequest,
    ResidualsChecked,
    RestorationEvent,
    RestorationFinished,
    RestorationProgress,
    Saved,
    Stop,
    TrainingEvent,
    TrainingFinished,
    TrainingStarted,
    TrainingStep,
    TrustEvent,
    TrustFinished,
    TrustProgress,
    Validation,
)
from napari_hdn.core.memory import check_fits
from napari_hdn.core.presets import PRESETS, preset
from napari_hdn.core.segmentation.settings import SegmentationConfig
from napari_hdn.core.variants import suggested_name, switched_off, variant_config, variant_name
from napari_hdn.io.direct_networks import list_direct_folders, reserve_direct_folder
from napari_hdn.io.generated import generation_paths, generation_writer
from napari_hdn.io.images import TiffStack, open_images, read_pixel_size
from napari_hdn.io.level_files import level_paths, write_contributions
from napari_hdn.io.library import (
    free_model_folder,
    list_models,
    models_folder,
    rename_model,
    reserve_model_folder,
)
from napari_hdn.io.naming import free_path, split_suffix, write_new
from napari_hdn.io.noise_models import (
    free_noise_model_path,
    list_noise_models,
    noise_models_folder,
)
from napari_hdn.io.ome_tiff import OmeTiffWriter, write_ome_tiff
from napari_hdn.io.restorations import RestorationFiles, restoration_mark
from napari_hdn.io.samples import Sample, cells_with_pixel_noise, cells_with_stripes
from napari_hdn.io.segmentations import label_writer, segmentation_mark, segmentation_paths
from napari_hdn.io.tables import csv_text, tsv_text
from napari_hdn.io.variants import VariantRecord, read_variant, variants_of

if TYPE_CHECKING:
    from napari_hdn.core.artefacts import Structure
    from napari_hdn.core.calibration.record import Calibration
    from napari_hdn.core.convergence import Convergence
    from napari_hdn.core.devices import Device
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.evaluation import Evaluation, EvaluationProgress
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.levels.inspection import Inspection
    from napari_hdn.core.levels.view import LevelView
    from napari_hdn.core.likeness import Likeness
    from napari_hdn.core.noise.base import NoiseModel
    from napari_hdn.core.sampling import Sampler
    from napari_hdn.core.segmentation.segment import Segmentation, SegmentationProgress
    from napari_hdn.core.trust.judgement import Judgement

__all__ = [
    "HDN",
    "OUTPUTS",
    "PRESETS",
    "CalibrationConfig",
    "CalibrationFinished",
    "CalibrationProgress",
    "Direct",
    "DirectConfig",
    "DirectNetworkConfig",
    "DistillationFinished",
    "DistillationProgress",
    "DistillationStarted",
    "DistillationValidated",
    "Evaluation",
    "EvaluationProgress",
    "GenerationConfig",
    "HDNError",
    "ImageStack",
    "InspectionFinished",
    "InspectionProgress",
    "MeanSpread",
    "NetworkConfig",
    "NoiseConfig",
    "Notice",
    "OmeTiffWriter",
    "PlaneFailed",
    "PlaneRestored",
    "Preview",
    "PreviewRequest",
    "ResidualsChecked",
    "RestorationConfig",
    "RestorationFiles",
    "RestorationFinished",
    "RestorationProgress",
    "Sample",
    "Saved",
    "Segmentation",
    "SegmentationConfig",
    "SegmentationProgress",
    "Stop",
    "TiffStack",
    "TrainingConfig",
    "TrainingFinished",
    "TrainingStarted",
    "TrainingStep",
    "TrustFinished",
    "TrustProgress",
    "Validation",
    "VariantRecord",
    "artefact_by_level",
    "available_devices",
    "calibrate",
    "cells_with_pixel_noise",
    "cells_with_stripes",
    "check_fits",
    "check_recipe",
    "check_truth",
    "choose_direct",
    "compare_with_real",
    "covered_signal",
    "csv_text",
    "decibels",
    "distil",
    "draw_levels",
    "draw_samples",
    "estimate_noise_model",
    "evaluate",
    "evaluate_second_frame",
    "free_model_folder",
    "free_noise_model_path",
    "free_path",
    "generate",
    "generation_paths",
    "generation_remarks",
    "generation_writer",
    "grid_png",
    "guess_axes",
    "inspect_levels",
    "judge_restoration",
    "label_writer",
    "level_paths",
    "level_view",
    "list_direct_folders",
    "list_models",
    "list_noise_models",
    "load_calibration",
    "load_direct",
    "load_model",
    "measure_convergence",
    "models_folder",
    "noise_models_folder",
    "objects_table",
    "open_images",
    "preset",
    "range_remark",
    "read_pixel_size",
    "read_variant",
    "real_pieces",
    "rename_model",
    "reserve_direct_folder",
    "reserve_model_folder",
    "restoration_mark",
    "restore",
    "restore_direct",
    "restored_pieces",
    "sampler",
    "save_calibration",
    "segment",
    "segment_samples",
    "segmentation_mark",
    "segmentation_paths",
    "split_suffix",
    "spoken_levels",
    "structure_of_difference",
    "suggested_name",
    "switched_off",
    "train",
    "trust_maps",
    "trust_paths",
    "tsv_text",
    "variant_config",
    "variant_name",
    "variants_of",
    "write_contributions",
    "write_new",
    "write_ome_tiff",
    "write_trust",
]


def train(
    images: Sequence[ImageStack],
    config: TrainingConfig,
    *,
    folder: Path | str | None = None,
    resume: bool = False,
    start: HDN | None = None,
    scratch: bool = False,
    stop: Stop | None = None,
    preview: Callable[[], PreviewRequest | None] | None = None,
) -> Iterator[TrainingEvent]:
    """Train an HDN on noisy images alone; see `napari_hdn.core.training.train`."""
    from napari_hdn.core.training import train as _train

    return _train(
        images,
        config,
        folder=None if folder is None else Path(folder),
        resume=resume,
        start=start,
        scratch=scratch,
        stop=stop,
        preview=preview,
    )


def calibrate(
    images: Sequence[ImageStack],
    config: CalibrationConfig,
    *,
    dark: ImageStack | None = None,
    clean: ImageStack | None = None,
    meant_for: Sequence[ImageStack] | None = None,
    stop: Stop | None = None,
) -> Iterator[CalibrationEvent]:
    """Make a noise model and judge it; see `napari_hdn.core.calibration.calibrate.calibrate`."""
    from napari_hdn.core.calibration.calibrate import calibrate as _calibrate

    return _calibrate(images, config, dark=dark, clean=clean, meant_for=meant_for, stop=stop)


def save_calibration(calibration: Calibration, path: Path | str) -> Path:
    """Write a noise model with its calibration; see `napari_hdn.io.noise_models`."""
    from napari_hdn.io.noise_models import save_calibration as _save

    return _save(calibration, Path(path))


def load_calibration(path: Path | str) -> Calibration | NoiseModel:
    """Read a noise model with its calibration, where it has one; see `napari_hdn.io.noise_models`."""
    from napari_hdn.io.noise_models import load_calibration as _load

    return _load(Path(path))


def covered_signal(calibration: Calibration) -> tuple[float, float] | None:
    """Signals (counts) between which the noise was measured; None where a file does not tell."""
    from napari_hdn.core.calibration.judging import covered

    if calibration.source == "file":
        return calibration.noise_model.signal_range
    return covered(calibration.measured)


def restore(
    model: HDN, stack: ImageStack, config: RestorationConfig, *, stop: Stop | None = None
) -> Iterator[RestorationEvent]:
    """Restore a stack plane by plane; see `napari_hdn.core.restoration.restore`."""
    from napari_hdn.core.restoration import restore as _restore

    return _restore(model, stack, config, stop=stop)


def draw_samples(
    model: HDN,
    counts: np.ndarray,
    samples: int,
    *,
    seed: int = 0,
    off: Sequence[int] = (),
    device: DeviceName = "auto",
    tile_px: int | None = None,
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Draw independent posterior samples of a plane; see `napari_hdn.core.sampling.draw_samples`."""
    from napari_hdn.core.sampling import draw_samples as _draw

    return _draw(
        model, counts, samples, seed=seed, off=off, device=device, tile_px=tile_px, stop=stop
    )


def sampler(model: HDN, stack: ImageStack, config: RestorationConfig) -> Sampler:
    """Draws the samples of a restoration one by one; see `napari_hdn.core.sampling.Sampler`."""
    from napari_hdn.core.sampling import Sampler

    return Sampler(model, stack, config)


def measure_convergence(
    model: HDN, counts: np.ndarray, config: RestorationConfig, *, stop: Stop | None = None
) -> Iterator[float | Convergence]:
    """How the mean's error falls with the samples; see `core.sampling.measure_convergence`."""
    from napari_hdn.core.sampling import measure_convergence as _measure

    return _measure(model, counts, config, stop=stop)


def generate(
    model: HDN,
    config: GenerationConfig,
    *,
    like: np.ndarray | None = None,
    kept: int = 1,
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Images from the prior, of any size; see `napari_hdn.core.generation.generate`."""
    from napari_hdn.core.generation import generate as _generate

    return _generate(model, config, like=like, kept=kept, stop=stop)


def generation_remarks(model: HDN, config: GenerationConfig, *, chosen: bool) -> list[str]:
    """What to know of the counts of generated images; see `napari_hdn.core.generation.remarks`."""
    from napari_hdn.core.generation import remarks

    return remarks(model, config, chosen=chosen)


def real_pieces(
    stack: ImageStack, size: tuple[int, int], number: int, seed: int = 0
) -> list[np.ndarray]:
    """Pieces of real images to hold generated ones against; see `core.generation`."""
    from napari_hdn.core.generation import real_pieces as _pieces

    return _pieces(stack, size, number, seed)


def restored_pieces(
    model: HDN, pieces: Sequence[np.ndarray], config: GenerationConfig, *, stop: Stop | None = None
) -> Iterator[float | np.ndarray]:
    """A posterior sample of each piece; see `napari_hdn.core.generation.restored_pieces`."""
    from napari_hdn.core.generation import restored_pieces as _restored

    return _restored(model, pieces, config, stop)


def compare_with_real(real: Sequence[np.ndarray], generated: Sequence[np.ndarray]) -> Likeness:
    """A few numbers of real against generated images; see `napari_hdn.core.likeness.compare`."""
    from napari_hdn.core.likeness import compare

    return compare(real, generated)


def distil(
    model: HDN,
    images: Sequence[ImageStack],
    config: DirectConfig,
    *,
    folder: Path | str | None = None,
    stop: Stop | None = None,
) -> Iterator[DistillationEvent]:
    """Teach a direct one-pass network by a model; see `core.direct.distillation.distil`."""
    from napari_hdn.core.direct.distillation import distil as _distil

    place = None if folder is None else Path(folder)
    return _distil(model, images, config, folder=place, stop=stop)


def restore_direct(
    model: HDN,
    student: Direct,
    stack: ImageStack,
    config: RestorationConfig,
    *,
    stop: Stop | None = None,
) -> Iterator[RestorationEvent]:
    """Restore a stack with a direct network; see `core.direct.restoration.restore_direct`."""
    from napari_hdn.core.direct.restoration import restore_direct as _restore

    return _restore(model, student, stack, config, stop=stop)


def load_direct(folder: Path | str) -> Direct:
    """Load a direct network; see `napari_hdn.core.direct.folder.load`."""
    from napari_hdn.core.direct.folder import load

    return load(Path(folder))


def choose_direct(
    model: HDN, levels_off: Sequence[int], statistic: Literal["mean", "median"] | None = None
) -> Direct:
    """The newest direct network of a model with these levels off; see `core.direct.choice`."""
    from napari_hdn.core.direct.choice import choose_direct as _choose

    folders = [] if model.folder is None else list_direct_folders(model.folder)
    return _choose(model, folders, levels_off, statistic)


def inspect_levels(
    model: HDN,
    counts: np.ndarray,
    *,
    boxes: Sequence[tuple[int, int, int, int]] | None = None,
    device: str = "auto",
    tile_px: int | None = None,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[InspectionEvent]:
    """What each latent level contributes to a plane; see `core.levels.inspection.inspect`."""
    from napari_hdn.core.levels.inspection import inspect

    return inspect(model, counts, boxes=boxes, device=device, tile_px=tile_px, stop=stop, name=name)


def level_view(model: HDN, counts: np.ndarray, device: str = "auto") -> LevelView:
    """A piece of an image whose levels can be switched at once; see `core.levels.view`."""
    from napari_hdn.core.levels.inspection import prepare
    from napari_hdn.core.levels.view import LevelView

    return LevelView(prepare(model, device), np.ascontiguousarray(counts, dtype=np.float32))


def draw_levels(
    model: HDN,
    counts: np.ndarray,
    *,
    origin: Literal["image", "prior"] = "image",
    samples: int = 6,
    seed: int = 0,
    device: str = "auto",
    stop: Stop | None = None,
) -> Iterator[float | np.ndarray]:
    """Images drawn at one level after another (the paper's Fig. 3); see `core.levels.draws`."""
    from napari_hdn.core.levels.draws import draw_levels as _draw
    from napari_hdn.core.levels.inspection import prepare

    counts = np.ascontiguousarray(counts, dtype=np.float32)
    return _draw(
        prepare(model, device), counts, stop or Stop(), origin=origin, samples=samples, seed=seed
    )


def segment(
    model: HDN,
    counts: np.ndarray,
    config: SegmentationConfig,
    *,
    recipe: str | Callable[[np.ndarray], Any] | None = None,
    stop: Stop | None = None,
    name: str = "the image",
) -> Iterator[Notice | SegmentationProgress | Segmentation]:
    """Draw samples of a (Y, X) plane, segment each; see `core.segmentation.segment`."""
    from napari_hdn.core.segmentation.segment import segment_plane

    return segment_plane(model, counts, config, recipe=recipe, stop=stop, name=name)


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


def range_remark(model: HDN, counts: np.ndarray, name: str) -> str:
    """A warning where an image is far outside what a model was trained on, else nothing."""
    from napari_hdn.core.restoration import range_remark as _remark

    return _remark(model, counts, name)


def structure_of_difference(difference: np.ndarray, signal: float) -> Structure | None:
    """Autocorrelation of what was taken from a (Y, X) image; None where that is nothing."""
    from napari_hdn.core.artefacts import structure_of_residuals
    from napari_hdn.core.errors import NoiseModelError

    try:
        return structure_of_residuals([difference], signal, "differences")
    except NoiseModelError:
        return None


def artefact_by_level(inspection: Inspection) -> np.ndarray:
    """(n,) variance that each level holds of the artefact, in counts squared, level 1 first."""
    from napari_hdn.core.levels.advice import artefact_of

    noise = float(np.median(inspection.decomposition.noise))
    return artefact_of(inspection.scores) * noise**2


def spoken_levels(levels: Sequence[int]) -> str:
    """Levels as a user reads them; see `core.levels.advice.spoken`."""
    from napari_hdn.core.levels.advice import spoken

    return spoken(levels)


def grid_png(
    groups: Mapping[str, np.ndarray],
    rows: Sequence[str],
    *,
    limits: tuple[float, float] | None = None,
) -> bytes:
    """A PNG with images side by side, such as those drawn level by level; see `io.pictures`."""
    from napari_hdn.io.pictures import grid_png as _grid

    return _grid(groups, rows, limits=limits)


def trust_paths(folder: Path | str, stem: str) -> dict[str, Path]:
    """Where a judgement is written to; see `napari_hdn.io.trust_files`."""
    from napari_hdn.io.trust_files import trust_paths as _paths

    return _paths(Path(folder), stem)


def trust_maps(judgement: Judgement) -> dict[str, np.ndarray]:
    """All maps of a judgement but the trust map itself, (Y, X) float32 by name."""
    from napari_hdn.io.trust_files import trust_maps as _maps

    return _maps(judgement)


def write_trust(
    judgement: Judgement,
    paths: Mapping[str, Path],
    *,
    where: str = "",
    facts: Mapping[str, Any] | None = None,
    pixel_size_um: dict[str, float] | None = None,
) -> list[Path]:
    """Write report, numbers and maps of a judgement; see `napari_hdn.io.trust_files`."""
    from napari_hdn.io.trust_files import write_trust as _write

    return _write(judgement, paths, where=where, facts=facts, pixel_size_um=pixel_size_um)


def load_model(folder: Path | str) -> HDN:
    """Load a model folder; see `napari_hdn.core.checkpoint.load`."""
    from napari_hdn.core.checkpoint import load

    return load(Path(folder))


def estimate_noise_model(images: Sequence[ImageStack], config: NoiseConfig) -> NoiseModel:
    """Make the noise model that a config asks for; see `napari_hdn.core.calibration.choose`."""
    from napari_hdn.core.calibration.choose import make_noise_model

    return make_noise_model(images, config)[0]


def available_devices() -> list[Device]:
    """What this machine can compute on, the one that ``auto`` takes first. Loads torch."""
    from napari_hdn.core.devices import available

    return available()


def __getattr__(name: str) -> Any:
    if name == "HDN":
        from napari_hdn.core.hdn import HDN

        return HDN
    if name == "Direct":
        from napari_hdn.core.direct.student import Direct

        return Direct
    if name in ("Segmentation", "SegmentationProgress"):
        from napari_hdn.core.segmentation import segment as module

        return getattr(module, name)
    if name in ("Evaluation", "EvaluationProgress"):
        from napari_hdn.core import evaluation

        return getattr(evaluation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
