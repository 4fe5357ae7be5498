"""What a distillation tells as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn.core.events import Notice

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.recipes.parts import Taught


@dataclass(frozen=True)
class DistillationProgress:
    """Where a distillation is; ``fraction`` 0..1 of all, ``doing`` in words."""

    fraction: float
    doing: str
    elapsed_s: float
    remaining_s: float
    step: int = 0
    loss: float | None = None  # mean since the last such event, normalised units


@dataclass(frozen=True)
class DistillationStarted:
    """Before the first step, when what the teacher made of the images is there."""

    device: str
    parameters: int
    teacher_parameters: int
    megapixels: float  # to learn from
    held_out: int  # tiles to validate on


@dataclass(frozen=True)
class DistillationValidated:
    """The direct network on held-out tiles; see `napari_hdn.core.direct.student.Marks`."""

    step: int
    loss_db: float
    agreement_db: float


@dataclass(frozen=True)
class DistillationFinished:
    """The last event of every distillation, stopped or not.

    ``taught`` says how far it came, where that was a matter of time.
    """

    student: Direct
    step: int
    stopped: bool
    folder: Path | None
    taught: Taught | None = None


DistillationEvent = (
    Notice
    | DistillationProgress
    | DistillationStarted
    | DistillationValidated
    | DistillationFinished
)
