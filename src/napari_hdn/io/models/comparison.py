"""Models side by side: how each was made, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hdn.core.errors import ModelFolderError, RecipeError
from napari_hdn.core.json_files import read_object
from napari_hdn.core.recipes.looks import recall
from napari_hdn.core.recipes.rows import look_in_words, recipe_rows
from napari_hdn.io.models.records import noise_in_words
from napari_hdn.io.models.variants import read_about
from napari_hdn.io.recipes.files import RECIPE, read_model_recipe
from napari_hdn.io.sharing.contents import CONFIG, NOISE

_LONGEST_LIST = 16  # longer ones are counted
_FROM_SUMMARY = {  # and what it is called; residuals by their sums alone
    "created": "created (UTC)",
    "version": "napari-hdn",
    "steps": "trained steps",
    "seconds": "training time (s)",
    "stopped": "stopped before its time",
    "device": "computed on",
    "data": "images",
    "data_low": "counts from (0.1 %)",
    "data_high": "counts to (99.9 %)",
    "origin": "made of",
}
_RESIDUALS = ("variance", "kurtosis", "lag_y", "lag_x")
_NOT_OF_NOISE = ("calibration", "schema_version", "kind")


@dataclass(frozen=True)
class ComparedRow:
    """One thing about each of some models; empty for a model of which it is not known."""

    what: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the models are not the same in it."""
        return len(set(self.values)) > 1


def compare_models(folders: Sequence[Path]) -> list[ComparedRow]:
    """What is known of how models were made, a row for each thing, in the order of the first model.

    From config.json and noise_model.json, and from recipe.json where a model has one: images with their
    checksums, parts of the training, calibration, versions. No weights are read.

    Raises
    ------
    ModelFolderError, RecipeError
        If one of them cannot be read.
    """
    found = [dict(_known(folder)) for folder in folders]
    order = list(dict.fromkeys(what for known in found for what in known))
    return [ComparedRow(what, tuple(known.get(what, "") for known in found)) for what in order]


def _known(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        config, summary = read_about(folder)
        noise = read_object(folder / NOISE)
        about = summary.model_dump(mode="json")
        if summary.origin is not None and summary.origin.look is not None:
            about["origin"]["look"] = look_in_words(summary.origin.look)
        yield from _flat("", {word: about[k] for k, word in _FROM_SUMMARY.items() if about[k]})
        yield from _flat("last losses", _last(about["history"]))
        residuals = about["residuals"] or {}
        yield from _flat("residuals", {k: v for k, v in residuals.items() if k in _RESIDUALS})
        yield "noise model", noise_in_words(noise)
        yield from _flat("noise model", {k: v for k, v in noise.items() if k not in _NOT_OF_NOISE})
        training = config.model_dump(mode="json", exclude={"schema_version"})
        yield from _flat("", training)  # with what older models took for granted
        yield from _flat("normalisation", read_object(folder / CONFIG).get("normalisation", {}))
        if (folder / RECIPE).exists():  # models of before there were recipes have none
            yield from recipe_rows(read_model_recipe(folder))
        if (look := recall(folder)) is not None:
            yield "last look at the levels", look_in_words(look)
    except RecipeError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFolderError(
            f"{folder.name} cannot be compared: its {CONFIG}, {NOISE} or {RECIPE} is damaged or "
            f"missing ({error!s:.100})."
        ) from error


def _last(history: list[dict[str, Any]]) -> dict[str, Any]:
    """By part, the losses at its last step."""
    return {
        record["part"]: {k: v for k, v in record.items() if k not in ("part", "step")}
        for record in history
    }


def _flat(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = str(key).replace("_", " ")
            yield from _flat(f"{where}: {name}" if where else name, inner)
    else:
        yield where, _text(value)


def _text(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        if len(value) > _LONGEST_LIST:
            return f"{len(value)} values"
        return ", ".join(_text(v) for v in value)
    return str(value)
