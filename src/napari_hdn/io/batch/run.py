"""A batch: image after image into a folder, with what came of each in a table.

An image that cannot be read ends nothing but itself. What would go wrong with every image (a full disk,
settings that contradict the model, a folder that is gone) ends the batch, with the table as far as
it came; begun again, it does only what is missing.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from napari_hdn.core.errors import ImageFileError
from napari_hdn.core.events import Notice, RateLimit, RestorationProgress, Stop
from napari_hdn.io.batch.events import (
    BatchEvent,
    BatchFinished,
    BatchProgress,
    BatchStarted,
    ImageBegun,
    ImageOver,
)
from napari_hdn.io.batch.image import Work, restore_image
from napari_hdn.io.batch.images import BatchImage
from napari_hdn.io.batch.rows import Row
from napari_hdn.io.batch.table import BatchTable, known_rows


def run(
    images: Sequence[BatchImage],
    folder: Path,
    work: Work,
    *,
    again: bool = False,
    stop: Stop | None = None,
) -> Iterator[BatchEvent]:
    """Restore what is missing of a batch.

    Parameters
    ----------
    images : sequence of BatchImage
    folder : Path
        That all images lie below.
    work : Work
    again : bool
        Whether to restore everything again; older results stay.
    stop : Stop, optional

    Yields
    ------
    BatchEvent
        `BatchStarted` first, `BatchFinished` last.

    Raises
    ------
    OutputError, ConfigurationError
        Where no other image could be restored either.
    ImageFileError
        If the folder of the images is gone.
    """
    stop = stop or Stop()
    known = _known(folder)
    rows, todo = plan(images, seen_from(work.out, folder), work, again=again)
    with BatchTable(work.out) as table:
        table.expect(rows)
        before = len(rows) - len(todo)
        yield BatchStarted(tuple(rows), before, table.path)
        yield from _remarks_before(rows, todo)
        told: set[str] = set()  # what is the same for all images is told once
        clock = _Clock([images[number].work for number in todo])
        for turn, number in enumerate(todo):
            if stop.requested:
                break
            image = images[number]
            if image.stack is not None:
                yield ImageBegun(number, image.name, len(image.stack))
            for event in restore_image(image, rows[number], work):
                match event:
                    case RestorationProgress():
                        if progress := clock.progress(turn, event, number, image):
                            yield progress
                    case Notice(text=text):
                        if text not in told:
                            yield event
                        told.add(text)
                    case ImageOver(row=row):
                        rows[number] = row
                        table.put(row)
                        yield replace(event, number=number)
            now = _known(folder) if rows[number].status != "done" else known
            if now is None or now != known:
                raise ImageFileError(
                    f"The folder {folder} is gone (a network drive?), so the batch ended there. "
                    "Begin it again when the folder is back: it does what is missing."
                )
    yield BatchFinished(tuple(rows), before, table.path, stop.requested)


def _known(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from the empty place that is left where a drive was; None if it is gone."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def run_alone(image: BatchImage, work: Work, *, stop: Stop | None = None) -> Iterator[BatchEvent]:
    """Restore an image that was named alone: without a table, new files numbered, errors raised.

    Raises
    ------
    HDNError
        Whatever went wrong.
    """
    if image.stack is None:
        assert image.error is not None
        raise image.error
    row = expected(image, "", work)
    yield BatchStarted((row,), 0, None)
    yield ImageBegun(0, image.name, len(image.stack))
    for event in restore_image(image, row, work, alone=True):
        match event:
            case RestorationProgress():
                yield BatchProgress(
                    event.fraction, event.elapsed_s, event.remaining_s, 0, image.name,
                    int(event.fraction * len(image.stack)), len(image.stack),
                )  # fmt: skip
            case ImageOver():
                row = event.row
                yield event
            case _:
                yield event
    yield BatchFinished((row,), 0, None, stop is not None and stop.requested)


def expected(image: BatchImage, source: str, work: Work) -> Row:
    """The row of an image of which nothing has come yet."""
    return Row(
        image.name,
        planes=None if image.stack is None else len(image.stack),
        model=work.model,
        levels_off=work.levels_off,
        size=image.size,
        modified=image.modified,
        plate=image.plate,
        well=image.well,
        field=image.field,
        source=source,
        asked=work.asked,
    )


def plan(
    images: Sequence[BatchImage], source: str, work: Work, *, again: bool
) -> tuple[list[Row], list[int]]:
    """One row for each image, and the numbers of those that are still to be restored."""
    known = known_rows(work.out)
    rows, todo = [], []
    for number, image in enumerate(images):
        row = expected(image, source, work)
        before = known.get(row.key)
        reason = "" if before is None else _missing(before, row, image, work.out, again=again)
        if before is not None and not reason:
            rows.append(before)
            continue
        todo.append(number)
        # what was made before is not forgotten until there is something better
        files = () if before is None else before.files
        rows.append(replace(row, reason=reason, files=files))
    return rows, todo


def _missing(before: Row, now: Row, image: BatchImage, out: Path, *, again: bool) -> str:
    """Why an image is restored although the table knows it; nothing where it is not."""
    if not before.over:
        return before.reason or before.status
    if (before.size, before.modified) != (now.size, now.modified):
        return CHANGED
    if not before.files or not all(_is_there(out / name) for name in before.files):
        return GONE
    if before.failed and image.written_since(before.when):
        return MENDED
    return AGAIN if again else ""


def _is_there(path: Path) -> bool:
    """Whether there is a result, and not an empty file that a power cut left of it."""
    try:
        return path.is_dir() or path.stat().st_size > 0
    except OSError:
        return False


CHANGED = "the image was changed since it was restored"
GONE = "results of it are gone"
MENDED = "some of its planes were damaged, and its files were written to since then"
AGAIN = "to be restored again"


def _remarks_before(rows: Sequence[Row], todo: Sequence[int]) -> Iterator[Notice]:
    for reason in (CHANGED, GONE, MENDED):
        which = [rows[number].image for number in todo if rows[number].reason == reason]
        if which:
            names = ", ".join(which[:3]) + (" ..." if len(which) > 3 else "")
            yield Notice(f"Restored again, as {reason}: {names}")


def seen_from(here: Path, folder: Path) -> str:
    """The way from one folder to another, so that both can be moved together."""
    try:
        return Path(os.path.relpath(folder, here)).as_posix()
    except ValueError:  # another drive
        return Path(os.path.abspath(folder)).as_posix()


class _Clock:
    """Tells how far a batch is, and how long it will still take, a few times a second."""

    def __init__(self, work: Sequence[int]) -> None:
        self._work = work
        self._total = max(1, sum(work))
        self._before = [sum_ - own for sum_, own in zip(accumulate(work), work, strict=True)]
        self._began = time.monotonic()
        self._limit = RateLimit()

    def progress(
        self, turn: int, event: RestorationProgress, number: int, image: BatchImage
    ) -> BatchProgress | None:
        if not self._limit.ready():
            return None
        fraction = (self._before[turn] + event.fraction * self._work[turn]) / self._total
        elapsed = time.monotonic() - self._began
        left = elapsed * (1 / fraction - 1) if fraction else math.inf
        planes = 0 if image.stack is None else len(image.stack)
        done = int(event.fraction * planes)
        return BatchProgress(fraction, elapsed, left, number, image.name, done, planes)
