"""Restoring a folder of TIFF images into another folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    FileStack,
    Notice,
    PlaneFailed,
    PlaneRestored,
    RestorationConfig,
    RestorationFinished,
)
from napari_hdn.core.errors import DamagedPlaneError
from napari_hdn.ui.restoration.base import RecipeMade, Restoring
from napari_hdn.ui.sources import FolderSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.direct.student import Direct


@dataclass(frozen=True)
class Written:
    """A file was finished."""

    path: Path
    partial: bool


class FolderJob(Restoring):
    """Restore a folder of TIFFs into OME-TIFFs, plane by plane, never over an existing file.

    Parameters
    ----------
    source : FolderSource
    target : Path
        The folder to write to.
    model, config, student
        As for `LayersJob`.
    """

    def __init__(
        self,
        source: FolderSource,
        target: Path,
        model: HDN,
        config: RestorationConfig,
        student: Direct | None = None,
    ) -> None:
        super().__init__(f"restoring folder {source.name}", model, config, student)
        self.source = source
        self.target = target
        self.written: list[Path] = []

    def work(self) -> Iterator[Any]:
        """Restore, in the worker's thread."""
        began = time.monotonic()
        notices: list[Notice] = []
        stacks = self.source.open(tell=notices.append)
        yield from notices
        for number, stack in enumerate(stacks):
            files = self._files(stack)
            try:
                with files:
                    for event in self.restored(stacks, number, began):
                        if isinstance(event, PlaneRestored):
                            files.write(event)
                        elif isinstance(event, PlaneFailed):
                            files.give_up(event.index)
                        elif isinstance(event, RecipeMade):
                            files.recipe = event.recipe
                            yield event
                        elif not isinstance(event, RestorationFinished):
                            yield event
            except DamagedPlaneError as error:
                if len(stacks) == 1:
                    raise
                yield Notice(f"{error} This image was left out.", "warning")
            for path in files.written.values():
                yield Written(path, partial=files.partial)
            if self.stop.requested:
                break
        yield RestorationFinished(len(self.written), len(stacks), self.stop.requested)

    def _files(self, stack: FileStack) -> api.RestorationFiles:
        assert self.model is not None
        return api.RestorationFiles(
            self.target,
            stack,
            self.config,
            with_recipe=True,
            model=self.model.name
            + ("" if self.student is None else f", direct network {self.student.name}"),
            levels_off=self.model.levels_off(self.config),
        )

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case Written(path=path, partial=partial):
                self.written.append(path)
                self.notices.append(Notice(f"{path.name}{' (in part)' if partial else ''}"))
            case RestorationFinished(stopped=stopped):
                n = len(self.written)
                verb = "Stopped" if stopped else "Done"
                self.fraction = self.fraction if stopped else 1.0
                self.end(f"{verb}: {n} file{'s' if n != 1 else ''} written to {self.target}.")
