"""What a recipe holds: frozen, versioned, and strict about what it is given."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from napari_hdn.core.config import Frozen, RestorationConfig, TrainingConfig
from napari_hdn.core.recipes.environment import Environment
from napari_hdn.core.recipes.images import ImageRecord
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.recipes.tiles import Tiles
from napari_hdn.core.text import as_readable
from napari_hdn.core.training.summary import Origin

RECIPE_SCHEMA_VERSION: Literal[1] = 1
FORMAT: Literal["napari-hdn recipe"] = "napari-hdn recipe"

Line = Annotated[str, BeforeValidator(as_readable), Field(max_length=4000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(Frozen):
    """A part of a recipe: as strict as a config, and no NaN or infinity anywhere."""

    model_config = ConfigDict(allow_inf_nan=False)


class CheckRecord(Record):
    """One answer of a calibration to the question whether its noise model is right."""

    name: Line
    verdict: Line
    text: Line


class CalibrationRecord(Record):
    """How a noise model was calibrated: from what source, of which images, how well it fits.

    ``images`` are those that the noise was measured on, ``dark`` and ``clean`` what was given beside
    them; noise models of earlier versions of napari-hdn tell the names in ``data`` alone.
    """

    source: Line
    reason: Line
    asked_for: Line
    data: tuple[Line, ...]
    images: tuple[ImageRecord, ...] = ()
    dark: ImageRecord | None = None
    clean: ImageRecord | None = None
    checks: tuple[CheckRecord, ...] = ()


class NoiseRecord(Record):
    """The noise model that training ended with.

    Attributes
    ----------
    kind : str
        ``poisson_gaussian``, ``gmm``, ``histogram``, ``gaussian`` or ``learned_gaussian``.
    in_words : str
        With its numbers.
    made : str
        How it came about, in words.
    curves : int
        1 where one curve serves all images.
    mended : bool
        Whether training changed its scale or shape.
    structured : bool
        Whether the noise was found to be correlated between pixels.
    """

    kind: Line
    in_words: Line
    made: Line
    curves: Annotated[int, Field(ge=1)] = 1
    mended: bool = False
    structured: bool = False
    clipped_low: float | None = None
    clipped_high: float | None = None
    calibration: CalibrationRecord | None = None


class LossPoint(Record):
    """Losses on patches that were held out (or, if none were, in training), nats per pixel."""

    step: int
    loss: float
    reconstruction: float
    kl: float


class ModelRecord(Record):
    """Which model; ``sha256`` is that of its weights, network and normalisation."""

    name: Line
    path: Line | None = None
    family: Line
    created: Line
    sha256: Sha256


class TrainingRecord(Record):
    """A training, complete.

    Attributes
    ----------
    steps : int
        Really done, all parts together; those of a variant's parents are in ``variant_of``.
    parameters : int
        Of the network.
    config : TrainingConfig
        As chosen; its budget is that of the last part.
    origin : Origin or None
        Which model a variant was made of.
    normalisation_mean, normalisation_std, stabilised
        What the network sees is (counts - mean) / std, or the same of counts in units of their
        noise.
    parts : tuple of TrainingPart
        Images, steps, schedule and computer of the beginning and of each continuation. Empty for
        models of earlier versions of napari-hdn, which cannot be repeated.
    losses : tuple of LossPoint
        The validation curve, thinned out.
    given_noise : dict or None
        The noise model that a file gave, whole.
    """

    steps: Annotated[int, Field(ge=0)]
    minutes: float
    parameters: Annotated[int, Field(ge=0)]
    config: TrainingConfig
    origin: Origin | None = None
    noise: NoiseRecord
    normalisation_mean: float
    normalisation_std: float
    stabilised: bool
    data: tuple[Line, ...] = ()
    losses: tuple[LossPoint, ...] = ()
    losses_of: Literal["held-out patches", "training"] = "held-out patches"
    parts: tuple[TrainingPart, ...] = ()
    given_noise: dict[str, Any] | None = None

    @property
    def images(self) -> tuple[ImageRecord, ...]:
        """Those that it ended with."""
        return next((part.images for part in reversed(self.parts) if part.images), ())


class DirectRecord(Record):
    """The direct network that restored in its model's place."""

    name: Line
    path: Line | None = None
    sha256: Sha256
    learned: Literal["mean", "median"]
    steps: int
    loss_db: float | None = None


class ResultRecord(Record):
    """One file that was written, and the SHA-256 of its pixels."""

    product: Line
    file: Line
    sha256: Sha256 | None = None
    sha256_of: Line = ""


class RestorationRecord(Record):
    """A restoration, complete.

    Attributes
    ----------
    image : ImageRecord
    config : RestorationConfig
        As chosen.
    levels_off : tuple of int
        All of them, 1 = finest.
    look : LevelLook or None
        The last look at the model's levels before: scores, and which were advised to be off.
    tiles : Tiles or None
        As really used; None while it is not over.
    planes_done, planes_failed, planes : int
    integers : bool
        Whether files have the input's integer type.
    tag, file_format : str
        Of the files.
    results : tuple of ResultRecord
    """

    image: ImageRecord
    config: RestorationConfig
    levels_off: tuple[int, ...]
    look: LevelLook | None = None
    direct: DirectRecord | None = None
    tiles: Tiles | None = None
    planes: Annotated[int, Field(ge=0)] = 0
    planes_done: Annotated[int, Field(ge=0)] = 0
    planes_failed: Annotated[int, Field(ge=0)] = 0
    integers: bool = False
    tag: Line = ""
    file_format: Literal["ome-tiff", "ome-zarr"] = "ome-tiff"
    results: tuple[ResultRecord, ...] = ()


class Recipe(Record):
    """What was done, to be told and to be done again.

    A recipe of a training has ``training``; one of a restoration has ``restoration`` and, of the model
    that restored, ``training``, too.
    """

    format: Literal["napari-hdn recipe"] = FORMAT
    schema_version: Literal[1] = RECIPE_SCHEMA_VERSION
    kind: Literal["training", "restoration"]
    in_words: Line
    made: Line
    environment: Environment
    model: ModelRecord
    restoration: RestorationRecord | None = None
    training: TrainingRecord

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.restoration is not None) != (self.kind == "restoration"):
            raise ValueError("a recipe of a restoration says what was restored, no other does")
        return self
