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
    from napari_hdn.core.convergence import Convergence


@dataclass(frozen=True)
class Measured:
    """How the error of the mean falls."""

    convergence: Convergence


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
    convergence : Convergence or None
        Once it is known.
    """

    kind = "sufficiency"

    def __init__(
        self, source: LayerSource, region: Region, model: HDN, config: RestorationConfig
    ) -> None:
        super().__init__(f"measuring how many samples {source.name} needs", model, config)
        self.source: LayerSource | None = source  # until the job is over
        self.region = region
        self.convergence: Convergence | None = None

    def work(self) -> Iterator[Any]:
        """Draw and measure, in the worker's thread."""
        assert self.source is not None and self.model is not None
        began = time.monotonic()
        counts = self.region.read(self.source.stack).image
        for step in api.measure_convergence(self.model, counts, self.config, stop=self.stop):
            if isinstance(step, float):
                yield Overall(step, (time.monotonic() - began) * (1 / step - 1))
            else:
                yield Measured(step)
                return
        raise StoppedEarly("Stopped before enough samples were drawn to tell.")

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Measured):
            assert self.source is not None
            self.convergence = event.convergence
            self.fraction = 1.0
            self.end(f"Measured on what is in view of {self.source.name}.")

    def close(self) -> None:
        """Let go of the image."""
        super().close()
        self.source = None
