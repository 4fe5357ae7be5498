"""A quick look: restoring what is in view."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_hdn.api import ImageStack, PlaneRestored, RestorationConfig, RestorationFinished
from napari_hdn.ui.outputs import PreviewLayer
from napari_hdn.ui.region import Region
from napari_hdn.ui.restoration.base import Restoring
from napari_hdn.ui.sources import LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN


class PreviewJob(Restoring):
    """Restore what is in view into the preview layer.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    source : LayerSource
    region : Region
        What is in view.
    model, config
        As for `LayersJob`.
    """

    def __init__(
        self,
        viewer: Any,
        source: LayerSource,
        region: Region,
        model: HDN,
        config: RestorationConfig,
    ) -> None:
        super().__init__(f"previewing {source.name}", model, config)
        self.source: LayerSource | None = source  # until the job is over
        self.region = region
        self._layer = PreviewLayer(viewer, source.name, source.placement, self.identity)

    def work(self) -> Iterator[Any]:
        """Restore the region, in the worker's thread."""
        assert self.source is not None
        piece = self.region.read(self.source.stack).image
        stack = ImageStack(piece, "YX", name=self.source.name)
        yield from self.restored([stack], 0, time.monotonic())

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        assert self.source is not None
        match event:
            case PlaneRestored(planes=planes):
                self._layer.show(self.source.stack, self.region, planes["mean"])
            case RestorationFinished(stopped=stopped):
                height, width = (s.stop - s.start for s in (self.region.ys, self.region.xs))
                self.fraction = 1.0
                self.end(
                    "Preview stopped."
                    if stopped
                    else f"Previewed {height} × {width} pixels of {self.source.name}."
                )

    def close(self) -> None:
        """Let go of the image."""
        super().close()
        self.source = None
