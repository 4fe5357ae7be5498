"""Padding of planes to the size that the levels need."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from napari_hdn.core.restoring.tiling import padded_size


def reflect_pad(plane: Tensor, multiple: int) -> Tensor:
    """Pad bottom and right to the multiple, by reflection as far as the image reaches.

    Parameters
    ----------
    plane : Tensor
        (Y, X); of any size, also smaller than ``multiple``.
    multiple : int
        Both sides of the result are multiples of it.
    """
    height, width = int(plane.shape[0]), int(plane.shape[1])
    target = padded_size((height, width), multiple)
    out = plane[None, None]
    while tuple(out.shape[-2:]) != target:
        add_y = min(target[0] - out.shape[-2], max(out.shape[-2] - 1, 0))
        add_x = min(target[1] - out.shape[-1], max(out.shape[-1] - 1, 0))
        if add_y == 0 and out.shape[-2] < target[0]:
            out = out.expand(-1, -1, target[0], -1)
        elif add_x == 0 and out.shape[-1] < target[1]:
            out = out.expand(-1, -1, -1, target[1])
        else:
            out = functional.pad(out, (0, add_x, 0, add_y), mode="reflect")
    return out[0, 0]
