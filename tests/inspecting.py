"""What the tests of the level inspector share: a tiny model of striped images, and the dock."""

from typing import Any

from napari_hdn.ui.layers import product_of


def settled(session: Any, qtbot: Any, off: tuple[int, ...]) -> None:
    """Wait until the layers show these levels off."""
    qtbot.waitUntil(lambda: session.live.shown is not None and session.live.shown.off == off)


def by_product(viewer: Any, product: str) -> Any:
    """The one layer of this kind."""
    (layer,) = [x for x in viewer.layers if product_of(x) == product]
    return layer
