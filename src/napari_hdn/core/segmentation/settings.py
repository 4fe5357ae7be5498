"""One segmentation with diversity, as one frozen object."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_hdn.core.config import SCHEMA_VERSION, DeviceName, Frozen


class SegmentationConfig(Frozen):
    """How samples are drawn, segmented one by one, and brought to a consensus.

    ``recipe`` is ``membranes`` (the paper's), ``bright``, or a function of the user's own as
    ``FILE.py:FUNCTION`` or ``package.module:function``.
    """

    schema_version: int = SCHEMA_VERSION
    recipe: str = "membranes"
    samples: Annotated[int, Field(ge=1)] = 20
    least_px: Annotated[int, Field(ge=1)] = 20  # smaller objects are left out, in pixels
    tolerance_px: Annotated[int, Field(ge=0, le=20)] = 2  # borders so near to each other agree
    deactivated_levels: tuple[int, ...] | None = None  # besides those it was trained without
    tile_px: Annotated[int, Field(ge=64)] | None = None
    device: DeviceName = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
