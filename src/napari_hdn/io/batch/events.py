"""What a batch tells while it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from napari_hdn.core.events import Notice
from napari_hdn.core.recipes.schema import Recipe
from napari_hdn.core.restoring.convergence import MeanSpread
from napari_hdn.io.batch.rows import Row


@dataclass(frozen=True)
class BatchLooking:
    """Images are being opened: how many files were."""

    looked: int


@dataclass(frozen=True)
class BatchStarted:
    """Before the first image.

    Attributes
    ----------
    rows : tuple of Row
        One an image; those that were done before say so.
    before : int
        How many were restored before with the same settings, and are not done again.
    table : Path or None
        None where an image is restored without a table.
    """

    rows: tuple[Row, ...]
    before: int
    table: Path | None

    def in_words(self) -> str:
        """What is not done again, if anything."""
        n, total = self.before, len(self.rows)
        if not n:
            return ""
        was, again = ("was", "is") if n == 1 else ("were", "are")
        images = f"image{'s' if total != 1 else ''}"
        return (
            f"{n} of {total} {images} {was} restored before with the same settings and {again} not "
            "done again"
        )


@dataclass(frozen=True)
class ImageBegun:
    """An image's turn has come; ``number`` in ``BatchStarted.rows``, from 0."""

    number: int
    name: str
    planes: int


@dataclass(frozen=True)
class BatchProgress:
    """Where the batch is: ``fraction`` of all pixels to restore, 0..1, and where its image is."""

    fraction: float
    elapsed_s: float
    remaining_s: float
    number: int
    name: str
    planes_done: int
    planes: int


@dataclass(frozen=True)
class ImageOver:
    """An image is done, or nothing came of it: ``row.status`` says which.

    ``recipe`` is what is written beside ``paths``, where there are some.
    """

    number: int
    row: Row
    paths: tuple[Path, ...] = ()
    spread: MeanSpread | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class BatchFinished:
    """The last event of every batch, stopped or not.

    Attributes
    ----------
    rows : tuple of Row
        One an image.
    before : int
        How many were restored before.
    table : Path or None
    stopped : bool
    """

    rows: tuple[Row, ...]
    before: int
    table: Path | None
    stopped: bool

    @property
    def complete(self) -> bool:
        """Whether every image is restored with all its planes, but for those that are no such image."""
        return all(row.status in ("done", "left out") for row in self.rows)

    def in_words(self) -> str:
        """How many images are done, and what is not."""
        counts = Counter(row.status for row in self.rows)
        total = len(self.rows)
        done = counts.pop("done", 0)
        text = f"{done} of {total} image{'s' if total != 1 else ''} restored"
        if self.before:
            text += f" ({self.before} of them before)"
        parts = [f"{n} {status}" for status, n in counts.items()]
        if clipped := sum(row.clipped or 0 for row in self.rows):
            images = sum(bool(row.clipped) for row in self.rows)
            where = f"{images} image{'s' if images != 1 else ''}"
            parts.append(f"{clipped:,} pixels clipped in {where}")
        return ", ".join([text, *parts])


BatchEvent = (
    Notice | BatchLooking | BatchStarted | ImageBegun | BatchProgress | ImageOver | BatchFinished
)
