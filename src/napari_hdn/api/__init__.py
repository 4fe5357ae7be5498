"""The one door to the core for the docks, the command line and scripts.

Importing this module loads no torch; the functions that need it load it when called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hdn.api.batching import restore_batch, restore_opened
from napari_hdn.api.cluster import agree, check_shared, hire, restore_by
from napari_hdn.api.direct import choose_direct, distil, load_direct, restore_direct
from napari_hdn.api.estimating import estimate_files, estimate_restoration, estimate_training
from napari_hdn.api.job_recipes import (
    job_images,
    job_recipe,
    repeated_settings,
    write_job_recipe,
)
from napari_hdn.api.judging import (
    check_recipe,
    check_trust_folder,
    check_truth,
    evaluate,
    evaluate_second_frame,
    judge_restoration,
    objects_table,
    segment,
    segment_samples,
    trust_maps,
    trust_paths,
    trust_products,
    write_trust,
)
from napari_hdn.api.levels import (
    artefact_by_level,
    draw_levels,
    grid_png,
    inspect_levels,
    level_view,
    spoken_levels,
    structure_of_difference,
)
from napari_hdn.api.recipes import (
    check_repeatable,
    compare_results,
    finished_recipe,
    methods_bibtex,
    methods_text,
    read_recipe,
    recipe_direct,
    recipe_images,
    recipe_model,
    recipe_of,
    recipe_of_samples,
    recipe_processes,
    recipe_remark,
    recipe_threads,
    repeat_training,
    repeated_config,
    restoration_recipes,
    write_recipe_beside,
)
from napari_hdn.api.restoring import (
    asked_digest,
    compare_with_real,
    draw_samples,
    generate,
    generation_remarks,
    measure_convergence,
    range_remark,
    real_pieces,
    restore,
    restored_pieces,
    restorer_for,
    sampler,
)
from napari_hdn.api.sharing import export_model, import_model
from napari_hdn.api.training import (
    available_devices,
    calibrate,
    covered_signal,
    estimate_noise_model,
    load_calibration,
    load_model,
    save_calibration,
    train,
)
from napari_hdn.core.axes import ImageStack, guess_axes
from napari_hdn.core.config import (
    OUTPUTS,
    CalibrationConfig,
    GenerationConfig,
    NetworkConfig,
    NoiseConfig,
    RestorationConfig,
    TrainingConfig,
)
from napari_hdn.core.direct.config import DirectConfig, DirectNetworkConfig
from napari_hdn.core.direct.events import (
    DistillationFinished,
    DistillationProgress,
    DistillationStarted,
    DistillationValidated,
)
from napari_hdn.core.errors import HDNError
from napari_hdn.core.estimates.words import Estimate
from napari_hdn.core.events import (
    CalibrationFinished,
    CalibrationProgress,
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
    TrainingFinished,
    TrainingStarted,
    TrainingStep,
    TrustFinished,
    TrustProgress,
    Validation,
)
from napari_hdn.core.memory import check_fits
from napari_hdn.core.presets import PRESETS, preset
from napari_hdn.core.ranks import ALONE, OURS, Rank, rank_here
from napari_hdn.core.recipes.jobs import (
    EvaluationSettings,
    JobInput,
    JobRecipe,
    LevelsSettings,
    TrustSettings,
)
from napari_hdn.core.restoring.convergence import MeanSpread, decibels
from napari_hdn.core.segmentation.settings import SegmentationConfig
from napari_hdn.core.settings import Settings, chosen_threads
from napari_hdn.core.settings import as_read as settings_as_read
from napari_hdn.core.settings import in_force as settings_in_force
from napari_hdn.core.settings import put_in_force as use_settings
from napari_hdn.core.training.variants import (
    suggested_name,
    switched_off,
    variant_config,
    variant_name,
)
from napari_hdn.io.batch.events import (
    BatchEvent,
    BatchFinished,
    BatchLooking,
    BatchProgress,
    BatchStarted,
    ImageBegun,
    ImageOver,
)
from napari_hdn.io.batch.rows import Row as BatchRow
from napari_hdn.io.diagnostics import diagnostics
from napari_hdn.io.disk import check_writable
from napari_hdn.io.generated import generation_paths, generation_writer
from napari_hdn.io.images import (
    FileStack,
    Unopened,
    find_files,
    open_each,
    open_images,
    read_pixel_size,
)
from napari_hdn.io.level_files import level_paths, write_contributions
from napari_hdn.io.log import attach_log, log_path
from napari_hdn.io.metadata import NO_METADATA, ImageMetadata
from napari_hdn.io.models.comparison import ComparedRow, compare_models
from napari_hdn.io.models.direct_networks import list_direct_folders, reserve_direct_folder
from napari_hdn.io.models.library import (
    bin_model,
    default_models_folder,
    find_model,
    free_model_folder,
    list_models,
    model_places,
    models_folder,
    rename_model,
    reserve_model_folder,
)
from napari_hdn.io.models.notes import read_notes, write_notes
from napari_hdn.io.models.records import ModelRecord, read_record
from napari_hdn.io.models.records import stamp as record_stamp
from napari_hdn.io.models.variants import VariantRecord, read_variant, variants_of
from napari_hdn.io.naming import free_path, split_suffix, write_new
from napari_hdn.io.noise_models import (
    free_noise_model_path,
    list_noise_models,
    noise_models_folder,
)
from napari_hdn.io.ome_tiff import OmeTiffWriter, write_ome_tiff
from napari_hdn.io.restorations import FORMATS, Format, RestorationFiles, restoration_mark
from napari_hdn.io.samples import Sample, cells_with_pixel_noise, cells_with_stripes
from napari_hdn.io.segmentations import label_writer, segmentation_mark, segmentation_paths
from napari_hdn.io.settings import (
    load_settings,
    save_settings,
    settings_path,
    take_over_settings,
)
from napari_hdn.io.sharing.events import Exported, Imported, SharingProgress
from napari_hdn.io.sharing.zoo.details import LICENSES, ZooDetails
from napari_hdn.io.tables import csv_text, tsv_text
from napari_hdn.io.zarr.write import write_ome_zarr

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.evaluation import Evaluation, EvaluationProgress
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.segmentation.segment import Segmentation, SegmentationProgress
    from napari_hdn.io.cluster.crew import Crew

__all__ = [
    "ALONE",
    "FORMATS",
    "HDN",
    "LICENSES",
    "NO_METADATA",
    "OURS",
    "OUTPUTS",
    "PRESETS",
    "BatchEvent",
    "BatchFinished",
    "BatchLooking",
    "BatchProgress",
    "BatchRow",
    "BatchStarted",
    "CalibrationConfig",
    "CalibrationFinished",
    "CalibrationProgress",
    "ComparedRow",
    "Crew",
    "Direct",
    "DirectConfig",
    "DirectNetworkConfig",
    "DistillationFinished",
    "DistillationProgress",
    "DistillationStarted",
    "DistillationValidated",
    "Estimate",
    "Evaluation",
    "EvaluationProgress",
    "EvaluationSettings",
    "Exported",
    "FileStack",
    "Format",
    "GenerationConfig",
    "HDNError",
    "ImageBegun",
    "ImageMetadata",
    "ImageOver",
    "ImageStack",
    "Imported",
    "InspectionFinished",
    "InspectionProgress",
    "JobInput",
    "JobRecipe",
    "LevelsSettings",
    "MeanSpread",
    "ModelRecord",
    "NetworkConfig",
    "NoiseConfig",
    "Notice",
    "OmeTiffWriter",
    "PlaneFailed",
    "PlaneRestored",
    "Preview",
    "PreviewRequest",
    "Rank",
    "ResidualsChecked",
    "RestorationConfig",
    "RestorationEvent",
    "RestorationFiles",
    "RestorationFinished",
    "RestorationProgress",
    "Sample",
    "Saved",
    "Segmentation",
    "SegmentationConfig",
    "SegmentationProgress",
    "Settings",
    "SharingProgress",
    "Stop",
    "TrainingConfig",
    "TrainingFinished",
    "TrainingStarted",
    "TrainingStep",
    "TrustFinished",
    "TrustProgress",
    "TrustSettings",
    "Unopened",
    "Validation",
    "VariantRecord",
    "ZooDetails",
    "agree",
    "artefact_by_level",
    "asked_digest",
    "attach_log",
    "available_devices",
    "bin_model",
    "calibrate",
    "cells_with_pixel_noise",
    "cells_with_stripes",
    "check_fits",
    "check_recipe",
    "check_repeatable",
    "check_shared",
    "check_trust_folder",
    "check_truth",
    "check_writable",
    "choose_direct",
    "chosen_threads",
    "compare_models",
    "compare_results",
    "compare_with_real",
    "covered_signal",
    "csv_text",
    "decibels",
    "default_models_folder",
    "diagnostics",
    "distil",
    "draw_levels",
    "draw_samples",
    "estimate_files",
    "estimate_noise_model",
    "estimate_restoration",
    "estimate_training",
    "evaluate",
    "evaluate_second_frame",
    "export_model",
    "find_files",
    "find_model",
    "finished_recipe",
    "free_model_folder",
    "free_noise_model_path",
    "free_path",
    "generate",
    "generation_paths",
    "generation_remarks",
    "generation_writer",
    "grid_png",
    "guess_axes",
    "hire",
    "import_model",
    "inspect_levels",
    "job_images",
    "job_recipe",
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
    "load_settings",
    "log_path",
    "measure_convergence",
    "methods_bibtex",
    "methods_text",
    "model_places",
    "models_folder",
    "noise_models_folder",
    "objects_table",
    "open_each",
    "open_images",
    "preset",
    "range_remark",
    "rank_here",
    "read_notes",
    "read_pixel_size",
    "read_recipe",
    "read_record",
    "read_variant",
    "real_pieces",
    "recipe_direct",
    "recipe_images",
    "recipe_model",
    "recipe_of",
    "recipe_of_samples",
    "recipe_processes",
    "recipe_remark",
    "recipe_threads",
    "record_stamp",
    "rename_model",
    "repeat_training",
    "repeated_config",
    "repeated_settings",
    "reserve_direct_folder",
    "reserve_model_folder",
    "restoration_mark",
    "restoration_recipes",
    "restore",
    "restore_batch",
    "restore_by",
    "restore_direct",
    "restore_opened",
    "restored_pieces",
    "restorer_for",
    "sampler",
    "save_calibration",
    "save_settings",
    "segment",
    "segment_samples",
    "segmentation_mark",
    "segmentation_paths",
    "settings_as_read",
    "settings_in_force",
    "settings_path",
    "split_suffix",
    "spoken_levels",
    "structure_of_difference",
    "suggested_name",
    "switched_off",
    "take_over_settings",
    "train",
    "trust_maps",
    "trust_paths",
    "trust_products",
    "tsv_text",
    "use_settings",
    "variant_config",
    "variant_name",
    "variants_of",
    "write_contributions",
    "write_job_recipe",
    "write_new",
    "write_notes",
    "write_ome_tiff",
    "write_ome_zarr",
    "write_recipe_beside",
    "write_trust",
]


def __getattr__(name: str) -> Any:
    if name == "HDN":
        from napari_hdn.core.hdn import HDN

        return HDN
    if name == "Crew":
        from napari_hdn.io.cluster.crew import Crew

        return Crew
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
