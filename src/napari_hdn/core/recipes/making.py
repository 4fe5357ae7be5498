"""Recipes of models and of restorations."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import RestorationConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.events import RestorationFinished, Stop
from napari_hdn.core.identity import fingerprint, network_digest
from napari_hdn.core.recipes.environment import Environment, environment
from napari_hdn.core.recipes.images import ImageRecord, identify
from napari_hdn.core.recipes.parts import TrainingPart
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
    from napari_hdn.core.summary import LossRecord

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
        model=_model(model),
        training=_training(model),
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
        self._model, self._training = _model(model), _training(model)
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
        config = self._config
        stack = stack.of_channel(config.channel)
        if by is None:
            device = choose(config.device)
            precision = str(device.dtype(config.precision)).removeprefix("torch.")
            by = environment(device.label, precision)
        done = RestorationRecord(image=identify(stack, stop), planes=len(stack), **self._shared)
        return Recipe(
            kind="restoration",
            in_words=f"How {stack.name} was restored with {self._name}: napari-hdn run repeats it.",
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=by,
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


def to_text(recipe: Recipe, folder: Path | None = None) -> str:
    """The recipe as JSON for a file in ``folder``: paths near it become relative.

    A batch writes thousands that share their training, which may tell of hundreds of images: its text
    is kept for the next.
    """
    global _last_training
    training, before, text = _last_training
    if training is not recipe.training or before != folder:
        own = recipe if folder is None else placed(recipe, folder)
        text = _NUMBERS.sub(_on_one_line, own.training.model_dump_json(indent=1))
        text = text.replace("\n", "\n ")  # no string holds a line break
        _last_training = recipe.training, folder, text
    without = recipe.model_copy(update={"training": _NO_TRAINING})
    if folder is not None:
        without = placed(without, folder)
    rest = _NUMBERS.sub(_on_one_line, without.model_dump_json(indent=1, exclude={"training"}))
    rest = rest.removesuffix("\n}")
    return f'{rest},\n "training": {text}\n}}\n'


def _on_one_line(found: re.Match[str]) -> str:
    return " ".join(found[0].split())


def placed(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with paths as seen from ``folder``, where they lie in it or beside it."""

    def image(record: ImageRecord) -> ImageRecord:
        return record.model_copy(update={"path": _near(record.path, folder)})

    def part(of: TrainingPart) -> TrainingPart:
        return of.model_copy(update={"images": tuple(map(image, of.images))})

    training = recipe.training.model_copy(update={"parts": tuple(map(part, recipe.training.parts))})
    model = recipe.model.model_copy(update={"path": _near(recipe.model.path, folder)})
    restoration = recipe.restoration
    if restoration is not None:
        direct = restoration.direct
        if direct is not None:
            direct = direct.model_copy(update={"path": _near(direct.path, folder)})
        restoration = restoration.model_copy(
            update={"image": image(restoration.image), "direct": direct}
        )
    return recipe.model_copy(
        update={"training": training, "model": model, "restoration": restoration}
    )


def _near(path: str | None, folder: Path) -> str | None:
    """A path relative to a folder, if it lies in it or in the one above; else as it is."""
    if path is None:
        return None
    try:
        relative = os.path.relpath(path, folder.absolute())
    except ValueError:  # another drive
        return path
    if relative.split(os.sep)[:2] == [os.pardir, os.pardir]:
        return path
    return Path(relative).as_posix()


def _model(model: HDN) -> ModelRecord:
    return ModelRecord(
        name=model.name,
        path=None if model.folder is None else str(model.folder.absolute()),
        family=model.summary.family,
        created=model.summary.created,
        sha256=fingerprint(model),
    )


def _training(model: HDN) -> TrainingRecord:
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
