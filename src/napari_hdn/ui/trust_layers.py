"""The trust map as a layer, and on request all that it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap

from napari_hdn import api
from napari_hdn.ui.layers import add_image, product_name

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_hdn.ui.judging import Judged

OPACITY = 0.55  # the image below stays to be seen


def trust_colours() -> Colormap:
    """Red for none, amber, green for all: the colours of the verdicts."""
    stops = [[0.784, 0.196, 0.169, 1], [0.949, 0.714, 0.196, 1], [0.180, 0.545, 0.239, 1]]
    return Colormap(stops, name="hdn-trust", display_name="trust")


def add_trust(viewer: Any, judged: Judged) -> Image:
    """The trust map over its image, half transparent."""
    return _add(
        viewer,
        judged,
        judged.judgement.trust.trust,
        product_name(judged.piece.source.name, "trust"),
        "trust",
        colormap=trust_colours(),
        contrast_limits=(0.0, 1.0),
        opacity=OPACITY,
    )


def add_maps(viewer: Any, judged: Judged) -> list[Image]:
    """Every other map as a layer of its own, hidden at first."""
    made = []
    for name, image in api.trust_maps(judged.judgement).items():
        colours, limits = _look(name, image)
        title = product_name(judged.piece.source.name, name)
        look = {"colormap": colours, "contrast_limits": limits, "visible": False}
        made.append(_add(viewer, judged, image, title, "trust-map", part=name, **look))
    return made


def _add(
    viewer: Any,
    judged: Judged,
    image: np.ndarray,
    name: str,
    product: str,
    *,
    part: str = "",
    **look: Any,
) -> Image:
    identity = {**judged.identity, "product": product, "part": part}
    return add_image(
        viewer, judged.piece.shaped(image), name, judged.piece.placement, identity, **look
    )


def _look(name: str, image: np.ndarray) -> tuple[Any, tuple[float, float]]:
    if name.startswith("trust"):
        return trust_colours(), (0.0, 1.0)
    if name.startswith("share"):
        return "viridis", (0.0, 1.0)
    if name == "lowest part":
        return "viridis", (-1.0, 1.0)
    if name == "residual variance":
        return "bop blue", (0.0, 2.0)
    if name.startswith("residual"):
        return "twilight_shifted", (-0.5, 0.5)
    high = float(np.nanpercentile(image, 99.9))
    return "inferno", (0.0, high if high > 0 else 1.0)
