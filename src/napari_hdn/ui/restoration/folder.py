"""Restoring a folder of images into another folder: the batch of the terminal, in a dock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    BatchFinished,
    BatchLooking,
    BatchProgress,
    BatchRow,
    BatchStarted,
    ImageBegun,
    ImageOver,
    Notice,
    RestorationConfig,
)
from napari_hdn.ui.restoration.base import Restoring
from napari_hdn.ui.sources import FolderSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.direct.student import Direct

_MOST_NOTICES = 200  # the table knows of all images


class FolderJob(Restoring):
    """Restore what is missing of a folder's images, plane by plane, never over an existing file.

    Parameters
    ----------
    source : FolderSource
    target : Path
        The folder to write to.
    model, config, student
        As for `LayersJob`.
    integers : bool
        Whether images in counts get the input's integer type.
    format : {"ome-tiff", "ome-zarr"}
        Of the files.
    again : bool
        Whether to restore also what was done before.

    Attributes
    ----------
    rows : list of BatchRow
        One an image, once they are known.
    begun : int or None
        The number of the image that is being restored.
    planes : (int, int)
        Of this image: done, all.
    table : Path or None
    """

    def __init__(
        self,
        source: FolderSource,
        target: Path,
        model: HDN,
        config: RestorationConfig,
        student: Direct | None = None,
        *,
        integers: bool = False,
        format: api.Format = "ome-tiff",
        again: bool = False,
    ) -> None:
        super().__init__(f"restoring folder {source.name}", model, config, student)
        self.source = source
        self.target = target
        self.integers = integers
        self.format: api.Format = format
        self.again = again
        self.written: list[Path] = []
        self.rows: list[BatchRow] = []
        self.begun: int | None = None
        self.planes = (0, 0)
        self.table: Path | None = None
        self._looked = 0

    def work(self) -> Iterator[Any]:
        """Restore, in the worker's thread."""
        assert self.model is not None
        yield from api.restore_batch(
            self.model,
            [self.source.folder],
            self.config,
            self.target,
            axes=self.source.axes,
            student=self.student,
            integers=self.integers,
            format=self.format,
            again=self.again,
            strict_channel=False,  # an image of a single channel beside others is that channel
            stop=self.stop,
        )

    @property
    def status(self) -> str:
        """One line about where the job is."""
        if self.running and not self.stop.requested:
            if self.begun is not None:
                name = self.rows[self.begun].image
                return f"Restoring {name} ({self.begun + 1} of {len(self.rows)}) ..."
            if self._looked:
                return f"Looking into the folder: {self._looked} files ..."
        return super().status

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case BatchLooking(looked=looked):
                self._looked = looked
            case BatchStarted(rows=rows, table=table):
                self.rows, self.table = list(rows), table
                if told := event.in_words():
                    self.notices.append(
                        Notice(f"{told}. Tick \u201crestore again\u201d to restore all.")
                    )
            case ImageBegun(number=number, planes=planes):
                self.begun, self.planes = number, (0, planes)
            case BatchProgress():
                self.fraction, self.remaining_s = event.fraction, event.remaining_s
                self.planes = (event.planes_done, event.planes)
            case ImageOver(number=number, row=row, paths=paths, spread=spread):
                self.rows[number] = row
                self.recipe = event.recipe or self.recipe
                self.begun = None
                self.written += paths
                if spread is not None:
                    self.notices.append(Notice(spread.in_words()))
            case BatchFinished(stopped=stopped):
                self.rows = list(event.rows)
                self.begun = None
                self.fraction = self.fraction if stopped else 1.0
                verb = "Stopped" if stopped else "Done"
                n = len(self.written)
                files = f"; {n} file{'s' if n != 1 else ''} written to {self.target}" if n else ""
                self.end(f"{verb}: {event.in_words()}{files}.")
        del self.notices[:-_MOST_NOTICES]
