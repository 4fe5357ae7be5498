"""Where noise can be seen in the images that the user has, and which of that is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.estimation import repeats_curve, series_curve, single_image_curve
from napari_hdn.core.calibration.evidence import Evidence, Steps
from napari_hdn.core.calibration.frames import FRAMES_PER_RUN, read, series_of, static_runs, windows
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.training.statistics import spread_planes

LOOK_AT = 16
FRAMES_OF_SERIES = 8  # of each window
SHORT_RUN = 4  # frames that show the same; in fewer, of a longer series, the scene drifts away
STRUCTURED_RATIO = 1.25  # variance along one axis against the other


@dataclass(frozen=True)
class Proposal:
    """A source for these images, and why."""

    source: str
    reason: str


def propose(
    images: Sequence[ImageStack],
    *,
    dark: bool = False,
    clean: bool = False,
    stop: Stop | None = None,
) -> Proposal:
    """The best source that the images allow.

    Parameters
    ----------
    images : sequence of ImageStack
    dark, clean : bool
        Whether there are dark frames, a clean image.
    """
    if clean:
        return Proposal("pair", "a clean image of the same field was given")
    if dark:
        return Proposal("flat_field", "dark frames were given")
    longest = max((len(series) for series in series_of(images)), default=0)
    if longest < 2:
        return Proposal("images", "there is one frame of each field; nothing repeats")
    runs = static_runs(images, stop)
    if not runs:
        return Proposal("images", "the frames show different scenes; nothing repeats")
    frames = sum(len(run) for run in runs) / len(runs)
    if is_moving(runs) or frames < min(SHORT_RUN, longest):
        return Proposal(
            "series", "neighbouring frames show the same scene, which moves a little between them"
        )
    more = " or more" if frames >= FRAMES_PER_RUN else ""
    return Proposal("repeats", f"the same scene repeats, unmoved, over {frames:.0f} frames{more}")


def is_moving(runs: Sequence[np.ndarray]) -> bool:
    """Whether the scene of most runs of similar frames moves between them."""
    return sum(repeats_curve(run)[1] for run in runs) > len(runs) / 2


def images_evidence(
    images: Sequence[ImageStack], kind: str = "diagonal", *, stop: Stop | None = None
) -> Steps:
    """The noise as each image alone shows it, on up to `LOOK_AT` planes; see `single_image_curve`."""
    evidence = Evidence("from the noisy images alone")
    planes = spread_planes(images, LOOK_AT)
    means = []
    for n, (stack, index, _) in enumerate(planes):
        check_stop(stop)
        plane = read(stack, index)
        evidence.curves.append(single_image_curve(plane, kind))
        means.append(plane.mean())
        yield (n + 1) / len(planes), "measuring the noise of each image"
    evidence.signal = float(np.mean(means))
    return evidence


def series_evidence(
    images: Sequence[ImageStack], kind: str = "diagonal", *, stop: Stop | None = None
) -> Steps:
    """The noise as neighbouring frames of slowly changing scenes show it; see `series_curve`.

    Raises
    ------
    NoiseModelError
        If no image has two frames along T or S.
    """
    usable = [w[:FRAMES_OF_SERIES] for w in windows(images) if len(w) >= 2]
    if not usable:
        raise NoiseModelError(
            "A time series needs two frames or more along T or S, and these images have none; choose "
            "another source, or correct the axes."
        )
    evidence = Evidence(f"from differences of neighbouring frames, {len(usable)} series")
    evidence.residuals_are = "differences"
    means = []
    for n, window in enumerate(usable):
        check_stop(stop)
        frames = np.stack([read(stack, index) for stack, index in window])
        evidence.curves.append(series_curve(frames, kind))
        evidence.keep_residual((frames[1] - frames[0]) / np.sqrt(2.0))
        means.append(frames.mean())
        yield (n + 1) / len(usable), "comparing neighbouring frames"
    evidence.signal = float(np.mean(means))
    return evidence


def direction(planes: Sequence[np.ndarray]) -> tuple[str, str]:
    """Which differences see the whole noise, and a remark where it has a direction.

    Where noise is correlated along one axis (stripes, line noise), the whole variance is measured
    across the stripes, since what the noise model misses is kept as signal.
    """
    along_y, along_x = [], []
    for plane in planes:
        y, x = single_image_curve(plane, "y"), single_image_curve(plane, "x")
        n = min(len(y.variance), len(x.variance)) // 2  # the darker half: least signal left in it
        if n:
            along_y.append(np.median(y.variance[:n]))
            along_x.append(np.median(x.variance[:n]))
    if not along_y:
        return "diagonal", ""
    ratio = float(np.median(np.array(along_y) / np.maximum(along_x, 1e-12)))
    if 1 / STRUCTURED_RATIO < ratio < STRUCTURED_RATIO:
        return "diagonal", ""
    axis, across = ("x (rows)", "y") if ratio > 1 else ("y (columns)", "x")
    remark = (
        f"The noise is correlated along {axis}: its variance measured along {across} is "
        f"{max(ratio, 1 / ratio):.1f} times that measured along {axis[0]}. A pixel noise model cannot "
        "tell stripes from signal; its variance includes them. Switch off the bottom levels when "
        "restoring to remove the stripes."
    )
    return ("y" if ratio > 1 else "x"), remark
