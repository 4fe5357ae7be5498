"""Recipes of what is neither a training nor a restoration: one record for all these jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import DeviceName, Frozen, GenerationConfig
from napari_hdn.core.direct.config import DirectConfig
from napari_hdn.core.recipes.environment import Environment
from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.recipes.parts import Taught
from napari_hdn.core.recipes.schema import (
    FORMAT,
    RECIPE_SCHEMA_VERSION,
    Line,
    ModelRecord,
    Record,
    ResultRecord,
    TrainingRecord,
)
from napari_hdn.core.segmentation.settings import SegmentationConfig

JobKind = Literal["segmentation", "trust", "levels", "generation", "evaluation", "distillation"]
JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)
Role = Literal["image", "samples", "truth", "second frame", "repeats", "real image"]
Pixel = Annotated[int, Field(ge=0)]
Level = Annotated[int, Field(ge=1, le=8)]
Box = tuple[Pixel, Pixel, Pixel, Pixel]
"""y0, y1, x0, x1 in pixels."""
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class LevelsSettings(Frozen):
    """Of a look at what the latent levels contribute.

    ``background`` are boxes of noise alone, in pixels of the image; None where it was looked for.
    ``samples`` images were drawn at each level with ``seed``.
    """

    background: Annotated[tuple[Box, ...], Field(max_length=1000)] | None = None
    samples: Annotated[int, Field(ge=1)] = 6
    seed: Seed = 0
    device: DeviceName = "auto"


class TrustSettings(Frozen):
    """Of judging how far a restoration can be trusted, which checks samples and levels itself.

    ``judged_samples`` were drawn to judge by; the name tells these settings from those of other jobs.
    """

    judged_samples: int = 16
    deactivated_levels: tuple[int, ...] = ()
    seed: Seed = 0
    device: DeviceName = "auto"


class EvaluationSettings(Frozen):
    """Of holding images against a truth or a second frame.

    ``range_counts`` is that of PSNR; None for max - min of the truth, or of each image.
    """

    range_counts: Annotated[float, Field(allow_inf_nan=False)] | None = None


# the kind and the field that its settings alone have
_SETTINGS: dict[JobKind, tuple[type[Frozen], str]] = {
    "segmentation": (SegmentationConfig, "tolerance_px"),
    "trust": (TrustSettings, "judged_samples"),
    "levels": (LevelsSettings, "background"),
    "generation": (GenerationConfig, "camera_noise"),
    "evaluation": (EvaluationSettings, "range_counts"),
    "distillation": (DirectConfig, "learns"),
}


def _kind_of(settings: Any) -> str | None:
    """Which kind of job these are the settings of; None if of none."""
    for kind, (chosen, field) in _SETTINGS.items():
        if isinstance(settings, chosen) or (isinstance(settings, dict) and field in settings):
            return kind
    return None


JobSettings = Annotated[
    Annotated[SegmentationConfig, Tag("segmentation")]
    | Annotated[TrustSettings, Tag("trust")]
    | Annotated[LevelsSettings, Tag("levels")]
    | Annotated[GenerationConfig, Tag("generation")]
    | Annotated[EvaluationSettings, Tag("evaluation")]
    | Annotated[DirectConfig, Tag("distillation")],
    Discriminator(_kind_of),
]
# images that a job may have, one of them or several
_ROLES: dict[JobKind, dict[Role, bool]] = {
    "segmentation": {"image": False, "samples": False, "truth": False},
    "trust": {"image": False, "repeats": False, "second frame": False},
    "levels": {"image": False},
    "generation": {"real image": False},
    "evaluation": {"image": True, "truth": False, "second frame": False},
    "distillation": {"image": True},
}


@dataclass(frozen=True)
class JobInput:
    """An image that goes into a job: what it is for, and which part of it is used."""

    role: Role
    stack: ImageStack
    plane: tuple[int, ...] | None = None
    region: tuple[int, int, int, int] | None = None


class JobImage(Record):
    """An image that went into a job.

    Attributes
    ----------
    role : str
        What it was for.
    image : ImageRecord
    plane : tuple of int or None
        The one that was used, counted from 0 along the axes but Y, X, that of samples, and that of
        a chosen channel; None for all.
    region : tuple of int or None
        y0, y1, x0, x1 in pixels; None for all.
    """

    role: Role
    image: ImageRecord
    plane: Annotated[tuple[Pixel, ...], Field(max_length=4)] | None = None
    region: Box | None = None


class JobRecord(Record):
    """A job, complete.

    Attributes
    ----------
    images : tuple of JobImage
    settings
        As chosen.
    levels_off : tuple of int
        All of them, 1 = finest.
    look : LevelLook or None
        The last look at the model's levels: scores, and which were advised to be off.
    complete : bool
        Whether it ran to its end.
    taught : Taught or None
        Of a direct network that was taught for minutes: how far it came.
    results : tuple of ResultRecord
    """

    images: tuple[JobImage, ...] = ()
    settings: JobSettings
    levels_off: Annotated[tuple[Level, ...], Field(max_length=8)] = ()
    look: LevelLook | None = None
    complete: bool = True
    taught: Taught | None = None
    results: tuple[ResultRecord, ...] = ()

    def of(self, role: Role) -> tuple[JobImage, ...]:
        """The images of a role."""
        return tuple(image for image in self.images if image.role == role)

    def one(self, role: Role) -> JobImage | None:
        """The image of a role, if there is one."""
        return next(iter(self.of(role)), None)


class JobRecipe(Record):
    """A segmentation, a judgement, ...: what was done, to be told and to be done again.

    ``model`` and ``training`` are missing where no model took part: samples from a file were
    segmented, or images compared with a truth.
    """

    format: Literal["napari-hdn recipe"] = FORMAT
    schema_version: Literal[1] = RECIPE_SCHEMA_VERSION
    kind: JobKind
    in_words: Line
    made: Line
    environment: Environment
    model: ModelRecord | None = None
    job: JobRecord
    training: TrainingRecord | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not isinstance(self.job.settings, _SETTINGS[self.kind][0]):
            raise ValueError(f"these are not the settings of a job of the kind {self.kind}")
        if self.job.taught is not None and self.kind != "distillation":
            raise ValueError(f"no job of the kind {self.kind} teaches a network")
        allowed = _ROLES[self.kind]
        for role in {image.role for image in self.job.images}:
            if role not in allowed:
                raise ValueError(f"a job of the kind {self.kind} has no {role}")
            if len(self.job.of(role)) > 1 and not allowed[role]:
                raise ValueError(f"a job of the kind {self.kind} has one {role}")
        if (self.model is None) != (self.training is None):
            raise ValueError("the recipe of a job tells of its model, and of the training of that")
        without = self.job.one("samples") if self.kind == "segmentation" else self.job.one("truth")
        if self.kind in ("segmentation", "evaluation"):
            if (without is None) != (self.model is not None):
                raise ValueError("either a model took part, or samples or a truth did")
        elif self.model is None:
            raise ValueError("a model took part in this")
        needed = without is None if self.kind == "segmentation" else self.kind != "generation"
        if needed and not self.job.of("image"):
            raise ValueError("the image is missing")
        return self

    @property
    def what(self) -> str:
        """What to call it: the image, or the model."""
        found = self.job.of("image") or self.job.of("samples")
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            return found[0].image.name[:500] + more
        return "" if self.model is None else self.model.name
