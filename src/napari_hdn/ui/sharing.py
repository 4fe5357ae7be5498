"""The jobs that pack a model into one file, and take one in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_hdn import api
from napari_hdn.ui.jobs import Job


class SharingJob(Job):
    """What both have in common."""

    kind = "sharing"

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case api.SharingProgress(fraction=fraction, doing=doing):
                self.fraction, self.doing = fraction, doing
            case api.Exported(path=path):
                self.fraction, self.result = 1.0, path
                self.end(f"Exported to {path}.")
            case api.Imported(folder=folder):
                self.fraction, self.result = 1.0, folder
                self.end(f"Imported as {folder.name}.")

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.doing = ""
        self.result: Path | None = None

    @property
    def has_result(self) -> bool:
        """Once it is written."""
        return self.result is not None

    @property
    def status(self) -> str:
        """One line about where the job is."""
        if self.running and self.doing and not self.stop.requested:
            return f"{super().status.removesuffix(' ...')}: {self.doing} ..."
        return super().status


class ExportJob(SharingJob):
    """Pack a model.

    Parameters
    ----------
    folder : Path
        Of the model, which nobody else writes to meanwhile.
    target : Path
    training_state : bool
    zoo : ZooDetails, optional
        Makes a package for the BioImage Model Zoo.
    """

    def __init__(
        self, folder: Path, target: Path, training_state: bool, zoo: api.ZooDetails | None
    ) -> None:
        super().__init__(f"exporting {folder.name}")
        self.folder = folder
        self._target, self._training_state, self._zoo = target, training_state, zoo

    def work(self) -> Iterator[Any]:
        """Pack, in the worker's thread."""
        assert self.folder is not None
        yield from api.export_model(
            self.folder,
            self._target,
            training_state=self._training_state,
            zoo=self._zoo,
            stop=self.stop,
        )


class ImportJob(SharingJob):
    """Take a model in.

    Parameters
    ----------
    path : Path
        Of the .zip.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"importing {path.name}")
        self._path = path

    def work(self) -> Iterator[Any]:
        """Unpack and check, in the worker's thread."""
        yield from api.import_model(self._path, stop=self.stop)
