"""Holding images against a truth or a second frame: what is told, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.api import EvaluationSettings, ImageStack, JobInput, JobRecipe, Notice, Stop
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import StoppedEarly

if TYPE_CHECKING:
    from napari_hdn.api import HDN


def compare(
    model: HDN | None,
    stacks: Sequence[ImageStack],
    reference: ImageStack,
    settings: EvaluationSettings,
    out: Path | None,
    progress: Progress,
    stop: Stop,
) -> tuple[bool, JobRecipe | None]:
    """Compare, tell it, write the table and a recipe beside it where ``out`` names one.

    Parameters
    ----------
    model : HDN or None
        Given for a second frame, whose noise its noise model tells; else ``reference`` is the truth.
    stacks : sequence of ImageStack
    reference : ImageStack
    settings : EvaluationSettings
    out : Path or None
        A CSV file.
    progress : Progress
    stop : Stop

    Returns
    -------
    stopped : bool
    recipe : JobRecipe or None
        With its result, where a table was written.

    Raises
    ------
    StoppedEarly
        If the user stopped before a plane was compared.
    """
    span = settings.range_counts
    recipe = None
    if out is not None:
        against = JobInput("truth" if model is None else "second frame", reference)
        inputs = [*(JobInput("image", stack) for stack in stacks), against]
        recipe = api.job_recipe("evaluation", settings, inputs, model=model, stop=stop)
    if model is None:
        events = api.evaluate(stacks, reference, "truth" if span is None else span, stop=stop)
    else:
        events = api.evaluate_second_frame(model, stacks, reference, span, stop=stop)
    for event in events:
        if isinstance(event, Notice):
            progress.notice(event)
        elif isinstance(event, api.EvaluationProgress):
            progress.update(event.fraction, "comparing", event.remaining_s)
        else:
            result = event
    if not any(row.planes for row in result.rows):
        raise StoppedEarly("Stopped before a plane was compared.")
    _tell(result, progress)
    if out is None or recipe is None:
        return result.stopped, None
    written = api.write_new(out, api.csv_text(*result.table()).encode())
    progress.say(f"Wrote {written}")
    beside = written.with_name(f"{written.stem}-recipe.json")
    done, path = api.write_job_recipe(
        recipe, {"table": written}, beside, complete=not result.stopped
    )
    progress.say(f"Wrote {path}")
    return result.stopped, done


def _tell(result: api.Evaluation, progress: Progress) -> None:
    """One block an image: a table of these columns is too wide for a terminal."""
    for row in result.rows:
        part = "" if row.planes == row.total else f" of {row.total}"
        plural = "s" if row.total != 1 else ""
        left_out = f", {row.empty} left out" if row.empty else ""
        progress.say(
            f"{row.name} ({row.planes}{part} plane{plural}{left_out}) against {result.against}:"
        )
        for column, value in zip(result.columns, row.values, strict=True):
            text = "–" if value is None else f"{value:.6g}"
            progress.say(f"  {text:>10}  {column}")
    progress.say(result.note)
