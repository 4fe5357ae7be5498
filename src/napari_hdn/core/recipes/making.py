"""Recipes of models and of restorations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.events import RestorationFinished, Stop
from napari_hdn.core.identity import fingerprint, network_digest
from napari_hdn.core.recipes.environment import Environment, environment_on
from napari_hdn.core.recipes.images import ImageRecord, identify
from napari_hdn.core.recipes.jobs import JobRecipe
from napari_hdn.core.recipes.placing import placed
from napari_hdn.core.recipes.schema import (
    CalibrationRecord,
    CheckRecord,
    DirectRecord,
    LossPoint,
    ModelRecord,
    NoiseRecord,
    Recipe,
    RestorationRecord,
    TrainingRecord,
)

if TYPE_CHECKING:
    from napari_hdn.core.direct.student import Direct
    from napari_hdn.core.hdn import HDN
    from napari_hdn.core.noise.base import NoiseModel
    from napari_hdn.core.training.summary import LossRecord

MOST_LOSSES = 200
_LINE = 4000
# innermost lists of numbers, which are read on one line; no string holds a line break
_NUMBERS = re.compile(r"\[\s+[-+.\deE]+(,\s+[-+.\deE]+)*\s+\]")
_NO_TRAINING: Any = TrainingRecord.model_construct(parts=())
_last_training: tuple[TrainingRecord | None, Path | None, str] = None, None, ""


def recipe_of_model(model: HDN) -> Recipe:
    """How a model was trained, with absolute paths."""
    parts = model.summary.parts
    return Recipe(
        kind="training",
        in_words=f"How the model {model.name} was trained: napari-hdn run repeats it.",
        made=model.summary.created,
        environment=parts[-1].environment if parts else _unrecorded(model),
        model=model_record(model),
        training=training_record(model),
    )


class RestorationRecipes:
    """What restorations with the same model and settings are going to do, with absolute paths.

    What they share is put together once; `finished` adds how one went.

    Parameters
    ----------
    model : HDN
    config : RestorationConfig
    student : Direct, optional
        Restores in the model's place.
    integers, tag, file_format
        Of the files that are written.
    """

    def __init__(
        self,
        model: HDN,
        config: RestorationConfig,
        *,
        student: Direct | None = None,
        integers: bool = False,
        tag: str = "",
        file_format: Literal["ome-tiff", "ome-zarr"] = "ome-tiff",
    ) -> None:
        self._config = config
        self._name = model.name
        self._model, self._training = model_record(model), training_record(model)
        look = model.look
        self._shared: dict[str, Any] = {
            "config": config,
            "levels_off": model.levels_off(config),
            "look": look if look and look.weights_sha256 == self._model.sha256 else None,
            "direct": None if student is None else _direct(student),
            "integers": integers,
            "tag": tag,
            "file_format": file_format,
        }

    @cached_property
    def _here(self) -> Environment:
        return environment_on(choose(self._config.device), self._config.precision)

    def of(
        self,
        stack: ImageStack,
        *,
        by: Environment | None = None,
        stop: Stop | None = None,
    ) -> Recipe:
        """The recipe of one image, whose pixels are looked at for their checksum.

        Parameters
        ----------
        stack : ImageStack
        by : Environment, optional
            With what it is computed, unless by this process.
        stop : Stop, optional
        """
        stack = stack.of_channel(self._config.channel)
        done = RestorationRecord(image=identify(stack, stop), planes=len(stack), **self._shared)
        return Recipe(
            kind="restoration",
            in_words=f"How {stack.name} was restored with {self._name}: napari-hdn run repeats it.",
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=by or self._here,
            model=self._model,
            restoration=done,
            training=self._training,
        )


def finished(recipe: Recipe, event: RestorationFinished) -> Recipe:
    """The recipe of a restoration that is over, with the tiles that it really took."""
    assert recipe.restoration is not None
    over = recipe.restoration.model_copy(
        update={
            "tiles": event.tiles,
            "planes_done": event.planes,
            "planes_failed": event.failed,
        }
    )
    return recipe.model_copy(update={"restoration": over})


def to_text(recipe: Recipe | JobRecipe, folder: Path | None = None) -> str:
    """The recipe as JSON for a file in ``folder``: paths near it become relative.

    A batch writes thousands that share their training, which may tell of hundreds of images: its text
    is kept for the next.
    """
    if not isinstance(recipe, Recipe):
        return f"{_as_json(recipe if folder is None else placed(recipe, folder))}\n"
    global _last_training
    training, before, text = _last_training
    if training is not recipe.training or before != folder:
        own = recipe if folder is None else placed(recipe, folder)
        text = _as_json(own.training).replace("\n", "\n ")  # no string holds a line break
        _last_training = recipe.training, folder, text
    without = recipe.model_copy(update={"training": _NO_TRAINING})
    if folder is not None:
        without = placed(without, folder)
    rest = _as_json(without, exclude={"training"}).removesuffix("\n}")
    return f'{rest},\n "training": {text}\n}}\n'


def _as_json(record: BaseModel, exclude: set[str] | None = None) -> str:
    text = record.model_dump_json(indent=1, exclude=exclude)
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)


def model_record(model: HDN) -> ModelRecord:
    """Which model it is."""
    return ModelRecord(
        name=model.name,
        path=None if model.folder is None else str(model.folder.absolute()),
        family=model.summary.family,
        created=model.summary.created,
        sha256=fingerprint(model),
    )


def training_record(model: HDN) -> TrainingRecord:
    """How a model was trained."""
    done, normalisation = model.summary, model.normalisation
    held_out = [r for r in done.history if r.part == "validation"]
    return TrainingRecord(
        steps=done.steps,
        minutes=round(done.seconds / 60, 3),
        parameters=model.parameters,
        config=model.config,
        origin=done.origin,
        noise=_noise(model.noise_model),
        normalisation_mean=normalisation.mean,
        normalisation_std=normalisation.std,
        stabilised=normalisation.stabilised,
        data=tuple(d[:_LINE] for d in done.data),
        losses=_curve(held_out or done.history),
        losses_of="held-out patches" if held_out else "training",
        parts=done.parts,
        given_noise=done.given_noise,
    )


def _curve(records: Sequence[LossRecord]) -> tuple[LossPoint, ...]:
    """At most `MOST_LOSSES` points, the first and the last among them."""
    step = max(1, -(-len(records) // MOST_LOSSES))
    chosen = [*records[:-1:step], *records[-1:]]
    return tuple(
        LossPoint(step=r.step, loss=r.loss, reconstruction=r.reconstruction, kl=sum(r.kl_per_level))
        for r in chosen
    )


def _noise(model: NoiseModel) -> NoiseRecord:
    from napari_hdn.core.noise.refined import Refined

    inner = model.inner if isinstance(model, Refined) else model
    clipping = model.clipping
    return NoiseRecord(
        kind=inner.kind,
        in_words=model.describe()[:_LINE],
        made=inner.source[:_LINE],
        curves=model.curves,
        mended=isinstance(model, Refined),
        structured=model.structured,
        clipped_low=None if clipping is None else clipping.low,
        clipped_high=None if clipping is None else clipping.high,
        calibration=_calibration(model),
    )


def _calibration(model: NoiseModel) -> CalibrationRecord | None:
    """The calibration's own record, without curves; None if there is none, or it is damaged."""
    record = model.calibration
    if record is None:
        return None
    try:
        return CalibrationRecord(
            source=str(record["source"])[:_LINE],
            reason=str(record["reason"])[:_LINE],
            asked_for=str(record["config"]["model"])[:_LINE],
            data=tuple(str(d)[:_LINE] for d in record["data"]),
            images=tuple(ImageRecord.model_validate(i) for i in record.get("images", ())),
            dark=record.get("dark"),
            clean=record.get("clean"),
            checks=tuple(
                CheckRecord(name=str(c["name"]), verdict=str(c["verdict"]), text=str(c["text"]))
                for c in record["checks"]
            ),
        )
    except (AttributeError, KeyError, TypeError, ValueError):  # opening the calibration will tell
        return None


def _direct(student: Direct) -> DirectRecord:
    marks = student.summary.marks
    return DirectRecord(
        name=student.name,
        path=None if student.folder is None else str(student.folder.absolute()),
        sha256=network_digest(student.network),
        learned=student.config.learns,
        steps=student.summary.steps,
        loss_db=None if marks is None else marks.loss_db,
    )


def _unrecorded(model: HDN) -> Environment:
    """Of a model that was saved before environments were noted."""
    return Environment(
        napari_hdn=model.summary.version,
        python="not recorded",
        torch="not recorded",
        numpy="not recorded",
        system="not recorded",
        device=model.summary.device[:500],
        precision=model.config.precision,
        threads=1,
    )
