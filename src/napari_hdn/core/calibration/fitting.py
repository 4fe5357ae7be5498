"""From what was measured to a noise model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration import judging
from napari_hdn.core.calibration.estimation import quantisation_step, single_image_curve
from napari_hdn.core.calibration.evidence import Evidence, Pairs, joined
from napari_hdn.core.calibration.frames import read
from napari_hdn.core.calibration.record import Check
from napari_hdn.core.calibration.repeats import FEW
from napari_hdn.core.calibration.steps import Step, in_thread, part
from napari_hdn.core.config import CalibrationConfig
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import Stop, check_stop
from napari_hdn.core.noise.base import NoiseModel
from napari_hdn.core.noise.curves import (
    MeasuredCurve,
    NoiseLine,
    counts_photons,
    fit_line,
    merged,
    pool,
)
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.gmm import fit_gmm
from napari_hdn.core.noise.histogram import fit_histogram
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian

MOST_SHOWN = 16  # curves of single images that are kept to be looked at
_NAMES = {"gmm": "Gaussian mixture (GMM)", "histogram": "histogram"}

# a dark curve against a bright one of the same camera differ less than this, images that were
# scaled apart more: 0.02 on fmd_confocal_bpae_b, 0.5 on w2s_widefield
APART_LOG_GAIN = 0.15


def scaled_apart(lines: Sequence[NoiseLine]) -> bool:
    """Whether the gains differ by more than their errors and more than one camera's would."""
    sure = [x for x in lines if x.gain > 3 * x.gain_error]
    if len(sure) < 2 or len(sure) < 0.5 * len(lines):
        return False
    log_gain = np.log([x.gain for x in sure])
    error = float(np.median([x.gain_error / x.gain for x in sure]))
    spread = float(np.std(log_gain))
    return spread > APART_LOG_GAIN and spread > 3 * error


def fit_lines(curves: Sequence[MeasuredCurve], step: float) -> list[NoiseLine]:
    """A line for each curve that allows one; of small images one for all together.

    Raises
    ------
    NoiseModelError
        If they allow none.
    """
    lines = [fit_line(curve, step) for curve in curves]
    good = [line for line in lines if line is not None]
    if not good and len(curves) > 1:
        good = [line for line in [fit_line(pool(curves), step)] if line is not None]
    if not good:
        raise NoiseModelError(
            "The noise could not be estimated from these images: they are too small or too uniform. "
            "Give its sigma in counts instead, or load a noise model."
        )
    return good


def shared_line(curves: Sequence[MeasuredCurve], step: float) -> NoiseLine:
    """One line for all curves.

    Raises
    ------
    NoiseModelError
        If they allow none.
    """
    (line,) = fit_lines([pool(curves)], step)
    return line


def curve_per_plane(
    images: Sequence[ImageStack], kind: str, stop: Stop | None, factor: float = 1.0
) -> list[MeasuredCurve]:
    """The noise curve of every plane, as each alone shows it, times a factor."""
    curves = []
    for stack in images:
        for index in stack.indices():
            check_stop(stop)
            curves.append(single_image_curve(read(stack, index), kind).scaled(factor))
    return curves


