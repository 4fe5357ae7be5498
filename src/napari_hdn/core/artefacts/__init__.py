"""Is the noise structured? Its autocorrelation, against what white noise would give."""

from napari_hdn.core.artefacts.autocorrelation import white_share
from napari_hdn.core.artefacts.background import Box
from napari_hdn.core.artefacts.judge import (
    MAX_LAG_PX,
    structure_of_background,
    structure_of_residuals,
)
from napari_hdn.core.artefacts.structure import Structure, StructureSource, StructureVerdict

__all__ = [
    "MAX_LAG_PX",
    "Box",
    "Structure",
    "StructureSource",
    "StructureVerdict",
    "structure_of_background",
    "structure_of_residuals",
    "white_share",
]
