"""Samples of several channels, which OME-Zarr 0.5 has no room for as an axis of their own.

napari-hdn writes them as further channels, sample 1 of all channels first (see `io.zarr.layout`); here
they get their axis back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.reading.pixels import Pixels, cover, expand

_NAME_END = ", sample 1"


class SplitSamples(Pixels):
    """Pixels whose axis of channels is that of samples and channels, in front.

    Parameters
    ----------
    pixels : Pixels
    axis : int
        Of the channels.
    samples : int
        How many it holds of each.
    """

    def __init__(self, pixels: Pixels, axis: int, samples: int) -> None:
        self._pixels, self._axis = pixels, axis
        self._channels = pixels.shape[axis] // samples
        before, behind = pixels.shape[:axis], pixels.shape[axis + 1 :]
        self.shape = (samples, *before, self._channels, *behind)
        self.dtype = pixels.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        sample, *rest = expand(key, self.ndim)
        spans = [cover(k, n) for k, n in zip((sample, rest[self._axis]), self._counts, strict=True)]
        (samples, of_samples), (channels, of_channels) = spans
        whole = [k if isinstance(k, slice) else slice(int(k), int(k) + 1 or None) for k in rest]
        planes = []
        for s in samples:
            first = s * self._channels
            whole[self._axis] = slice(first + channels.start, first + channels.stop)
            planes.append(self._pixels[tuple(whole)])
        empty = [len(range(n)[k]) for n, k in zip(self._pixels.shape, whole, strict=True)]
        stacked = np.stack(planes) if planes else np.empty((0, *empty), self.dtype)
        inside = [slice(None) if isinstance(k, slice) else 0 for k in rest]
        inside[self._axis] = of_channels
        return stacked[(of_samples, *inside)]

    @property
    def _counts(self) -> tuple[int, int]:
        return self.shape[0], self._channels


def with_samples(
    pixels: Pixels, letters: str, metadata: ImageMetadata, own: Any
) -> tuple[Pixels, str, ImageMetadata]:
    """An image with its samples along an axis of their own, if napari-hdn noted that it has such.

    Parameters
    ----------
    pixels : Pixels
    letters : str
        Of its axes.
    metadata : ImageMetadata
    own : object
        What stands under ``napari-hdn`` in the attributes; from a stranger, perhaps.
    """
    samples = own.get("samples") if isinstance(own, dict) else None
    if not isinstance(samples, int) or samples < 1 or "C" not in letters or "S" in letters:
        return pixels, letters, metadata
    axis = letters.index("C")
    channels, rest = divmod(pixels.shape[axis], samples)
    if rest:
        return pixels, letters, metadata
    names = tuple(n.removesuffix(_NAME_END) for n in metadata.channel_names[:channels])
    return (
        SplitSamples(pixels, axis, samples),
        f"S{letters}",
        replace(metadata, channel_names=names),
    )
