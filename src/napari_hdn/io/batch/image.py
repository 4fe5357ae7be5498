"""One image of a batch: its events into its files, and what came of it into a row."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_hdn.core.errors import (
    AxesError,
    ClusterError,
    ConfigurationError,
    DeviceError,
    HDNError,
    ImageError,
    OutputError,
    is_memory_short,
)
from napari_hdn.core.events import (
    Notice,
    PlaneFailed,
    PlaneRestored,
    RestorationEvent,
    RestorationFinished,
    RestorationProgress,
)
from napari_hdn.core.recipes.making import finished
from napari_hdn.core.recipes.schema import Recipe
from napari_hdn.core.restoring.convergence import MeanSpread
from napari_hdn.io.batch.events import ImageOver
from napari_hdn.io.batch.images import BatchImage
from napari_hdn.io.batch.rows import Row
from napari_hdn.io.images import FileStack
from napari_hdn.io.restorations import RestorationFiles

_NAMES = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}  # that a disk does not take
_MOST_REASON = 500  # characters, of what is told in full while it happens


@dataclass(frozen=True)
class Work:
    """What is done with every image of a batch.

    Attributes
    ----------
    restore : callable
        Gives the events of an image's restoration, but for planes that are done already.
    files : callable
        Gives the files for an image's results, not yet entered, in this folder.
    recipe : callable
        Gives the recipe of an image, after its files were made.
    out : Path
        The folder of the results and of the table.
    asked : str
        Digest of model and settings.
    model, levels_off : str
        For the reader of the table.
    samples : int
        For each image.
    """

    restore: Callable[[FileStack, Collection[tuple[int, ...]]], Iterator[RestorationEvent]]
    files: Callable[[FileStack, Path], RestorationFiles]
    recipe: Callable[[FileStack], Recipe]
    out: Path
    asked: str
    model: str
    levels_off: str
    samples: int


@dataclass
class _Filled:
    """What came of an image so far."""

    done: int = 0
    failed: int = 0
    spread: MeanSpread | None = None
    mixed: bool = False  # of what the file was and became


def restore_image(
    image: BatchImage, row: Row, work: Work, *, alone: bool = False
) -> Iterator[Notice | RestorationProgress | ImageOver]:
    """Restore one image; `ImageOver` tells what came of it.

    Parameters
    ----------
    image : BatchImage
    row : Row
        As expected; its ``files`` were made before.
    work : Work
    alone : bool
        Whether an error is raised even if only this image is to blame.

    Raises
    ------
    HDNError
        What other images would meet, too; after `ImageOver`.
    """
    began, earlier = time.monotonic(), row.files
    row = replace(row, reason="", files=())
    if image.stack is None:
        yield from _unopened(image, row)
        return
    if not alone and not image.unchanged:
        yield from _changed(image, row)
        return
    try:
        files = work.files(image.stack, work.out / image.below)
    except OutputError as error:  # pixels that such a file cannot hold; nothing was written yet
        if alone:
            raise
        yield from _unwritable(image, row, error)
        return
    filled, warnings = _Filled(), []
    blame: Exception | None = None
    try:
        with files:
            yield from files.remarks()
            filled.done = len(files.done)
            files.recipe = work.recipe(image.stack)
            for event in _fill(files, work.restore(image.stack, files.done), filled):
                if isinstance(event, Notice) and event.severity == "warning":
                    warnings.append(event.text)
                yield event
    except Exception as error:
        blame = error
    if blame is None:
        for remark in _remarks(files, filled, work.samples, len(image.stack)):
            warnings.append(remark.text)
            yield remark
        if not image.unchanged:
            mixed = (
                f"{image.name} was changed while it was restored; the result may mix what it was."
            )
            warnings.insert(0, mixed)
            yield Notice(mixed, "warning")
            filled.mixed = True
    paths = tuple(files.written.values())
    if files.kept and blame is None:  # else it stands in the error's notes
        yield Notice(f"{image.name}: {files.kept}")
    if any("-partial" in name for name in earlier) and not files.partial and paths:
        yield Notice(f"Kept what there was of {image.name} before: {', '.join(earlier)}")
    over = replace(
        row,
        done=filled.done,
        failed=filled.failed,
        files=tuple(Path(os.path.relpath(path, work.out)).as_posix() for path in paths),
        clipped=sum(files.clipped.values()) if files.integers else None,
        seconds=time.monotonic() - began,
        when=_now(),
    )
    over = _judged(over, warnings, blame, bool(paths or files.kept))
    if filled.mixed and over.status == "done":
        over = replace(over, status="done in part")
    yield ImageOver(0, over, paths, filled.spread, files.recipe if paths else None)
    if blame is not None:
        if alone or not _only_this(blame):
            raise blame
        told = _in_words(blame)
        name = "" if told.startswith(image.name) else f"{image.name}: "
        yield Notice(f"{name}{told} This image was left out.", "warning")


def _fill(
    files: RestorationFiles, events: Iterator[RestorationEvent], filled: _Filled
) -> Iterator[Notice | RestorationProgress]:
    """Write what is restored, and pass on what is told."""
    for event in events:
        match event:
            case Notice() | RestorationProgress():
                yield event
            case PlaneRestored():
                files.write(event)
                filled.done += event.complete
            case PlaneFailed():
                files.give_up(event.index)
                filled.failed += 1
                yield Notice(f"{event.reason} This plane was left out.", "warning")
            case RestorationFinished(spread=spread):
                filled.spread = spread if "mean" in files.dtypes else None
                assert files.recipe is not None, "made before the work began"
                files.recipe = finished(files.recipe, event)


def _judged(row: Row, warnings: list[str], blame: Exception | None, kept: bool) -> Row:
    """The row with its status and the reason of it."""
    whole = row.planes is not None and (row.done or 0) + (row.failed or 0) >= row.planes
    if blame is not None:
        # of the planes that follow nothing is known: not to be taken for an image with damaged ones
        status, failed = "done in part" if kept else "failed", None
        return replace(row, status=status, failed=failed, reason=_short([_in_words(blame)]))  # type: ignore[arg-type]
    if not whole:
        status = "done in part" if kept else "not yet"
        return replace(row, status=status, reason=_short(["Stopped.", *warnings]))  # type: ignore[arg-type]
    status = "done in part" if row.failed else "done"
    return replace(row, status=status, reason=_short(warnings))  # type: ignore[arg-type]


def _unopened(image: BatchImage, row: Row) -> Iterator[Notice | ImageOver]:
    error = image.error
    # colours, labels: nobody meant these to be restored
    other = isinstance(error, ImageError) and not isinstance(error, AxesError)
    status = "left out" if other else "failed"
    name = "" if str(error).startswith(image.name) else f"{image.name}: "
    yield Notice(f"{name}{error} This image was left out.", "warning")
    yield ImageOver(0, replace(row, status=status, reason=_short([str(error)]), when=_now()))  # type: ignore[arg-type]


def _changed(image: BatchImage, row: Row) -> Iterator[Notice | ImageOver]:
    reason = (
        f"{image.name} was changed or removed after the batch began. Begin it again to restore what "
        "is there now."
    )
    yield Notice(reason, "warning")
    yield ImageOver(0, replace(row, status="failed", reason=reason, when=_now()))


def _unwritable(image: BatchImage, row: Row, error: OutputError) -> Iterator[Notice | ImageOver]:
    yield Notice(f"{image.name}: {error} This image was left out.", "warning")
    yield ImageOver(0, replace(row, status="failed", reason=_short([str(error)]), when=_now()))


def _remarks(files: RestorationFiles, filled: _Filled, samples: int, planes: int) -> list[Notice]:
    """What to know of files that are written."""
    told = []
    for product, clipped in files.clipped.items():
        dtype = files.dtypes[product]
        limits: Any = np.iinfo(dtype)
        total = files.pixels * (samples if product == "samples" else 1)
        told.append(
            f"{clipped:,} of {total:,} restored pixels ({product}) lay outside "
            f"{limits.min}..{limits.max}, which {dtype.name} can hold, and were clipped; float32 "
            "keeps them."
        )
    if filled.failed:
        told.append(
            f"{filled.failed} of {planes} planes are damaged and empty in the files (NaN; 0 in "
            "integers)."
        )
    return [Notice(text, "warning") for text in told]


def _only_this(error: Exception) -> bool:
    """Whether other images may well be restored."""
    if isinstance(error, OutputError):
        return getattr(error.__cause__, "errno", None) in _NAMES
    if isinstance(error, ConfigurationError | DeviceError | ClusterError):
        return False
    return isinstance(error, HDNError) or is_memory_short(error)


def _in_words(error: Exception) -> str:
    if isinstance(error, HDNError):
        return str(error)
    if is_memory_short(error):
        return "There was not enough memory for it."
    return f"An unexpected error: {error!r}"


def _short(reasons: list[str]) -> str:
    text = " ".join(" ".join(reasons).split())
    return text if len(text) <= _MOST_REASON else f"{text[: _MOST_REASON - 4]} ..."


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
