"""Restoration jobs: layers into layers, a folder into files, a quick look at what is in view."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn import api
from napari_hdn.api import (
    ImageStack,
    Notice,
    PlaneRestored,
    RestorationConfig,
    RestorationFinished,
    RestorationProgress,
)
from napari_hdn.ui.jobs import Job
from napari_hdn.ui.layers import (
    output_axes,
    output_placement,
    output_shape,
    product_name,
    put_plane,
)
from napari_hdn.ui.outputs import GrowingLayer, PreviewLayer
from napari_hdn.ui.region import Region
from napari_hdn.ui.sources import FolderSource, LayerSource

if TYPE_CHECKING:
    from napari_hdn.api import HDN


@dataclass(frozen=True)
class Outputs:
    """What to make of each image."""

    mean: bool = True
    std: bool = False

    @property
    def products(self) -> tuple[str, ...]:
        """Their names, as in layer and file names; the mean last, so that its layer lies on top."""
        return ("std",) * self.std + ("mean",) * self.mean


@dataclass(frozen=True)
class Overall:
    """Where a job of several images is."""

    fraction: float
    remaining_s: float


@dataclass(frozen=True)
class LayerFilled:
    """A plane was written to the outputs of image ``number``."""

    number: int
    first: dict[str, np.ndarray]  # product -> the plane, for its contrast


@dataclass(frozen=True)
class Written:
    """A file was finished."""

    path: Path
    partial: bool


def identity_of(model: HDN, config: RestorationConfig) -> dict[str, Any]:
    """What says, in a layer's metadata, how it was made."""
    return {
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "model_steps": model.summary.steps,
        "version": model.summary.version,
        "restoration": config.model_dump(mode="json"),
    }


class _Restoring(Job):
    """What the jobs share: one model, a config, progress over several images."""

    kind = "restoration"

    def __init__(self, title: str, model: HDN, config: RestorationConfig) -> None:
        super().__init__(title)
        self.model = model
        self.config = config
        self.identity = identity_of(model, config)

    def restored(
        self, stacks: list[ImageStack], number: int, began: float
    ) -> Iterator[PlaneRestored | RestorationFinished | Notice | Overall]:
        """Restore one of several images, with progress over all of them."""
        for event in api.restore(self.model, stacks[number], self.config, stop=self.stop):
            if isinstance(event, RestorationProgress):
                sizes = [len(s) * int(np.prod(s.plane_shape)) for s in stacks]
                done = sum(sizes[:number]) + event.fraction * sizes[number]
                fraction = done / sum(sizes)
                elapsed = time.monotonic() - began
                left = event.remaining_s if len(stacks) == 1 else elapsed * (1 / fraction - 1)
                yield Overall(fraction, left)
            else:
                yield event

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        if isinstance(event, Overall):
            self.fraction, self.remaining_s = event.fraction, event.remaining_s


class LayersJob(_Restoring):
    """Restore layers into new layers that appear with their first plane.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    sources : list of LayerSource
    outputs : Outputs
    model : HDN
    config : RestorationConfig
    """

    def __init__(
        self,
        viewer: Any,
        sources: list[LayerSource],
        outputs: Outputs,
        model: HDN,
        config: RestorationConfig,
    ) -> None:
        names = sources[0].name if len(sources) == 1 else f"{len(sources)} layers"
        super().__init__(f"restoring {names}", model, config)
        self.sources = sources
        self.outputs = outputs
        self.arrays: dict[tuple[int, str], np.ndarray] = {}
        self._viewer = weakref.ref(viewer)
        self._layers: dict[tuple[int, str], GrowingLayer] = {}
        self._planes = 0
        self._total = sum(len(s.stack) for s in sources)

    def work(self) -> Iterator[Any]:
        """Restore, in the worker's thread."""
        began = time.monotonic()
        stacks = [s.stack for s in self.sources]
        for number, stack in enumerate(stacks):
            for event in self.restored(stacks, number, began):
                if isinstance(event, PlaneRestored):
                    yield LayerFilled(number, self._fill(number, stack, event))
                else:
                    yield event
            if self.stop.requested:
                return

    def _fill(self, number: int, stack: ImageStack, event: PlaneRestored) -> dict[str, np.ndarray]:
        planes = {p: getattr(event, p) for p in self.outputs.products}
        for product, plane in planes.items():
            key = number, product
            if key not in self.arrays:
                self.arrays[key] = np.zeros(output_shape(stack), np.float32)
            put_plane(self.arrays[key], stack, event.index, plane)
        return planes

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case LayerFilled(number=number, first=planes):
                self._planes += 1
                for product, plane in planes.items():
                    self._show_layer(number, product, plane)
            case RestorationFinished():
                for layer in self._layers.values():
                    layer.refresh(now=True)
                if event.stopped:
                    self.end(
                        f"Stopped: {self._planes} of {self._total} planes are restored; "
                        "the others are 0."
                    )
                elif self._planes == self._total:
                    self.fraction = 1.0
                    self.end(f"Restored {self._total} plane{'s' if self._total > 1 else ''}.")

    def _show_layer(self, number: int, product: str, plane: np.ndarray) -> None:
        if (layer := self._layers.get((number, product))) is not None:
            layer.refresh()
            return
        viewer = self._viewer()
        if viewer is None:
            return
        source = self.sources[number]
        identity = {
            **self.identity,
            "product": product,
            "source": source.name,
            "axes": output_axes(source.stack),
            "source_dtype": np.dtype(source.stack.array.dtype).name,
        }
        self._layers[number, product] = GrowingLayer(
            viewer,
            self.arrays[number, product],
            product_name(source.name, product),
            output_placement(source.placement, source.stack),
            identity,
            spread=product == "std",
            first=plane,
        )


class FolderJob(_Restoring):
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
        stacks = self.source.open()
        for number, stack in enumerate(stacks):
            with ExitStack() as files:
                writers = {p: files.enter_context(self._writer(stack, p)) for p in self._products}
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

    @property
    def _products(self) -> tuple[str, ...]:
        return self.outputs.products

    def _writer(self, stack: ImageStack, product: str) -> Any:
        stem = api.split_suffix(stack.name)[0]
        return api.OmeTiffWriter(
            api.free_path(self.target / f"{stem}_HDN_{product}.ome.tif"),
            output_shape(stack),
            output_axes(stack),
            np.float32,
            pixel_size_um=getattr(stack, "pixel_size_um", None),
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


class PreviewJob(_Restoring):
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
        self.source = source
        self.region = region
        self._layer = PreviewLayer(viewer, source.name, source.placement, self.identity)

    def work(self) -> Iterator[Any]:
        """Restore the region, in the worker's thread."""
        piece = self.region.read(self.source.stack).image
        stack = ImageStack(piece, "YX", name=self.source.name)
        yield from self.restored([stack], 0, time.monotonic())

    def show(self, event: Any) -> None:
        """Take in an event, on the main thread."""
        super().show(event)
        match event:
            case PlaneRestored(mean=mean):
                self._layer.show(self.source.stack, self.region, mean)
            case RestorationFinished(stopped=stopped):
                height, width = (s.stop - s.start for s in (self.region.ys, self.region.xs))
                self.fraction = 1.0
                self.end(
                    "Preview stopped."
                    if stopped
                    else f"Previewed {height} × {width} pixels of {self.source.name}."
                )
