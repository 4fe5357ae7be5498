"""Looking at the latent levels of a model: what piece of what image, and the files about it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import napari_hdn
from napari_hdn import api
from napari_hdn.api import (
    FileStack,
    InspectionFinished,
    InspectionProgress,
    JobInput,
    JobRecipe,
    LevelsSettings,
    Stop,
)
from napari_hdn.cli import level_report
from napari_hdn.cli.calibration import box
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.config import DeviceName
from napari_hdn.core.errors import ConfigurationError, StoppedEarly

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.levels.inspection import Inspection

Box = tuple[int, int, int, int]  # y0, y1, x0, x1 in pixels

MOST_SAMPLES = 24
DRAWN_PX = 512  # longest side of the images that are drawn
ORIGINS: dict[Literal["image", "prior"], str] = {
    "image": "from this image",
    "prior": "from the prior",
}


@dataclass(frozen=True)
class Piece:
    """A part of one plane of an image.

    Attributes
    ----------
    stack : FileStack
    index : tuple of int
        Of the plane, along the leading axes.
    region : (y0, y1, x0, x1)
        Pixels of the plane.
    background : tuple of (y0, y1, x0, x1)
        Regions of noise alone that the user named; pixels of the plane.
    """

    stack: FileStack
    index: tuple[int, ...]
    region: Box
    background: tuple[Box, ...] = ()

    @property
    def counts(self) -> np.ndarray:
        """(Y, X) camera counts."""
        y0, y1, x0, x1 = self.region
        return self.stack.crop(self.index, slice(y0, y1), slice(x0, x1))

    @property
    def boxes(self) -> list[Box] | None:
        """The background, in pixels of the region; None to look for it."""
        top, _, left, _ = self.region
        found = [(y0 - top, y1 - top, x0 - left, x1 - left) for y0, y1, x0, x1 in self.background]
        return found or None

    @property
    def at(self) -> dict[str, int]:
        """The plane's place by axis letter."""
        return dict(zip(self.stack.leading_axes, self.index, strict=True))

    @property
    def recorded(self) -> JobInput:
        """What a recipe says of it."""
        height, width = self.stack.plane_shape
        whole = self.region == (0, height, 0, width)
        return JobInput("image", self.stack, self.index, None if whole else self.region)

    @property
    def pixel_um(self) -> float | None:
        """Side of a pixel, where the file tells it and pixels are square."""
        sizes = self.stack.pixel_size_um
        y, x = sizes.get("Y"), sizes.get("X")
        return x if x and y and abs(x - y) < 0.01 * x else None

    def in_words(self) -> str:
        """Which image, plane, channel and region this is."""
        parts = [self.stack.name, *(f"{axis} {place}" for axis, place in self.at.items())]
        if self.stack.channel is not None:
            parts.append(f"channel {self.stack.channel}")
        y0, y1, x0, x1 = self.region
        if (y1 - y0, x1 - x0) != self.stack.plane_shape:
            parts.append(f"y {y0} to {y1}, x {x0} to {x1}")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "file": str(self.stack.path.absolute()),
            "image": self.stack.name,
            "axes": self.stack.axes,
            "plane": self.at,
            "channel": self.stack.channel,
            "region": list(self.region),
            "background": [list(b) for b in self.background],
            "pixel_size_um": self.stack.pixel_size_um,
        }


def one_image(
    path: str, axes: str | None, channel: int | str | None, progress: Progress
) -> FileStack:
    """The image in a file, with one channel chosen where it has several.

    Raises
    ------
    ConfigurationError
        If there are several images, or channels of which none was chosen.
    """
    stacks = api.open_images([path], axes=axes, channel=channel, tell=progress.notice)
    if len(stacks) != 1:
        raise ConfigurationError(f"Give one image, not the {len(stacks)} of {path}.")
    (stack,) = stacks
    if "C" not in stack.axes or channel is not None:
        return stack
    count = stack.array.shape[stack.axes.index("C")]
    if count > 1:
        raise ConfigurationError(
            f"{stack.name} has {count} channels{_names(stack)}; say which to look at, such as "
            "--channel 0."
        )
    return stack.of_channel(0)


def _names(stack: FileStack) -> str:
    names = stack.metadata.channel_names
    return f" ({', '.join(names)})" if names else ""


def choose_piece(
    stack: FileStack, index: str | None, region: str | None, background: Sequence[str]
) -> Piece:
    """The part of an image that a user named.

    Raises
    ------
    ConfigurationError
        If there is no such plane, or a region lies outside.
    """
    height, width = stack.plane_shape
    whole = (0, height, 0, width)
    chosen = whole if region is None else box(region, "--region")
    _check_inside("--region", chosen, whole, f"{stack.name} of {height} x {width} px (y, x)")
    named = tuple(box(text) for text in background)
    for one in named:
        where = (
            "the --region" if chosen != whole else f"{stack.name} of {height} x {width} px (y, x)"
        )
        _check_inside("--background", one, chosen, where)
    return Piece(stack, _plane_of(stack, index), chosen, named)


def _check_inside(option: str, inner: Box, outer: Box, where: str) -> None:
    y0, y1, x0, x1 = inner
    if y0 >= y1 or x0 >= x1:
        raise ConfigurationError(f"{option} y {y0} to {y1}, x {x0} to {x1} holds no pixels.")
    if y0 < outer[0] or y1 > outer[1] or x0 < outer[2] or x1 > outer[3]:
        raise ConfigurationError(f"{option} y {y0} to {y1}, x {x0} to {x1} lies outside {where}.")


