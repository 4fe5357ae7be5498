"""``napari-hdn evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_hdn import api
from napari_hdn.api import FileStack, Notice
from napari_hdn.cli import choices
from napari_hdn.cli.commands.shared import INTERRUPTED, OK
from napari_hdn.cli.terminal import Progress, stop_on_interrupt
from napari_hdn.core.errors import ConfigurationError, StoppedEarly


def evaluate(
    *restored: str,
    truth: str | None = None,
    second_frame: str | None = None,
    model: Path | None = None,
    span: Annotated[str, Parameter(name="--range")] = "truth",
    out: Path | None = None,
    axes: str | None = None,
    channel: int | str | None = None,
) -> int:
    """Measure restored images against a truth, or against a second noisy frame.

    With --truth: PSNR, SSIM, scale-invariant PSNR and MSE. With --second-frame and --model: an
    estimate of MSE and PSNR with its standard error, for a static scene of which no truth is known.
    One row a file, means over its planes; planes of zeros, as partial files have them, are left out.

    Parameters
    ----------
    restored
        TIFF files or patterns; raw ones, too, to compare with.
    truth
        A TIFF file with the truth: the same planes, or one plane for all.
    second_frame
        A TIFF file with a noisy frame of the same scene that was not restored.
    model
        Whose noise model tells the noise of the second frame: a folder, or a name among the saved
        models.
    span
        Of PSNR, in counts: truth (max - min of the truth), or a number such as 255. With
        --second-frame the default is max - min of each image.
    out
        A CSV file to write the table to; an existing one is kept, the new one numbered.
    axes
        One letter per image axis out of S T C Z Y X, such as TYX; by default from the files.
    channel
        Use this channel of the images that have several: its number, counted from 0, or its name in
        the files.
    """
    if (truth is None) == (second_frame is None):
        raise ConfigurationError("Give either --truth TRUTH.tif, or --second-frame NOISY.tif.")
    if second_frame is not None and model is None:
        raise ConfigurationError(
            "With --second-frame name the --model: its noise model tells how noisy that frame is."
        )
    if out is not None and out.is_dir():
        raise ConfigurationError(f"--out takes a CSV file; {out} is a folder.")
    if out is not None:
        api.check_writable(out.absolute().parent, f"{out} could not be written")
    progress = Progress()
    counts = _span(span)
    number = None if isinstance(channel, str) else channel  # restored images may have no channels
    opened = api.open_images(restored, axes=axes, channel=number, tell=progress.notice)
    stacks = [stack.of_channel(channel) for stack in opened]
    reference = _one(truth or second_frame or "", axes, channel)
    with progress, stop_on_interrupt(progress) as stop:
        if truth is not None or model is None:
            events = api.evaluate(
                stacks, reference, "truth" if counts is None else counts, stop=stop
            )
        else:
            trained = api.load_model(choices.model_folder(model))
            events = api.evaluate_second_frame(trained, stacks, reference, counts, stop=stop)
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
        if out is not None:
            written = api.write_new(out, api.csv_text(*result.table()).encode())
            progress.say(f"Wrote {written}")
        return INTERRUPTED if result.stopped else OK


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


def _one(path: str, axes: str | None, channel: int | str | None) -> FileStack:
    stacks = api.open_images([path])
    if axes is not None and all(len(axes) == len(s.array.shape) for s in stacks):
        stacks = api.open_images([path], axes=axes)
    if len(stacks) != 1:
        raise ConfigurationError(
            f"Give one image to compare with, not the {len(stacks)} of {path}."
        )
    return stacks[0].of_channel(channel)


def _span(text: str) -> float | None:
    if text.strip().lower() in ("truth", "auto"):
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(
            f"--range takes truth (max - min of the truth) or a number of counts, such as 255; {text!r} "
            "is not."
        ) from None
