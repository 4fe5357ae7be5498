"""The calibration job: a noise model measured in a thread, and saved as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import (
    CalibrationConfig,
    CalibrationFinished,
    CalibrationProgress,
    Notice,
)
from napari_hdn.ui.failures import in_words
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.sources import LayerSource, Source

if TYPE_CHECKING:
    from napari_hdn.core.calibration.record import Calibration


@dataclass(frozen=True)
class Calibrated:
    """The last event: a calibration and its file, None where it could not be written."""

    calibration: Calibration
    path: Path | None


class CalibrationJob(Job):
    """Measure the noise, fit a model to it, judge it, save it.

    Parameters
    ----------
    source : LayerSource or FolderSource
        Where the noise is measured.
    config : CalibrationConfig
    name : str
        What to call the noise model; numbered where another has the name.
    dark, clean : LayerSource, optional
        Dark frames of a flat field; the clean partner of a noisy image.
    meant_for : LayerSource, optional
        The images that the noise model is for, if other ones.

    Raises
    ------
    ConfigurationError
        If nothing of the name can be used as a file's name.
    """

    kind = "calibration"

    def __init__(
        self,
        source: Source,
        config: CalibrationConfig,
        name: str,
        *,
        dark: LayerSource | None = None,
        clean: LayerSource | None = None,
        meant_for: LayerSource | None = None,
    ) -> None:
        api.free_noise_model_path(name)
        super().__init__(f"calibrating on {source.name}")
        self.config = config
        self.name = name
        self.doing = ""
        self._source: Source | None = source  # until the job is over
        self._others = {"dark": dark, "clean": clean, "meant_for": meant_for}

    @property
    def status(self) -> str:
        """One line about where the calibration is."""
        if self.running and self.doing and not self.stop.requested:
            return f"{self.doing[:1].upper()}{self.doing[1:]} ..."
        return super().status

    def work(self) -> Iterator[Any]:
        """Calibrate, in the worker's thread."""
        assert self._source is not None
        notices: list[Notice] = []
        stacks = self._source.open(tell=notices.append)
        yield from notices
        others = {k: s.stack for k, s in self._others.items() if s is not None}
        meant_for = others.pop("meant_for", None)
        for event in api.calibrate(
            stacks,
            self.config,
            **others,
            meant_for=None if meant_for is None else [meant_for],
            stop=self.stop,
        ):
            if isinstance(event, CalibrationFinished):
                yield from self._keep(event.calibration)
            else:
                yield event

    def _keep(self, calibration: Calibration) -> Iterator[Any]:
        path = None
        try:
            path = api.save_calibration(calibration, api.free_noise_model_path(self.name))
        except (api.HDNError, OSError) as error:  # what was measured is in hand all the same
            yield Notice(f"{in_words(error)} Choose 'Save as ...' to keep it.", "warning")
        yield Calibrated(calibration, path)

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case CalibrationProgress():
                self.doing = event.doing.rstrip(" .…")
                self.fraction, self.remaining_s = event.fraction, event.remaining_s
            case Calibrated(path=path):
                self.fraction = 1.0
                self.end(
                    f"Calibrated; saved as {path.stem}."
                    if path is not None
                    else "Calibrated, but not saved: choose 'Save as ...'."
                )

    def close(self) -> None:
        """Let go of the images."""
        super().close()
        self._source = None
        self._others = {}
