"""What the levels hold as layers with an axis of levels, added on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.ui.comparison import difference_colours
from napari_hdn.ui.layers import add_image
from napari_hdn.ui.outputs import look_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_hdn.api import HDN
    from napari_hdn.ui.inspection import Drawn, Inspected
    from napari_hdn.ui.piece import Piece

_FIRST_LEVEL = 1.0  # a coordinate along the axis is the number of the level
# Sample before level: napari aligns the last axes of layers, so that the levels of both layers meet.


def add_contributions(viewer: Any, look: Inspected) -> Image:
    """One layer with the contribution of every level, in counts."""
    piece = look.piece
    parts = look.inspection.decomposition.contributions
    limit = max(float(np.percentile(np.abs(parts), 99.5)), 1e-3)
    return add_image(
        viewer,
        piece.shaped(parts),
        f"{piece.source.name} [HDN contributions, level 1 first]",
        piece.placement.led_by(("level",), (_FIRST_LEVEL,)),
        _identity(look.model, piece, "contributions"),
        contrast_limits=(-limit, limit),
        colormap=difference_colours(),
    )


def add_drawn(viewer: Any, drawn: Drawn) -> Image:
    """One layer with all images that were drawn, in counts."""
    piece = drawn.piece
    images = np.swapaxes(drawn.images, 0, 1)
    of = " from the prior" if drawn.origin == "prior" else ""
    return add_image(
        viewer,
        piece.shaped(images),
        f"{piece.source.name} [HDN drawn{of}, level 1 first]",
        piece.placement.led_by(("sample", "level"), (_FIRST_LEVEL, _FIRST_LEVEL)),
        _identity(drawn.model, piece, "drawn") | {"origin": drawn.origin},
        **look_of(piece.placement, images),
    )


def _identity(model: HDN, piece: Piece, product: str) -> dict[str, Any]:
    return {
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "product": product,
        "source": piece.source.name,
    }
