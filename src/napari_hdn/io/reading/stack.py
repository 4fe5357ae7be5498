"""An image from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import AxesError, HDNError
from napari_hdn.core.events import Notice
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.naming import split_suffix

Tell = Callable[[Notice], object]


@dataclass(frozen=True)
class FileStack(ImageStack):
    """An image from a file, with what the file says about its pixels.

    Parameters
    ----------
    path : Path
        The file; for OME-Zarr its outermost folder.
    metadata : ImageMetadata
        Of the whole file, whichever channel was chosen.
    series : int, optional
        Which image of a file with several, counted from 0.
    part : str
        Which image of a file whose images have names: ``B03_f1`` of a plate, an array of a ``.npz``.
    """

    path: Path = field(default=Path(), kw_only=True)
    metadata: ImageMetadata = field(default_factory=ImageMetadata, kw_only=True)
    series: int | None = field(default=None, kw_only=True)
    part: str = field(default="", kw_only=True)

    def of_channel(self, channel: int | str | None) -> Self:
        """The image restricted to a channel, where it has several and none was chosen yet.

        Raises
        ------
        AxesError
            If no channel, or several, have the name that is given.
        """
        if isinstance(channel, str):
            known = "C" in self.axes and self.channel is None
            names = self.metadata.channel_names
            channel = _channel_number(channel, names, self.name) if known else None
        return super().of_channel(channel)

    @property
    def pixel_size_um(self) -> dict[str, float]:
        """Micrometres by axis letter; empty if the file does not say."""
        return self.metadata.pixel_size_um

    @property
    def own_metadata(self) -> ImageMetadata:
        """What a file made from this image says: of the chosen channel, where one was chosen."""
        return self.metadata.of_channel(self.channel)

    @property
    def stem(self) -> str:
        """What to begin the name of a file with that is made from this image."""
        stem = split_suffix(self.path.name)[0]
        if self.series is not None:
            stem = f"{stem}-{self.series}"
        return f"{stem}_{self.part}" if self.part else stem


def file_stack(
    array: Any,
    axes: str,
    *,
    name: str,
    channel: int | str | None,
    path: Path,
    metadata: ImageMetadata,
    series: int | None = None,
    part: str = "",
) -> FileStack:
    """A `FileStack` with what of the metadata fits it, and of one channel, if one is named.

    Raises
    ------
    AxesError, ImageError
        If axes or channel do not fit, or the pixels are no grey values.
    """
    whole = FileStack(
        array, axes, name=name, path=path, metadata=metadata, series=series, part=part
    )
    fitting = metadata.fitting(whole.axes, array.shape)
    number = _channel_number(channel, fitting.channel_names, name)
    return replace(whole, metadata=fitting, channel=number)


def _channel_number(channel: int | str | None, names: tuple[str, ...], image: str) -> int | None:
    """A channel's index on axis C, by its index or its name."""
    if channel is None or isinstance(channel, int):
        return channel
    if channel in names and names.count(channel) == 1:
        return names.index(channel)
    alike = [i for i, n in enumerate(names) if n.strip().lower() == channel.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    if channel.strip().isdecimal():
        return int(channel)
    if alike:
        raise AxesError(
            f"{image} has {len(alike)} channels named {channel!r}; choose one by its number, "
            f"counted from 0: {', '.join(map(str, alike))}."
        )
    known = ", ".join(names) or "channels without names; give a number, counted from 0"
    raise AxesError(f"{image} has no channel {channel!r}; it has {known}.")


@dataclass(frozen=True)
class Unopened:
    """A file that holds no image which can be used, and why."""

    path: Path
    error: HDNError
