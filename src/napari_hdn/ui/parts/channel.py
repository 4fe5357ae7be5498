"""Which channel of the images, if they have several."""

from __future__ import annotations

from collections.abc import Iterable

from napari_hdn.api import ImageStack
from napari_hdn.ui.parts.forms import Choice


class ChannelChoice(Choice):
    """All channels, or one of them.

    Parameters
    ----------
    all_label : str
        What to call all of them.
    """

    def __init__(self, all_label: str) -> None:
        super().__init__()
        self._all_label = all_label

    def offer(self, stacks: Iterable[ImageStack]) -> bool:
        """List the channels of some images; a choice that they have stays. Whether it is new."""
        sizes = [int(s.array.shape[s.axes.index("C")]) for s in stacks if "C" in s.axes]
        count = max(sizes, default=0)
        if self.count() == (count + 1 if count > 1 else 0):
            return False
        before = self.value()
        self.blockSignals(True)
        self.clear()
        if count > 1:
            self.addItem(self._all_label, None)
            for i in range(count):
                self.addItem(f"channel {i}", i)
        self.choose(before)
        self.blockSignals(False)
        return True
