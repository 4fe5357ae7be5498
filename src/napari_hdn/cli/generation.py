"""Generating images, and the files about it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hdn import api
from napari_hdn.api import FileStack, GenerationConfig, JobInput, JobRecipe, Notice, Stop
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import ConfigurationError, StoppedEarly

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.recipes.jobs import JobImage

COMPARED = 4  # real pieces beside as many generated ones
_SHOWN_PX = 256  # of a side in the picture
_MADE = 0.9  # share of the time, where there is something to compare with


def size_of(text: str) -> tuple[int, int]:
    """``512x768`` as height and width in pixels; ``512`` for both.

    Raises
    ------
    ConfigurationError
        If it is neither.
    """
    found = re.fullmatch(r"\s*(\d+)\s*(?:[x×*,]\s*(\d+)\s*)?", text, re.IGNORECASE)
    if found is None:
        raise ConfigurationError(
            f"--size takes height x width in pixels, such as 512x768; {text!r} is not."
        )
    height = int(found[1])
    return height, int(found[2] or height)


def generate(
    model: HDN,
    config: GenerationConfig,
    real: FileStack | None,
    folder: Path,
    progress: Progress,
    stop: Stop,
    like: JobImage | None = None,
) -> JobRecipe:
    """Generate, write, compare where there is something to compare with; return what was done.

    ``like`` tells which part of the real image the counts are taken from; by default its first plane.

    Raises
    ------
    StoppedEarly
        If the user stopped before there was an image.
    """
    plane, inputs = None, []
    if real is not None:
        index = next(real.indices()) if like is None or like.plane is None else like.plane
        region = None if like is None else like.region
        y0, y1, x0, x1 = region or (0, real.plane_shape[0], 0, real.plane_shape[1])
        plane = real.crop(index, slice(y0, y1), slice(x0, x1))
        inputs = [JobInput("real image", real, index, region)]
    recipe = api.job_recipe("generation", config, inputs, model=model, stop=stop)
    told = api.generation_remarks(model, config, chosen=plane is not None)
    if real is not None and plane is not None:
        told.append(api.range_remark(model, plane, real.name))
    for remark in filter(None, told):
        progress.notice(Notice(remark, "warning"))
    paths = api.generation_paths(folder, model.name)
    writer = api.generation_writer(
        paths["images"],
        (config.number, config.height, config.width),
        model=model.name,
        seed=config.seed,
        levels_off=sorted({*model.config.network.deactivated_levels, *config.deactivated_levels}),
        camera_noise=config.camera_noise,
        metadata=api.NO_METADATA if real is None else real.own_metadata,
    )
    first: list[np.ndarray] = []
    with writer as file:
        share = 1.0 if real is None else _MADE
        for number, image in _images(model, config, plane, progress, stop, share):
            file.write((number,), image)
            if real is not None and number < COMPARED:
                first.append(_middle(image, 2 * _SHOWN_PX))
    if writer.written is None:
        raise StoppedEarly("Stopped before an image was done; nothing was written.")
    progress.say(f"Wrote {writer.written}")
    written = {"images": writer.written}
    if real is not None and not stop.requested:
        written |= _compared(model, config, real, first, paths["comparison"], progress, stop)
    beside = paths["recipe"]
    if "-partial" in writer.written.name:
        beside = beside.with_name(f"{beside.stem}-partial.json")
    done, path = api.write_job_recipe(recipe, written, beside, complete=not stop.requested)
    progress.say(f"Wrote {path}")
    return done


def _images(
    model: HDN,
    config: GenerationConfig,
    like: np.ndarray | None,
    progress: Progress,
    stop: Stop,
    share: float,
) -> Iterator[tuple[int, np.ndarray]]:
    number, started = 0, time.monotonic()
    for part in api.generate(model, config, like=like, stop=stop):
        if isinstance(part, np.ndarray):
            yield number, part
            number += 1
        else:
            left = (time.monotonic() - started) * (1 / (share * part) - 1)
            progress.update(share * part, f"generating image {number + 1} of {config.number}", left)


def _compared(
    model: HDN,
    config: GenerationConfig,
    real: FileStack,
    generated: list[np.ndarray],
    path: Path,
    progress: Progress,
    stop: Stop,
) -> dict[str, Path]:
    held = _held(model, config, real, generated, progress, stop)
    if held is None:
        progress.say(f"Stopped: {path.name} was not made.")
        return {}
    what = "raw" if config.camera_noise else "restored"
    likeness = api.compare_with_real(list(held), generated)
    progress.say(likeness.in_words(model.config.network.multiple))
    height, width = (min(n, _SHOWN_PX) for n in held.shape[1:])
    ours, theirs = (
        np.stack([_middle(i, height, width) for i in g[: len(held)]]) for g in (held, generated)
    )
    rows = [str(i + 1) for i in range(len(ours))]
    limits = tuple(float(v) for v in np.quantile(ours, [0.002, 0.998]))
    picture = api.grid_png(
        {f"real, {what}": ours[:, None], "generated": theirs[:, None]},
        rows,
        limits=(limits[0], limits[1]),
    )
    written = api.write_new(path, picture)
    progress.say(f"Wrote {written}")
    return {"comparison": written}


def _held(
    model: HDN,
    config: GenerationConfig,
    real: FileStack,
    generated: list[np.ndarray],
    progress: Progress,
    stop: Stop,
) -> np.ndarray | None:
    """(N, Y, X) pieces of the real image: raw ones, or restored; None if stopped."""
    height, width = generated[0].shape
    pieces = api.real_pieces(real, (height, width), len(generated), config.seed)
    if config.camera_noise:
        return np.stack(pieces)
    for part in api.restored_pieces(model, pieces, config, stop=stop):
        if isinstance(part, np.ndarray):
            return part
        progress.update(_MADE + (1 - _MADE) * part, f"restoring {real.name}", 0.0)
    return None


def _middle(image: np.ndarray, height: int, width: int | None = None) -> np.ndarray:
    """The middle of a (Y, X) image, at most so large."""
    wanted = (height, width or height)
    y, x = (max(0, (n - m) // 2) for n, m in zip(image.shape, wanted, strict=True))
    return image[y : y + wanted[0], x : x + wanted[1]]
