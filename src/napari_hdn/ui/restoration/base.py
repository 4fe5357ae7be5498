"""What all restorations share: a model, a config, products, progress over several images."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    ImageStack,
    Notice,
    PlaneFailed,
    PlaneRestored,
    RestorationConfig,
    RestorationFinished,
    RestorationProgress,
)
from napari_hdn.ui.jobs import Job

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.recipes.schema import Recipe


@dataclass(frozen=True)
class RecipeMade:
    """What is done to image ``number``; again when it is over, with how it went."""

    number: int
    recipe: Recipe


@dataclass(frozen=True)
class Overall:
    """Where a job of several images is."""

    fraction: float
    remaining_s: float


def identity_of(model: HDN, config: RestorationConfig) -> dict[str, Any]:
    """What says, in a layer's metadata, how it was made."""
    return {
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "model_steps": model.summary.steps,
        "version": model.summary.version,
        "levels_off": [*model.levels_off(config)],
        "restoration": config.model_dump(mode="json"),
    }


class Restoring(Job):
    """What the jobs share: one model, or a direct network of it, a config, progress over all images."""

    kind = "restoration"

    def __init__(
        self,
        title: str,
        model: HDN,
        config: RestorationConfig,
        student: Direct | None = None,
    ) -> None:
        super().__init__(title)
        self.student = student  # restores in the model's place
        self.model: HDN | None = model  # until the job is over
        self.config = config
        self.identity = identity_of(model, config)
        self.recipe: Recipe | None = None  # of the last image
        if student is not None:
            self.identity["direct_network"] = student.name

    def restored(
        self, stacks: list[ImageStack], number: int, began: float
    ) -> Iterator[
        PlaneRestored | PlaneFailed | RestorationFinished | Notice | Overall | RecipeMade
    ]:
        """Restore one of several images, with progress over all of them; damage is told."""
        assert self.model is not None
        stack, config, stop = stacks[number], self.config, self.stop
        recipes = api.restoration_recipes(self.model, config, student=self.student)
        recipe = recipes.of(stack, stop=stop)
        yield RecipeMade(number, recipe)
        if self.student is None:
            events = api.restore(self.model, stack, config, stop=stop)
        else:
            events = api.restore_direct(self.model, self.student, stack, config, stop=stop)
        for event in events:
            if isinstance(event, RestorationProgress):
                sizes = [len(s) * int(np.prod(s.plane_shape)) for s in stacks]
                done = sum(sizes[:number]) + event.fraction * sizes[number]
                fraction = done / sum(sizes)
                elapsed = time.monotonic() - began
                left = elapsed * (1 / fraction - 1) if fraction else math.inf
                left = event.remaining_s if len(stacks) == 1 else left
                yield Overall(fraction, left)
                continue
            if isinstance(event, RestorationFinished):
                yield RecipeMade(number, api.finished_recipe(recipe, event))
            yield event
            match event:
                case PlaneFailed(reason=reason):
                    yield Notice(f"{reason} This plane was left out.", "warning")
                case RestorationFinished(spread=spread) if spread and "mean" in self.config.outputs:
                    yield Notice(spread.in_words())

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, RecipeMade):
            self.recipe = event.recipe
        if isinstance(event, Overall):
            self.fraction, self.remaining_s = event.fraction, event.remaining_s

    def close(self) -> None:
        """Let go of the model."""
        self.model = self.student = None
