"""From the images and what the user chose to the noise model that training gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NoiseConfig
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.base import NoiseModel, load_noise_model
from napari_hdn.core.noise.estimation import (
    NoiseLine,
    fit_line,
    is_static_pair,
    pool,
    quantisation_step,
    repeats_curve,
    single_image_curve,
)
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.normalisation import NoiseCurve
from napari_hdn.core.statistics import check_finite, spread_planes

LOOK_AT = 16  # planes or windows that decide what kind of noise this is
WINDOW = 32  # consecutive frames
FRAMES_PER_RUN = 16
MAX_SIDE_PX = 768
STRUCTURED_RATIO = 1.25  # variance along one axis against the other
SATURATED = 1e-3

# a dark curve against a bright one of the same camera differ less than this, images that were
# scaled apart more: 0.02 on fmd_confocal_bpae_b, 0.5 on w2s_widefield
APART_LOG_GAIN = 0.15


def make_noise_model(
    images: Sequence[ImageStack], config: NoiseConfig, stop: Stop | None = None
) -> tuple[NoiseModel, list[str]]:
    """Load, take or estimate the noise model.

    Returns
    -------
    noise_model : NoiseModel
    remarks : list of str
        What the user should know about it.

    Raises
    ------
    NoiseModelError
        If a file is no noise model, or the images do not allow an estimate.
    """
    if config.source == "gaussian":
        assert config.sigma is not None
        return Gaussian(config.sigma), []
    if config.source == "file":
        assert config.path is not None
        return for_images(load_noise_model(config.path), images, stop)
    return estimate(images, config.curves, stop)


def estimate(
    images: Sequence[ImageStack], curves: str = "auto", stop: Stop | None = None
) -> tuple[PoissonGaussian, list[str]]:
    """Estimate variance = gain * s + offset from repeats where there are any, else from each image.

    Where noise is correlated along one axis (stripes, line noise), the whole variance is measured
    across the stripes, since what the noise model misses is kept as signal.
    """
    remarks: list[str] = []
    runs = _static_runs(images, stop)
    planes = _look_at(images)
    kind, remark = _direction(planes)
    if remark:
        remarks.append(remark)
    if runs:
        repeats = [repeats_curve(frames, kind) for frames in runs]
        measured = [curve for curve, _ in repeats]
        if sum(moves for _, moves in repeats) > len(repeats) / 2:
            source = f"from differences of neighbouring frames, {len(runs)} series"
        else:
            source = f"from {len(runs)} static field(s) with {len(runs[0])} repeats"
    else:
        measured = []
        for plane in planes:
            check_stop(stop)
            measured.append(single_image_curve(plane, kind))
        source = "from the noisy images alone"
    step = min(quantisation_step(p) for p in planes)
    lines = [fit_line(curve, step) for curve in measured]
    good = [line for line in lines if line is not None]
    if not good:
        raise NoiseModelError(
            "The noise could not be estimated from these images: they are too small or too uniform. "
            "Give its sigma in counts instead, or load a noise model."
        )
    remarks += _clipping(planes)
    apart = _scaled_apart(good)
    if curves == "per_image" or (curves == "auto" and apart):
        low, high = min(x.gain for x in good), max(x.gain for x in good)
        if apart:
            remarks.append(
                f"The images were scaled apart: their noise gains run from {low:.3g} to {high:.3g} "
                "counts. Each image gets a noise curve of its own."
            )
        every = _line_per_plane(images, kind, step, stop)
        return _model(every, f"{source}, a curve per image", kind), remarks
    shared = fit_line(pool(measured), step)
    assert shared is not None
    return _model([shared], source, kind), remarks


def for_images(
    model: NoiseModel, images: Sequence[ImageStack], stop: Stop | None = None
) -> tuple[NoiseModel, list[str]]:
    """A noise model that was made for other images, for these.

    One curve serves all images of a camera; curves per image belong to the images that they were
    estimated from, so that these images get their own.
    """
    if not isinstance(model, PoissonGaussian) or model.curves == 1:
        return model, []
    step = min(quantisation_step(p) for p in _look_at(images))
    lines = _line_per_plane(images, model.differences, step, stop)
    remark = (
        f"The noise model holds a curve for each of {model.curves} images that were scaled apart; "
        f"the {len(lines)} images here get curves of their own, estimated from themselves."
    )
    source = "from the noisy images alone, a curve per image"
    return _model(lines, source, model.differences), [remark]


def curve_of_plane(model: NoiseModel, plane: np.ndarray) -> NoiseCurve | None:
    """The noise curve of an image that may not have been trained on.

    Where the model has a curve per image, this one's is estimated from itself, since it may have
    been scaled differently from all others.
    """
    if not isinstance(model, PoissonGaussian) or model.curves == 1:
        return model.curve()
    part = plane[_central(*plane.shape)]
    line = fit_line(single_image_curve(part, model.differences), quantisation_step(part))
    if line is None:
        middle = torch.argsort(model.gain)[model.curves // 2]
        return model.curve(middle[None])
    values = (line.gain, line.offset, line.floor)
    return NoiseCurve(*(torch.tensor(v, dtype=torch.float32) for v in values))


def _model(lines: Sequence[NoiseLine], source: str, kind: str) -> PoissonGaussian:
    return PoissonGaussian(
        [x.gain for x in lines], [x.offset for x in lines], [x.floor for x in lines], source, kind
    )


def _central(height: int, width: int) -> tuple[slice, slice]:
    """At most MAX_SIDE_PX a side, from the middle: enough to measure noise, in bounded time."""
    y0, x0 = (max(0, (n - MAX_SIDE_PX) // 2) for n in (height, width))
    return slice(y0, min(y0 + MAX_SIDE_PX, height)), slice(x0, min(x0 + MAX_SIDE_PX, width))


def _read(stack: ImageStack, index: tuple[int, ...]) -> np.ndarray:
    part = stack.crop(index, *_central(*stack.plane_shape))
    check_finite(part, stack.name, index)
    return part


def _look_at(images: Sequence[ImageStack]) -> list[np.ndarray]:
    return [_read(stack, index) for stack, index, _ in spread_planes(images, LOOK_AT)]


def _static_runs(images: Sequence[ImageStack], stop: Stop | None) -> list[np.ndarray]:
    """Runs of consecutive frames of a static scene, as (R, Y, X); none if most frames are in none.

    Looks at up to `LOOK_AT` windows of `WINDOW` frames, spread over all images.
    """
    runs: list[np.ndarray] = []
    seen = inside = 0
    for window in _windows(images):
        check_stop(stop)
        for frames in _runs_in(window):
            seen += len(frames)
            if len(frames) >= 2:
                inside += len(frames)
                runs.append(np.stack(frames))
    return runs if runs and inside >= 0.5 * seen else []


Frame = tuple[ImageStack, tuple[int, ...]]


def _windows(images: Sequence[ImageStack]) -> list[list[Frame]]:
    """Consecutive frames, along S or T only: neighbours in Z or C are other images."""
    windows: list[list[Frame]] = []
    for stack in images:
        fixed = [k for k, letter in enumerate(stack.leading_axes) if letter not in "ST"]
        series: dict[tuple[int, ...], list[Frame]] = {}
        for index in stack.indices():
            series.setdefault(tuple(index[k] for k in fixed), []).append((stack, index))
        for frames in series.values():
            windows += [frames[k : k + WINDOW] for k in range(0, len(frames), WINDOW)]
    keep = np.linspace(0, len(windows) - 1, min(LOOK_AT, len(windows))).round().astype(int)
    return [windows[k] for k in keep]


def _runs_in(window: Sequence[Frame]) -> Iterator[list[np.ndarray]]:
    run: list[np.ndarray] = []
    for stack, index in window:
        frame = _read(stack, index)
        if run and not (len(run) < FRAMES_PER_RUN and is_static_pair(run[0], frame)):
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _direction(planes: Sequence[np.ndarray]) -> tuple[str, str]:
    """Which differences see the whole noise, and a remark where it has a direction."""
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


def _scaled_apart(lines: Sequence[NoiseLine]) -> bool:
    """Whether the gains differ by more than their errors and more than one camera's would."""
    sure = [x for x in lines if x.gain > 3 * x.gain_error]
    if len(sure) < 2 or len(sure) < 0.5 * len(lines):
        return False
    log_gain = np.log([x.gain for x in sure])
    error = float(np.median([x.gain_error / x.gain for x in sure]))
    spread = float(np.std(log_gain))
    return spread > APART_LOG_GAIN and spread > 3 * error


def _line_per_plane(
    images: Sequence[ImageStack], kind: str, step: float, stop: Stop | None
) -> list[NoiseLine]:
    """One fit for every plane; a plane that allows none takes the median of the others."""
    lines: list[NoiseLine | None] = []
    for stack in images:
        for index in stack.indices():
            check_stop(stop)
            lines.append(fit_line(single_image_curve(_read(stack, index), kind), step))
    good = [x for x in lines if x is not None]
    if not good:
        raise NoiseModelError("No image allows an estimate of its own noise; use a shared curve.")
    middle = sorted(good, key=lambda x: x.gain)[len(good) // 2]
    return [x if x is not None else middle for x in lines]


def _clipping(planes: Sequence[np.ndarray]) -> list[str]:
    top = max(float(p.max()) for p in planes)
    share = float(np.mean([np.mean(p == top) for p in planes]))
    if share <= SATURATED:
        return []
    return [
        f"{100 * share:.2g} % of the pixels are saturated at {top:g} counts; restored values there "
        "are too low."
    ]
