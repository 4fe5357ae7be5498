"""Calibrating a noise model, with what was found as text."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hdn import api
from napari_hdn.api import (
    CalibrationConfig,
    CalibrationFinished,
    CalibrationProgress,
    ImageStack,
    Notice,
    Stop,
)
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import ConfigurationError, NoiseModelError, OutputError

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration

SIGNS = {"good": "✓", "doubtful": "!", "bad": "✗"}
_WIDTH = 100


def calibrate(
    stacks: Sequence[ImageStack],
    config: CalibrationConfig,
    out: Path,
    progress: Progress,
    stop: Stop,
    *,
    dark: ImageStack | None = None,
    clean: ImageStack | None = None,
    meant_for: Sequence[ImageStack] | None = None,
) -> Path:
    """Calibrate, tell what was found, write the noise model and return its path."""
    finished: CalibrationFinished | None = None
    steps = api.calibrate(
        stacks, config, dark=dark, clean=clean, meant_for=meant_for or None, stop=stop
    )
    for event in steps:
        match event:
            case Notice():
                progress.notice(event)
            case CalibrationProgress():
                progress.update(event.fraction, event.doing, event.remaining_s)
            case CalibrationFinished():
                finished = event
    assert finished is not None, "a calibration ends with CalibrationFinished"
    for line in report(finished.calibration):
        progress.say(line)
    path = _saved(finished.calibration, out)
    progress.say(f"Wrote {path}")
    return path


def check_place(out: Path, model: str) -> None:
    """Find out before measuring whether the result could be written.

    Raises
    ------
    ConfigurationError, OutputError
        If not.
    """
    suffix = out.suffix.lower()
    if suffix not in (".json", ".npz"):
        raise ConfigurationError(
            f"--out takes a .json, or an .npz for a GMM; {out.name} ends in neither."
        )
    if suffix == ".npz" and model != "gmm":
        raise ConfigurationError("An .npz holds a GMM; add --model gmm, or write a .json.")
    if out.exists():
        raise OutputError(f"{out} exists already and was left alone; choose another name.")
    api.check_writable(out.absolute().parent, f"{out} could not be written")


def _saved(calibration: Calibration, out: Path) -> Path:
    """Write it; where there is no room for it any more, among the saved noise models.

    Raises
    ------
    OutputError
        If it could not be written to its place; it says where it is.
    """
    try:
        return api.save_calibration(calibration, out)
    except OutputError as error:
        other = api.free_path(api.noise_models_folder() / f"{out.stem}.json")
        if other.parent == out.absolute().parent:
            raise
        kept = api.save_calibration(calibration, other)
        raise OutputError(f"{error} The noise model is in {kept} instead.") from error


def report(calibration: Calibration) -> list[str]:
    """What was found, line by line; checks with a sign, a number and what to do."""
    source = calibration.source.replace("_", " ")
    lines = [
        f"Noise: {calibration.noise_model.describe()}",
        f"Source: {source} ({calibration.reason})",
    ]
    for check in calibration.checks:
        lines += _wrapped(f"{SIGNS[check.verdict]} {check.name:<13}", check.text)
        if check.advice:
            lines += _wrapped(" " * 15, f"> {check.advice}")
    for remark in calibration.remarks:
        lines += _wrapped("  note         ", remark)
    return lines


def _wrapped(begin: str, text: str) -> list[str]:
    width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=f"{begin} ",
        subsequent_indent=" " * (len(begin) + 1),
        break_on_hyphens=False,
    )


def one_stack(path: str | None, axes: str | None, progress: Progress) -> ImageStack | None:
    """A single image file, such as dark frames.

    Raises
    ------
    ConfigurationError
        If the path names several.
    """
    if path is None:
        return None
    stacks = api.open_images([path], axes=axes, tell=progress.notice)
    if len(stacks) != 1:
        raise ConfigurationError(f"Give one file, not the {len(stacks)} images of {path}.")
    return stacks[0]


def box(text: str, option: str = "--background") -> tuple[int, int, int, int]:
    """``y0:y1,x0:x1`` in pixels.

    Raises
    ------
    ConfigurationError
        If it is not that.
    """
    found = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", text)
    if found is None:
        raise ConfigurationError(
            f"{option} takes a region as y0:y1,x0:x1 in pixels, such as 0:64,100:200; {text!r} "
            "is not."
        )
    y0, y1, x0, x1 = (int(v) for v in found.groups())
    return y0, y1, x0, x1


def check_trusted(path: Path | None, progress: Progress, *, anyway: bool) -> None:
    """Before training with a noise model that failed a check, ask whether to.

    Raises
    ------
    NoiseModelError
        If the user would rather not.
    """
    if path is None:
        return
    calibration = api.load_calibration(path)
    failed = getattr(calibration, "bad", ())
    if not failed:
        return
    for check in failed:
        for line in _wrapped(f"{SIGNS['bad']} {check.name:<13}", f"{check.text} {check.advice}"):
            progress.say(line)
    if anyway or not sys.stdin.isatty():
        progress.say(
            f"Warning: {path.name} failed {len(failed)} of its checks; training all the same."
        )
        return
    if input(f"{path.name} failed these checks. Train with it? [y/N] ").strip().lower()[:1] != "y":
        raise NoiseModelError("Not trained; calibrate again, or leave out --noise.")
