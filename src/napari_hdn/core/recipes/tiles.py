"""How planes were taken apart, which the free memory decides and the last digits depend on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_hdn.core.config import Frozen


class Tiles(Frozen):
    """Tiles and batches of a restoration.

    Attributes
    ----------
    side_px : int or None
        Of the tiles, without what they see around; None where planes were restored whole.
    samples_at_a_time : int
        Decoded together.
    changed : bool
        Whether memory ran short on the way, so that some tiles were smaller: then a repetition may
        differ in the last digits.
    """

    side_px: Annotated[int, Field(ge=1)] | None
    samples_at_a_time: Annotated[int, Field(ge=1)] = 1
    changed: bool = False
