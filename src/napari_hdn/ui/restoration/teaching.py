"""Teaching a model's direct network, which restores in one cheap pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    DirectConfig,
    DistillationFinished,
    DistillationProgress,
    DistillationValidated,
    HDNError,
    Notice,
)
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.sources import Source

if TYPE_CHECKING:
    from napari_hdn.api import HDN


class TeachingJob(Job):
    """Teach a direct network, and save it with its model.

    Parameters
    ----------
    model : HDN
    sources : list of Source
        Images like those that will be restored.
    config : DirectConfig

    Raises
    ------
    HDNError
        If the model is not saved yet.
    """

    kind = "distillation"

    def __init__(self, model: HDN, sources: list[Source], config: DirectConfig) -> None:
        super().__init__(f"teaching a direct network of {model.name}")
        if model.folder is None:
            raise HDNError("Save the model first; its direct network lies in its folder.")
        self.folder = model.folder
        self.model: HDN | None = model  # until the job is over
        self.sources = sources
        self.config = config
        self._validated = ""

    @property
    def status(self) -> str:
        """With how near it has come."""
        return super().status + (self._validated if self.running else "")

    def work(self) -> Iterator[Any]:
        """Teach, in the worker's thread."""
        assert self.model is not None and self.folder is not None
        notices: list[Notice] = []
        stacks = [s for source in self.sources for s in source.open(tell=notices.append)]
        yield from notices
        off = {*self.model.config.network.deactivated_levels}
        off |= {*(self.config.deactivated_levels or ())}
        place = api.reserve_direct_folder(Path(self.folder), self.config.learns, sorted(off))
        try:
            yield from api.distil(self.model, stacks, self.config, folder=place, stop=self.stop)
        finally:
            with suppress(OSError):  # not empty: the direct network is in it
                place.rmdir()

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case DistillationProgress(fraction=fraction, remaining_s=remaining):
                self.fraction, self.remaining_s = fraction, remaining
            case DistillationValidated(loss_db=loss):
                self._validated = f" {loss:.2f} dB to the sampled {self.config.learns}"
            case DistillationFinished(student=student, stopped=stopped, folder=folder):
                if (marks := student.summary.marks) is not None:
                    text = (
                        f"On {marks.tiles} pieces held out it loses {marks.loss_db:.2f} dB to the "
                        f"{self.config.learns} of {marks.samples} samples; an antithetic pair loses "
                        f"{marks.pair_loss_db:.2f} dB."
                    )
                    self.notices.append(Notice(text))
                if folder is None:
                    self.failed = True
                    self.end("The direct network could not be saved; nothing was kept.")
                    return
                self.fraction = self.fraction if stopped else 1.0
                how = "Stopped, and kept" if stopped else "Taught"
                self.end(f"{how}: direct network {folder.name}. It gives no uncertainty.")

    def close(self) -> None:
        """Let go of model and images."""
        self.model, self.sources = None, []
