"""The variance of structured noise, of which its fine grain shows too little or too much.

Noise that is blurred between pixels has little fine grain; noise whose neighbours differ on purpose,
such as diagonal lines or a checker, has more of it than its own variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_hdn.core.artefacts import Box, Structure, structure_of_background
from napari_hdn.core.artefacts.background import check_box
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.fitting import shared_line
from napari_hdn.core.calibration.processing import WHITE_LAG_1, lag_1
from napari_hdn.core.noise.curves import MeasuredCurve
from napari_hdn.core.training.statistics import check_finite, spread_planes

MOST_SCALED = 50.0
MOST_GRAIN = 8.0  # a checker's, which is all in the differences: (16 / 6)^2 = 7.1
NEARLY = 0.05
BLURRED = 0.03  # lag 1 of the differences above that of white noise
REGION_PLANES = 8


def whole_variance(
    curves: Sequence[MeasuredCurve],
    structure: Structure | None,
    planes: Sequence[np.ndarray],
    step: float,
) -> tuple[float, str]:
    """How many times larger the noise's variance is than that of its fine grain, and a remark.

    What the likelihood does not count as noise is kept as signal, so that it has to get lag 0 of the
    autocorrelation. Fine texture all over an image looks like blurred noise in its
    autocorrelation, but leaves the differences of neighbours white; without a region that the user
    drew both have to agree. Less than its fine grain is no texture's doing: that is blurred by the
    microscope.
    """
    if structure is None or structure.verdict != "structured":
        return 1.0, ""
    share = structure.difference_gain
    if not structure.fine_grain and structure.source in ("background", "region"):
        grain = float(shared_line(curves, step).variance(structure.signal))
        share = grain / max(structure.variance, 1e-30)
    share = float(np.clip(share, 1 / MOST_SCALED, MOST_GRAIN))
    if share > 1 + NEARLY:
        return 1 / share, (
            f"The fine grain holds {share:.2g} times the noise's variance, since neighbouring pixels "
            f"differ more than others; all variances were divided by {share:.2g}."
        )
    lags = lag_1(planes)
    blurred = lags is not None and min(lags) - WHITE_LAG_1 > BLURRED
    if share > 1 - NEARLY or (structure.source == "background" and not blurred):
        return 1.0, ""
    return 1 / share, (
        f"The fine grain holds {100 * share:.2g} % of the noise's variance only, since neighbouring "
        f"pixels agree; all variances were taken {1 / share:.2g} times as large, so that the "
        "likelihood gets the whole variance."
    )


def structure_of_regions(images: Sequence[ImageStack], boxes: Sequence[Box]) -> Structure | None:
    """Judge regions that the user drew, wherever in the images they lie.

    Raises
    ------
    NoiseModelError
        If a region lies outside the images, is too small, or shows no noise.
    """
    y0, x0 = (min(box[k] for box in boxes) for k in (0, 2))
    y1, x1 = (max(box[k] for box in boxes) for k in (1, 3))
    planes = []
    for stack, index, _ in spread_planes(images, REGION_PLANES):
        for box in boxes:
            check_box(box, stack.plane_shape)
        piece = stack.crop(index, slice(y0, y1), slice(x0, x1))
        check_finite(piece, stack.name, index)
        planes.append(piece)
    moved = [(box[0] - y0, box[1] - y0, box[2] - x0, box[3] - x0) for box in boxes]
    return structure_of_background(planes, moved)