def line_per_curve(curves: Sequence[MeasuredCurve], step: float) -> list[NoiseLine]:
    """A line for each curve; one that allows none takes the median of the others.

    Raises
    ------
    NoiseModelError
        If none allows one.
    """
    lines = [fit_line(curve, step) for curve in curves]
    good = [x for x in lines if x is not None]
    if not good:
        raise NoiseModelError("No image allows an estimate of its own noise; use a shared curve.")
    middle = sorted(good, key=lambda x: x.gain)[len(good) // 2]
    return [x if x is not None else middle for x in lines]


def apart_remark(lines: Sequence[NoiseLine]) -> str:
    """That images were scaled apart, with the gains."""
    low, high = min(x.gain for x in lines), max(x.gain for x in lines)
    return (
        f"The images were scaled apart: their noise gains run from {low:.3g} to {high:.3g} "
        "counts. Each image gets a noise curve of its own."
    )


def model_of_lines(
    lines: Sequence[NoiseLine], source: str, kind: str, factor: float = 1.0
) -> PoissonGaussian:
    """A Poisson-Gaussian model with one curve, or one per image."""
    return PoissonGaussian(
        [x.gain for x in lines],
        [x.offset for x in lines],
        [x.floor for x in lines],
        source,
        kind,
        factor,
    )


@dataclass(frozen=True)
class Fitted:
    """A noise model as fitted, and what was seen on the way.

    Attributes
    ----------
    model : NoiseModel
    curves : list of MeasuredCurve
        Where the model has a curve per image, those of the first images; else empty.
    gains : list of float
        Of each field or image by itself.
    apart : bool
        Whether the images were scaled apart.
    photons : bool
        Whether grey levels are photons.
    check : Check or None
        How counts with known signals fall under the model, where there are such.
    """

    model: NoiseModel
    curves: list[MeasuredCurve]
    gains: list[float]
    apart: bool
    photons: bool
    check: Check | None
    remarks: list[str]


def fit(
    evidence: Evidence,
    images: Sequence[ImageStack],
    config: CalibrationConfig,
    kind: str,
    step: float,
    stop: Stop | None,
) -> Generator[Step, None, Fitted]:
    """Fit the noise model that was asked for, or for ``auto`` the simplest that describes the noise.

    Raises
    ------
    NoiseModelError
        If the evidence does not allow a fit, or not one of that kind.
    """
    yield 0.0, "fitting the noise model"
    lines = fit_lines(evidence.curves, step)
    apart = scaled_apart(lines)
    gains = [line.gain for line in lines]
    remarks: list[str] = []
    per_image = config.curves == "per_image" or (config.curves == "auto" and apart)
    wanted = config.model
    if wanted in ("gmm", "histogram") and not evidence.pairs:
        raise NoiseModelError(
            f"A {_NAMES[wanted]} is fitted to counts whose signal is known, and the noise measured "
            f"{evidence.words} does not tell that. Choose Poisson-Gaussian; or calibrate from "
            f"{FEW} or more repeats, a flat field, or a clean and a noisy image."
        )
    if per_image and wanted in ("auto", "poisson_gaussian"):
        curves, every = yield from _curves_per_image(evidence, images, kind, step, stop)
        if apart:
            remarks.append(apart_remark(lines))
        words = f"{evidence.words}, a curve per image"
        model: NoiseModel = model_of_lines(every, words, kind, evidence.factor)
        return Fitted(model, curves[:MOST_SHOWN], gains, apart, False, None, remarks)
    if per_image:
        remarks.append(
            f"A {_NAMES.get(wanted, 'Gaussian')} model holds one curve for all images; only "
            "Poisson-Gaussian models hold one for each."
        )
    line = shared_line(evidence.curves, step)
    if wanted == "gaussian":
        whole = pool(evidence.curves)
        rounding = 0.0 if counts_photons(line, step) else whole.rounding
        variance = float(np.average(np.maximum(whole.variance - rounding, 0), weights=whole.number))
        model = Gaussian(max(variance, line.floor) ** 0.5)
    else:
        model = model_of_lines([line], evidence.words, kind, evidence.factor)
    pairs = [joined(evidence.pairs)] if evidence.pairs else []
    check = judging.fit_to_pairs(model, pairs, step)
    shape = wanted if wanted in ("gmm", "histogram") else None
    if wanted == "auto" and check is not None and check.verdict != "good" and not apart:
        shape = "gmm"
    if shape is not None:
        floor = max(0.25 * line.floor, step**2 / 12)
        fitting = _fit_shape(shape, pairs[0], merged(evidence.curves), config, floor, step, stop)
        shaped = yield from part(fitting, 0.1, 0.95)
        shaped.source = evidence.words
        better = judging.fit_to_pairs(shaped, pairs, step)
        improves = check is not None and better is not None and better.value < 0.8 * check.value
        if wanted != "auto" or improves:
            if wanted == "auto" and check is not None and better is not None:
                remarks.append(
                    f"Poisson-Gaussian noise does not describe these counts (off by "
                    f"{100 * check.value:.2g} % at worst), a GMM does better "
                    f"({100 * better.value:.2g} %)."
                )
            model, check = shaped, better
    model.source = evidence.words
    return Fitted(model, [], gains, apart, counts_photons(line, step), check, remarks)


def _curves_per_image(
    evidence: Evidence, images: Sequence[ImageStack], kind: str, step: float, stop: Stop | None
) -> Generator[Step, None, tuple[list[MeasuredCurve], list[NoiseLine]]]:
    """Each image's own curve: from the evidence where it has one of each, else from the image."""
    curves = evidence.curves
    if len(curves) != sum(len(stack) for stack in images):
        yield 0.1, "measuring the noise of each image"
        curves = curve_per_plane(images, kind, stop, evidence.factor)
    return curves, line_per_curve(curves, step)


def _fit_shape(
    kind: str,
    pairs: Pairs,
    curve: MeasuredCurve,
    config: CalibrationConfig,
    floor: float,
    step: float,
    stop: Stop | None,
) -> Generator[Step, None, NoiseModel]:
    """Fit a GMM or a histogram, in a thread that tells how far it is."""
    if kind == "histogram":
        yield 0.0, "counting how counts spread around each signal"
        return fit_histogram(pairs.counts, pairs.signal, floor=floor, step=step, seed=config.seed)
    mixture = yield from in_thread(
        lambda tell: fit_gmm(
            pairs.counts,
            pairs.signal,
            components=config.components,
            coefficients=config.coefficients,
            floor=floor,
            step=step,
            seed=config.seed,
            curve=curve,
            stop=stop,
            tell=tell,
        ),
        "fitting a mixture of normal distributions",
    )
    return mixture


def common_step(planes: Sequence[np.ndarray]) -> float:
    """The finest grey-level step of the images; 0 where none has one. A blank image has none."""
    return min((s for p in planes if (s := quantisation_step(p)) > 0), default=0.0)
