"""What the levels hold as layers with an axis of levels, added on request.

napari's slider tells the index along an axis, so that index and level have to be the same: something
else lies at index 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hdn.ui.layers import add_image
from napari_hdn.ui.looks import difference_colours, limit_of, look_of, sparse

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_hdn.api import HDN, JobRecipe
    from napari_hdn.ui.inspection import Drawn, Inspected
    from napari_hdn.ui.piece import Piece

_FIRST_SAMPLE = 1.0
# Sample before level: napari aligns the last axes of layers, so that the levels of both layers meet.


def add_contributions(viewer: Any, look: Inspected) -> Image:
    """One layer with the contribution of every level, in counts; its sum is the restored image."""
    piece, whole = look.piece, look.inspection.decomposition
    parts = whole.contributions
    limit = limit_of(parts)
    return _add(
        viewer,
        piece.shaped(np.concatenate([whole.remainder[None], parts])),
        f"{piece.source.name} [HDN contributions by level, the remainder at 0]",
        piece.placement.led_by(("level",), (0.0,)),
        _identity(look.model, piece, "contributions", look.recipe, at_0="remainder"),
        contrast_limits=(-limit, limit),
        colormap=difference_colours(),
    )


def add_drawn(viewer: Any, drawn: Drawn) -> Image:
    """One layer with all images that were drawn, in counts; level 1 is there at index 0, too."""
    piece = drawn.piece
    images = np.swapaxes(np.concatenate([drawn.images[:1], drawn.images]), 0, 1)
    of = " from the prior" if drawn.origin == "prior" else ""
    return _add(
        viewer,
        piece.shaped(images),
        f"{piece.source.name} [HDN drawn{of} by level, 0 as 1]",
        piece.placement.led_by(("sample", "level"), (_FIRST_SAMPLE, 0.0)),
        _identity(drawn.model, piece, "drawn", drawn.recipe, at_0="level 1")
        | {"origin": drawn.origin},
        **look_of(piece.placement, sparse(images)),
    )


def _add(viewer: Any, data: np.ndarray, *args: Any, **look: Any) -> Image:
    """Add a layer; where the viewer had no axis of levels, level 1 comes into sight."""
    axes = viewer.dims.ndim
    layer = add_image(viewer, data, *args, **look)
    level = viewer.dims.ndim - layer.ndim + layer.axis_labels.index("level")
    if viewer.dims.ndim - axes > level:
        viewer.dims.set_current_step(level, 1)
    return layer


def _identity(
    model: HDN, piece: Piece, product: str, recipe: JobRecipe | None, *, at_0: str
) -> dict[str, Any]:
    told = {} if recipe is None else {"recipe": recipe.model_dump(mode="json")}
    return told | {
        "model": model.name,
        "folder": None if model.folder is None else str(model.folder),
        "model_created": model.summary.created,
        "product": product,
        "source": piece.source.name,
        "index_0": at_0,  # of the axis of levels; level 1 is at index 1
    }
