"""What a user chose to work on, as frozen snapshots that a worker can open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari.layers import Image, Layer

from napari_hdn import api
from napari_hdn.api import ImageStack, Notice
from napari_hdn.ui.channel_names import channel_names
from napari_hdn.ui.layers import Placement, stack_of

Tell = Callable[[Notice], None]


@dataclass(frozen=True)
class LayerSource:
    """One image layer, with its pixels where they are."""

    layer: Image
    stack: ImageStack
    placement: Placement
    channel_names: tuple[str, ...] = ()  # of all channels, or of the only one

    @classmethod
    def of(cls, layer: Layer, axes: str | None, channel: int | None) -> LayerSource:
        """Read it off a layer, on the main thread.

        Raises
        ------
        ImageError, AxesError
            If the layer cannot be used, or the axes do not fit it.
        """
        stack = stack_of(layer, axes, channel)
        names = channel_names(stack.axes, layer.metadata, stack.array)
        return cls(layer, stack, Placement.of(layer), names)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.stack.name

    def open(self, tell: Tell | None = None) -> list[ImageStack]:
        """The image; for any thread. There is nothing to ``tell``."""
        return [self.stack]


def left_out_by_reader(layer: Layer) -> str:
    """What to say of a layer whose OME-Zarr tells a pixel size that napari's own reader leaves out.

    Empty for all others, and once the user has set a pixel size or units.
    """
    path = layer.source.path
    if path is None or layer.source.reader_plugin != "napari":
        return ""
    zarr = next((p.name for p in (Path(path), *Path(path).parents) if p.suffix == ".zarr"), None)
    placed = any(s != 1 for s in layer.scale) or any(str(u) != "pixel" for u in layer.units)
    if zarr is None or placed:
        return ""
    return (
        f"{zarr} was opened by napari's own reader, which leaves out what it tells of pixel size and "
        "units; results lack them, too. Choose \u201ca folder of images\u201d and this OME-Zarr "
        "instead, or open it with the plugin napari-ome-zarr."
    )


def folder_name(folder: Path) -> str:
    """What to call a folder of images: an OME-Zarr without its suffix."""
    stem, suffix = api.split_suffix(folder.name)
    return stem if suffix.lower().endswith(".zarr") else folder.name


@dataclass(frozen=True)
class FolderSource:
    """All images of a folder, or in an OME-Zarr folder."""

    folder: Path
    axes: str | None = None
    channel: int | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return folder_name(self.folder)

    def open(self, tell: Tell | None = None) -> list[ImageStack]:
        """The images, their pixels unread; for a worker. ``tell`` is given notices.

        Raises
        ------
        HDNError
            If there is no image in the folder, or one cannot be used.
        """
        stacks = api.open_images([self.folder], axes=self.axes, tell=tell)
        # an image of a single channel beside others is that channel
        return [s.of_channel(self.channel) for s in stacks]


Source = LayerSource | FolderSource


def describe(stack: ImageStack) -> str:
    """The axes of an image in words, so that a wrong letter is seen at once."""
    sizes = " × ".join(f"{a} {n}" for a, n in zip(stack.axes, stack.array.shape, strict=True))
    if "C" in stack.axes and stack.channel is not None:
        sizes += f", channel {stack.channel}"
    planes = len(stack)
    return f"{sizes}: {planes} image{'s' if planes != 1 else ''}"
