"""How many samples are enough for what is in view."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_hdn import api
from napari_hdn.api import RestorationConfig
from napari_hdn.core.errors import StoppedEarly
from napari_hdn.ui.region import Region
from napari_hdn.ui.restoration.base import Overall, Restoring
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN
    from napari_hdn.core.restoring.convergence import Convergence


@dataclass(frozen=True)
class Law:
    """How the error of the mean falls with the samples, and of what."""

    convergence: Convergence
    of: str  # image and model, in words


class SufficiencyJob(Restoring):
    """Measure how the mean's error falls with the samples.

    Parameters
    ----------
    source : LayerSource
    region : Region
        What is in view.
    model, config
        As for `LayersJob`.

    Attributes
    ----------
    law : Law or None
        Once it is known.
    """

    kind = "sufficiency"

    def __init__(
        self, source: LayerSource, region: Region, model: HDN, config: RestorationConfig
    ) -> None:
        super().__init__(f"measuring how many samples {source.name} needs", model, config)
        self.source: LayerSource | None = source  # until the job is over
        self.region = region
        self.law: Law | None = None
        off = model.levels_off(config)
        levels = f", level{'s' * (len(off) > 1)} {', '.join(map(str, off))} off" if off else ""
        self._of = f"{source.name} with {model.name}{levels}"

    @property
    def has_result(self) -> bool:
        """Once it is known."""
        return self.law is not None

    def work(self) -> Iterator[Any]:
        """Draw and measure, in the worker's thread."""
        assert self.source is not None and self.model is not None
        began = time.monotonic()
        counts = self.region.read(self.source.stack).image
        for step in api.measure_convergence(self.model, counts, self.config, stop=self.stop):
            if isinstance(step, float):
                yield Overall(step, (time.monotonic() - began) * (1 / step - 1))
            else:
                yield Law(step, self._of)
                return
        raise StoppedEarly("Stopped before enough samples were drawn to tell.")

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Law):
            self.law = event
            self.fraction = 1.0
            self.end(f"Measured on what is in view of {event.of}.")

    def close(self) -> None:
        """Let go of the image."""
        super().close()
        self.source = None
