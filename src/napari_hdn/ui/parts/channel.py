"""Which channel of the images, if they have several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

    def offer(self, stacks: Iterable[ImageStack], names: Sequence[str] = ()) -> bool:
        """List the channels of some images; a choice that they have stays. Whether it is new.

        ``names`` count if there is one for each channel.
        """
        sizes = [int(s.array.shape[s.axes.index("C")]) for s in stacks if "C" in s.axes]
        count = max(sizes, default=0)
        labels = [f"channel {i}" for i in range(count if count > 1 else 0)]
        if len(names) == len(labels):
            labels = [f"{label}: {name}" for label, name in zip(labels, names, strict=True)]
        if [self.itemText(i) for i in range(1, self.count())] == labels:
            return False
        before = self.value()
        self.blockSignals(True)
        self.clear()
        if labels:
            self.addItem(self._all_label, None)
            for i, label in enumerate(labels):
                self.addItem(label, i)
        self.choose(before)
        self.blockSignals(False)
        return True
