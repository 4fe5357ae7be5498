"""How a model came about: what was done, its losses, and which model it is a variant of."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import model_validator

from napari_hdn.core.config import Frozen
from napari_hdn.core.recipes.looks import LevelLook
from napari_hdn.core.recipes.parts import TrainingPart
from napari_hdn.core.training.residuals import ResidualCheck


class LossRecord(Frozen):
    """Losses at one step, in nats per pixel; ``part`` is training or validation."""

    part: str
    step: int
    loss: float
    reconstruction: float
    kl_per_level: tuple[float, ...]


class Origin(Frozen):
    """Which model a variant was made of; which levels are off and how is in its config.

    Attributes
    ----------
    base : str
        Name of the first model of the family, of which names of variants are made.
    parent, parent_created : str
        Name of the model it was made of, and when that was.
    begun : str
        ``warm``: with the parent's weights; ``scratch``: with random ones.
    steps_before : int
        How long the weights had been trained before, all parents together.
    parent_path, parent_sha256 : str
        Where the model was, and its `napari_hdn.core.identity.fingerprint`.
    look : LevelLook or None
        What a look at the levels of the parent came to: the scores and the advice that led to the
        levels that are off.
    """

    base: str
    parent: str
    parent_created: str
    begun: Literal["warm", "scratch"]
    steps_before: int
    parent_path: str = ""
    parent_sha256: str = ""
    look: LevelLook | None = None


class TrainingSummary(Frozen):
    """What was done, for the record and for warnings at restoration.

    ``family`` is shared by a model and all its variants, whatever they are called. ``parts`` is one
    for each beginning and continuation, with what is needed to repeat it; empty for models of
    earlier versions. ``given_noise`` is the noise model that a file gave, before training mended it.
    """

    version: str
    created: str
    steps: int
    seconds: float
    stopped: bool
    device: str
    data: tuple[str, ...]  # names, axes and shapes of the images
    data_low: float  # 0.1st percentile of the training images, counts
    data_high: float  # 99.9th percentile, counts
    history: tuple[LossRecord, ...] = ()
    residuals: ResidualCheck | None = None  # how the noise model held, on held-out patches
    family: str = ""
    origin: Origin | None = None  # of a variant
    parts: tuple[TrainingPart, ...] = ()
    given_noise: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _derive_family(cls, given: Any) -> Any:
        """Models that were saved before there were families have none; not the name, which changes."""
        if not isinstance(given, dict) or given.get("family"):
            return given
        own = "|".join(str(given.get(k)) for k in ("created", "seconds", "steps", "data_low"))
        return {**given, "family": hashlib.sha256(own.encode()).hexdigest()[:32]}

    @property
    def steps_in_all(self) -> int:
        """How long the weights were trained, those of a warm start's parents included."""
        return self.steps + (self.origin.steps_before if self.origin else 0)

    @property
    def last_losses(self) -> LossRecord | None:
        """The last losses on held-out patches, or, where none were held out, in training."""
        parts = {record.part: record for record in self.history}
        return parts.get("validation", parts.get("training"))