def _plane_of(stack: FileStack, text: str | None) -> tuple[int, ...]:
    if text is None:
        return (0,) * len(stack.leading_shape)
    return plane_index(stack.name, stack.leading_axes, stack.leading_shape, text)


def plane_index(name: str, axes: str, shape: tuple[int, ...], text: str) -> tuple[int, ...]:
    """A plane that a user named, along the leading axes of an image.

    Raises
    ------
    ConfigurationError
        If there is none such.
    """
    try:
        index = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(
            f"--index takes the number of a plane, such as 3, or 3,10; {text!r} is not."
        ) from None
    sizes = ", ".join(f"{axis} 0 to {n - 1}" for axis, n in zip(axes, shape, strict=True))
    if not shape:
        raise ConfigurationError(f"{name} is a single plane; leave out --index.")
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=True)):
        raise ConfigurationError(f"{name} has no plane {text}; its planes are {sizes}.")
    return index


def look(
    model: HDN,
    piece: Piece,
    folder: Path,
    progress: Progress,
    stop: Stop,
    *,
    samples: int,
    seed: int,
    device: DeviceName,
) -> JobRecipe:
    """Inspect, tell what was found, write it, draw the samples; return what was done.

    Raises
    ------
    StoppedEarly
        If the user stopped before there was anything to write.
    """
    counts = piece.counts
    if len(piece.stack) > 1:
        progress.say(f"Looking at {piece.in_words()} of {_sizes(piece.stack)} (--index).")
    inspection = _inspected(model, piece, counts, progress, stop, device)
    paths = api.level_paths(folder, piece.stack.stem)
    where = piece.in_words()
    recipe = api.job_recipe(
        "levels",
        LevelsSettings(
            background=piece.background or None, samples=samples, seed=seed, device=device
        ),
        [piece.recorded],
        model=model,
    )
    api.write_contributions(
        paths,
        inspection.decomposition,
        model=model.name,
        where=where,
        metadata=piece.stack.own_metadata,
    )
    report = level_report.report(inspection, where, piece.pixel_um)
    record = piece.to_json() | {"version": napari_hdn.__version__} | inspection.to_json()
    written = {kind: paths[kind] for kind in ("contributions", "mean")}
    written["scores"] = api.write_new(paths["scores"], _json(record))
    written["report"] = api.write_new(paths["report"], "\n".join([*report, ""]).encode())
    for line in report:
        progress.say(line)
    progress.say("")
    for path in written.values():
        progress.say(f"Wrote {path}")
    try:
        picture = _drawn(model, counts, progress, stop, samples=samples, seed=seed, device=device)
        if picture is not None:
            written["samples"] = api.write_new(paths["samples"], picture)
            progress.say(f"Wrote {written['samples']}")
        else:
            progress.say(f"Stopped: {paths['samples'].name} was not drawn.")
    finally:  # what is written has its recipe, even if the images cannot be drawn
        done, path = api.write_job_recipe(
            recipe, written, paths["recipe"], complete="samples" in written
        )
        progress.say(f"Wrote {path}")
    return done


def _inspected(
    model: HDN, piece: Piece, counts: np.ndarray, progress: Progress, stop: Stop, device: str
) -> Inspection:
    inspection = None
    for event in api.inspect_levels(
        model, counts, boxes=piece.boxes, device=device, stop=stop, name=piece.stack.name
    ):
        match event:
            case InspectionProgress():
                text = f"looking at the levels of {model.name}"
                progress.update(event.fraction, text, event.remaining_s)
            case InspectionFinished():
                inspection = event.inspection
    if inspection is None:
        raise StoppedEarly("Stopped before the levels were known; nothing was written.")
    return inspection


def _drawn(
    model: HDN,
    counts: np.ndarray,
    progress: Progress,
    stop: Stop,
    *,
    samples: int,
    seed: int,
    device: str,
) -> bytes | None:
    """The paper's Figure 3 of the middle of a piece, as a PNG; None if stopped."""
    ys, xs = (slice((n - min(n, DRAWN_PX)) // 2, (n + min(n, DRAWN_PX)) // 2) for n in counts.shape)
    middle = counts[ys, xs]
    groups: dict[str, np.ndarray] = {}
    started = time.monotonic()
    for number, (origin, title) in enumerate(ORIGINS.items()):
        steps = api.draw_levels(
            model, middle, origin=origin, samples=samples, seed=seed, device=device, stop=stop
        )
        for step in steps:
            if isinstance(step, np.ndarray):
                groups[title] = step[::-1]  # top level first
            else:
                fraction = (number + step) / len(ORIGINS)
                left = (time.monotonic() - started) * (1 / fraction - 1)
                progress.update(fraction, f"drawing images {title}", left)
        if title not in groups:
            return None
    n = model.config.network.levels
    return api.grid_png(groups, [f"level {level}" for level in range(n, 0, -1)])


def _json(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False)
    numbers = re.compile(r"\[[-\d.,e\s]+\]")  # a row of them on a line
    return f"{numbers.sub(lambda row: ' '.join(row[0].split()), text)}\n".encode()


def _sizes(stack: FileStack) -> str:
    return " x ".join(
        f"{n} {a}" for a, n in zip(stack.leading_axes, stack.leading_shape, strict=True)
    )
