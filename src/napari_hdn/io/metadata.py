"""What a file says of its image besides the pixels; it travels to whatever is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class ImageMetadata:
    """Sizes and names, as far as they are known.

    Attributes
    ----------
    pixel_size_um : dict of str to float
        Micrometres by axis letter (Z, Y, X).
    time_step_s : float or None
        Seconds between two indices of axis T.
    channel_names : tuple of str
        One for each index of axis C; empty if the file does not say.
    """

    pixel_size_um: dict[str, float] = field(default_factory=dict)
    time_step_s: float | None = None
    channel_names: tuple[str, ...] = ()

    def fitting(self, axes: str, shape: Sequence[int]) -> ImageMetadata:
        """The same for an image of these axes and sizes: names only if there is one a channel."""
        sizes = dict(zip(axes, shape, strict=True))
        named = len(self.channel_names) == sizes.get("C", 1) and any(self.channel_names)
        names = tuple(n or f"channel {i}" for i, n in enumerate(self.channel_names))
        return replace(
            self,
            pixel_size_um={a: s for a, s in self.pixel_size_um.items() if a in axes},
            time_step_s=self.time_step_s if "T" in axes else None,
            channel_names=names if named else (),
        )

    def of_channel(self, channel: int | None) -> ImageMetadata:
        """The same of an image of which one channel is left, without axis C; all of it for None."""
        if channel is None:
            return self
        return replace(self, channel_names=self.channel_names[channel : channel + 1])

    def with_channels(self, names: Iterable[str]) -> ImageMetadata:
        """The same of an image with channels of other names."""
        return replace(self, channel_names=tuple(names))


NO_METADATA = ImageMetadata()
