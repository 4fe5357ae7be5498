"""What a file says of its image besides the pixels; it travels to whatever is made of them."""

from __future__ import annotations

from collections.abc import Iterable
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

    def of_channel(self, channel: int | None) -> ImageMetadata:
        """The same of an image of which one channel is left, without axis C; all of it for None."""
        if channel is None:
            return self
        return replace(self, channel_names=self.channel_names[channel : channel + 1])

    def with_channels(self, names: Iterable[str]) -> ImageMetadata:
        """The same of an image with channels of other names."""
        return replace(self, channel_names=tuple(names))


NO_METADATA = ImageMetadata()
