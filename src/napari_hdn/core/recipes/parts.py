"""One uninterrupted part of a training, with all that depended on the clock or on free memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from napari_hdn.core.config import Frozen
from napari_hdn.core.recipes.environment import Environment
from napari_hdn.core.recipes.images import ImageRecord

Step = Annotated[int, Field(ge=0, le=2**40)]
Knot = tuple[Step, Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
"""From this step on, this share of the budget is used, and this much more with every step."""
Ended = Literal["complete", "stopped", "by itself", "cut"]


class TrainingPart(Frozen):
    """From a beginning, or a continuation, to where training stopped.

    Attributes
    ----------
    first_step, last_step : int
        Steps done before and after.
    minutes, steps
        The budget; one of them.
    origin_step : int
        Where the present budget began.
    schedule : tuple of (step, fraction, fraction a step)
        Of a budget in minutes: how much of it was used at which step, on which the learning rate
        depends.
    split_batches : tuple of (step, parts)
        From which steps on batches were taken in how many parts, as memory was short.
    ended : str
        ``complete``, ``stopped`` by the user, ``by itself`` (the network began to copy noise), or
        ``cut`` off, such as by a crash: training went on from the last save.
    seconds : float
    environment : Environment
    images : tuple of ImageRecord
        Empty if those of the part before.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    first_step: Step
    last_step: Step
    minutes: float | None
    steps: int | None
    origin_step: Step
    schedule: Annotated[tuple[Knot, ...], Field(max_length=200_000)] = ()
    split_batches: tuple[tuple[Step, Annotated[int, Field(ge=1, le=100_000)]], ...] = ()
    ended: Ended
    seconds: float
    environment: Environment
    images: tuple[ImageRecord, ...] = ()

    def parts_of_a_batch(self, step: int) -> int:
        """In how many parts a batch was taken at a step."""
        return next((parts for since, parts in reversed(self.split_batches) if since <= step), 1)

    def until(self, step: int) -> TrainingPart:
        """The same part, cut off at a step that it may have gone beyond."""
        if step >= self.last_step:
            return self
        return self.model_copy(
            update={
                "last_step": step,
                "ended": "cut",
                "schedule": tuple(k for k in self.schedule if k[0] < step),
                "split_batches": tuple(k for k in self.split_batches if k[0] < step),
            }
        )


class Taught(Frozen):
    """How far a direct network came in its minutes, on which the speed of the computer decides.

    Attributes
    ----------
    pieces : int
        That its model restored for it to learn from.
    steps : int
        Done in all.
    schedule : tuple of (step, fraction, fraction a step)
        How much of the time for learning was used at which step.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    pieces: Annotated[int, Field(ge=1, le=2**40)]
    steps: Annotated[int, Field(ge=1, le=2**40)]
    schedule: Annotated[tuple[Knot, ...], Field(max_length=200_000)]
