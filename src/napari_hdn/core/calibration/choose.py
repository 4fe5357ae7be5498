"""From the images and what the user chose to the noise model that training gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_hdn.core.artefacts import structure_of_background
from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.calibration.estimation import (
    clipping_of,
    quantisation_step,
    repeats_curve,
    single_image_curve,
)
from napari_hdn.core.calibration.fitting import (
    apart_remark,
    common_step,
    curve_per_plane,
    fit_lines,
    line_per_curve,
    model_of_lines,
    scaled_apart,
    shared_line,
)
from napari_hdn.core.calibration.frames import central, sample_planes, static_runs
from napari_hdn.core.calibration.sources import direction
from napari_hdn.core.calibration.whole import whole_variance
from napari_hdn.core.config import NoiseConfig
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.base import NoiseModel, load_noise_model
from napari_hdn.core.noise.curves import fit_line
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.noise.typical import typical_curve, units_of
from napari_hdn.core.normalisation import NoiseCurve

SATURATED = 1e-3
UNCOVERED = 0.01  # share of pixels outside a noise model's range that is worth a word


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

    Quick, as every training begins with it; `calibrate` takes its time and judges the result.
    """
    remarks: list[str] = []
    runs = static_runs(images, stop)
    planes = sample_planes(images)
    kind, remark = direction(planes)
    if remark:
        remarks.append(remark)
    if runs:
        repeats = [repeats_curve(frames, kind) for frames in runs]
        measured = [curve for curve, _ in repeats]
        if sum(moves for _, moves in repeats) > len(repeats) / 2:
            source = f"from differences of neighbouring frames, {len(runs)} series"
        else:
            fields = f"{len(runs)} static field{'s' if len(runs) != 1 else ''}"
            source = f"from {fields} with {len(runs[0])} repeats"
    else:
        measured = []
        for plane in planes:
            check_stop(stop)
            measured.append(single_image_curve(plane, kind))
        source = "from the noisy images alone"
    step = common_step(planes)
    structure = structure_of_background(planes)
    factor = 1.0
    if kind == "diagonal" and (not runs or "differences" in source):
        factor, remark = whole_variance(measured, structure, planes, step)
        if remark:
            remarks.append(remark)
            measured = [curve.scaled(factor) for curve in measured]
    lines = fit_lines(measured, step)
    clipping, _, saturated = clipping_of(planes)
    if clipping is not None and clipping.high is not None and saturated > SATURATED:
        remarks.append(
            f"{100 * saturated:.2g} % of the pixels are saturated at {clipping.high:g} counts; the "
            "likelihood knows that their true counts were this or more, but not how many."
        )
    apart = scaled_apart(lines)
    if curves == "per_image" or (curves == "auto" and apart):
        if apart:
            remarks.append(apart_remark(lines))
        every = line_per_curve(curve_per_plane(images, kind, stop, factor), step)
        model = model_of_lines(every, f"{source}, a curve per image", kind, factor)
    else:
        model = model_of_lines([shared_line(measured, step)], source, kind, factor)
    model.clipping = clipping
    model.structured = structure is not None and structure.verdict == "structured"
    return model, remarks


def for_images(
    model: NoiseModel, images: Sequence[ImageStack], stop: Stop | None = None
) -> tuple[NoiseModel, list[str]]:
    """A noise model that was made for other images, for these.

    One curve serves all images of a camera; curves per image belong to the images that they were
    estimated from, so that these images get their own.
    """
    remarks = [] if model.signal_range is None else _coverage(model, images)
    inner = model.inner if isinstance(model, Refined) else model
    if model.curves == 1 or (
        model.calibration is not None and model.calibration.get("data") == [*describe_data(images)]
    ):
        return model, remarks
    if not isinstance(inner, PoissonGaussian) or inner.curves == 1:
        assert isinstance(model, Refined)  # scales of single images mean nothing for others
        middle = float(np.median(model.scale.cpu().numpy()))
        remark = (
            f"The noise model was scaled for each of {model.curves} other images; here it is scaled by "
            f"{middle:.2f}, the median."
        )
        kept = Refined(inner, [middle], model.units)
        kept.clipping, kept.calibration = model.clipping, model.calibration
        kept.structured = model.structured
        return kept, [*remarks, remark]
    step = common_step(sample_planes(images))
    curves = curve_per_plane(images, inner.differences, stop, inner.factor)
    lines = line_per_curve(curves, step)
    remark = (
        f"The noise model holds a curve for each of {model.curves} images that were scaled apart; "
        f"the {len(lines)} images here get curves of their own, estimated from themselves."
    )
    source = "from the noisy images alone, a curve per image"
    own = model_of_lines(lines, source, inner.differences, inner.factor)
    own.clipping, own.calibration = model.clipping, model.calibration
    own.structured = model.structured
    return own, [remark]


def _coverage(model: NoiseModel, images: Sequence[ImageStack]) -> list[str]:
    """Whether signals of the images lie outside the range that the model was measured in."""
    assert model.signal_range is not None
    low, high = model.signal_range
    signals = np.concatenate([gaussian_filter(p, 2.0).ravel() for p in sample_planes(images)])
    outside = float(np.mean((signals < low) | (signals > high)))
    if outside <= UNCOVERED:
        return []
    return [
        f"The noise model was measured from {low:.4g} to {high:.4g} counts, but the images' signal runs "
        f"from {signals.min():.4g} to {signals.max():.4g}: {100 * outside:.2g} % of the pixels lie "
        "outside, where the noise of the nearest signal is taken. Calibrate on images that cover it."
    ]


def curve_of_plane(model: NoiseModel, plane: np.ndarray) -> NoiseCurve | None:
    """The noise curve of an image that may not have been trained on.

    Where the model has a curve per image, this one's is estimated from itself, since it may have
    been scaled differently from all others.
    """
    model = units_of(model)
    if not isinstance(model, PoissonGaussian) or model.curves == 1:
        return model.curve()
    part = plane[central(*plane.shape)]
    curve = single_image_curve(part, model.differences).scaled(model.factor)
    line = fit_line(curve, quantisation_step(part))
    if line is None:
        return typical_curve(model)
    values = (line.gain, line.offset, line.floor)
    return NoiseCurve(*(torch.tensor(v, dtype=torch.float32) for v in values))
