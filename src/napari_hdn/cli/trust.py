"""Judging a restoration: what is asked for, what is told, what is written."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    ImageStack,
    JobInput,
    JobRecipe,
    Stop,
    TrustFinished,
    TrustProgress,
    TrustSettings,
)
from napari_hdn.cli.inspection import Piece, one_image
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import ConfigurationError

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.trust.judgement import Judgement

MOST_PX = 1024  # a side, from the middle, unless a region was named
SIGNS = {"good": "✓", "doubtful": "!", "bad": "✗"}
_WIDTH = 100


def middle(piece: Piece, progress: Progress) -> Piece:
    """The middle of a piece that is too large to be judged in minutes; says so."""
    y0, y1, x0, x1 = piece.region
    height, width = min(y1 - y0, MOST_PX), min(x1 - x0, MOST_PX)
    if (height, width) == (y1 - y0, x1 - x0):
        return piece
    top, left = y0 + (y1 - y0 - height) // 2, x0 + (x1 - x0 - width) // 2
    smaller = replace(piece, region=(top, top + height, left, left + width))
    progress.say(
        f"{piece.stack.name} is large: judging the middle {width} x {height} pixels (x, y). To judge "
        "another part, name it with --region."
    )
    return smaller


def second_frame_of(
    piece: Piece, path: str, channel: int | str | None, progress: Progress
) -> ImageStack:
    """A second frame of the same scene as a piece.

    Raises
    ------
    ConfigurationError
        If it has several planes, or another size.
    """
    stack = one_image(path, None, channel, progress)
    if len(stack) > 1:
        raise ConfigurationError(
            f"--second-frame takes a single plane; {stack.name} has {len(stack)}. Several frames of one "
            "scene are --repeats."
        )
    if stack.plane_shape != piece.stack.plane_shape:
        sizes = [" x ".join(map(str, s.plane_shape)) for s in (stack, piece.stack)]
        raise ConfigurationError(
            f"{stack.name} is {sizes[0]} pixels (y, x), {piece.stack.name} {sizes[1]}: a second "
            "frame shows "
            "the same scene, pixel by pixel."
        )
    return stack


def judge(
    model: HDN,
    piece: Piece,
    folder: Path,
    progress: Progress,
    stop: Stop,
    *,
    repeats: ImageStack | None,
    second_frame: JobInput | None,
    settings: TrustSettings,
) -> JobRecipe:
    """Judge, tell what was found, write it; return what was done.

    ``second_frame`` has the role of that name; its region is the piece's, its plane, if it has
    several, is named.
    """
    y0, y1, x0, x1 = piece.region
    second = None
    inputs = [piece.recorded]
    if repeats is not None:
        inputs.append(JobInput("repeats", repeats))
    if second_frame is not None:
        stack = second_frame.stack
        index = second_frame.plane or (0,) * len(stack.leading_shape)
        second = np.asarray(stack.crop(index, slice(y0, y1), slice(x0, x1)))
        inputs.append(second_frame)
    recipe = api.job_recipe("trust", settings, inputs, model=model, stop=stop)
    judgement: Judgement | None = None
    where = piece.in_words()
    for event in api.judge_restoration(
        model,
        piece.counts,
        repeats=repeats,
        second_frame=second,
        samples=settings.judged_samples,
        off=settings.deactivated_levels,
        seed=settings.seed,
        device=settings.device,
        name=piece.stack.name,
        stop=stop,
    ):
        match event:
            case TrustProgress():
                progress.update(event.fraction, event.doing, event.remaining_s)
            case TrustFinished():
                judgement = event.judgement
    assert judgement is not None, "judging ends with TrustFinished"
    for line in report(judgement, where):
        progress.say(line)
    paths = api.trust_paths(folder, piece.stack.stem)
    written = api.write_trust(
        judgement,
        paths,
        where=where,
        facts=piece.to_json(),
        metadata=piece.stack.own_metadata,
    )
    for path in written:
        progress.say(f"Wrote {path}")
    done, path = api.write_job_recipe(
        recipe, api.trust_products(paths, written), paths["recipe"], complete=not judgement.not_done
    )
    progress.say(f"Wrote {path}")
    return done


def report(judgement: Judgement, where: str) -> list[str]:
    """What was found, line by line; checks with a sign, a number and what to do."""
    height, width = judgement.mean.shape
    lines = [f"Trust in {judgement.model.name} on {where}: {width} x {height} pixels (x, y)"]
    for check in judgement.checks:
        lines += _wrapped(f"{SIGNS[check.verdict]} {check.name:<19}", check.text)
        if check.advice and check.verdict != "good":
            lines += _wrapped(" " * 21, f"> {check.advice}")
    if judgement.prior is not None:
        lines += _wrapped(f"  {'prior':<19}", judgement.prior.in_words())
    if judgement.spread is None and "repeats" not in judgement.not_done:
        lines += _wrapped(
            f"  {'calibration':<19}",
            "Not measured: give --repeats or --second-frame to know whether the standard deviation "
            "is right.",
        )
    for remark in () if judgement.spread is None else judgement.spread.remarks:
        lines += _wrapped(f"  {'note':<19}", remark)
    for warning in judgement.warnings:
        lines += _wrapped(f"  {'warning':<19}", warning)
    if judgement.not_done:
        lines.append(f"Stopped; not done: {', '.join(judgement.not_done)}.")
    return lines


def _wrapped(begin: str, text: str) -> list[str]:
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    return textwrap.wrap(
        text,
        max(width, 50),
        initial_indent=f"{begin} ",
        subsequent_indent=" " * (len(begin) + 1),
        break_on_hyphens=False,
    )
