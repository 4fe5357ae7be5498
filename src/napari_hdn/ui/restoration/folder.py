"""Restoring a folder of TIFF images into another folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    Notice,
    PlaneRestored,
    RestorationConfig,
    RestorationFinished,
    TiffStack,
)
from napari_hdn.ui.restoration.base import Outputs, Restoring
from napari_hdn.ui.sources import FolderSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN


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
    outputs : Outputs
    model, config
        As for `LayersJob`.
    """

    def __init__(
        self,
        source: FolderSource,
        target: Path,
        outputs: Outputs,
        model: HDN,
        config: RestorationConfig,
    ) -> None:
        super().__init__(f"restoring folder {source.name}", model, config)
        self.source = source
        self.target = target
        self.outputs = outputs
        self.written: list[Path] = []

    def work(self) -> Iterator[Any]:
        """Restore, in the worker's thread."""
        began = time.monotonic()
        notices: list[Notice] = []
        stacks = self.source.open(tell=notices.append)
        yield from notices
        for number, stack in enumerate(stacks):
            with ExitStack() as files:
                writers = self._writers(stack)
                for writer in writers.values():
                    files.enter_context(writer)
                for event in self.restored(stacks, number, began):
                    if isinstance(event, PlaneRestored):
                        for product, writer in writers.items():
                            writer.write(event.index, getattr(event, product))
                    elif not isinstance(event, RestorationFinished):
                        yield event
            for writer in writers.values():
                if writer.written is not None:
                    yield Written(writer.written, partial=writer.written != writer.path)
            if self.stop.requested:
                break
        yield RestorationFinished(len(self.written), len(stacks), self.stop.requested)

    def _writers(self, stack: TiffStack) -> dict[str, Any]:
        # a file lies nowhere: a chosen channel needs no axis of its own
        sizes = dict(zip(stack.axes, stack.array.shape, strict=True))
        axes = "".join(a for a in stack.axes if a in stack.leading_axes or a in "YX")
        return api.restoration_writers(
            self.target,
            stack.stem,
            dict.fromkeys(self.outputs.products, "float32"),
            tuple(int(sizes[a]) for a in axes),
            axes,
            model=self.model.name,
            levels_off=self.model.levels_off(self.config),
            pixel_size_um=stack.pixel_size_um,
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
