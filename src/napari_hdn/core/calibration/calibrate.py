"""calibrate(): from images to a noise model that was judged; a generator of events."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_hdn.core.artefacts import structure_of_background, structure_of_residuals
from napari_hdn.core.artefacts.structure import Structure
from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.calibration import judging, processing
from napari_hdn.core.calibration.estimation import clipping_of
from napari_hdn.core.calibration.evidence import Evidence, Steps
from napari_hdn.core.calibration.fitting import (
    common_step,
    fit,
    fit_lines,
    scaled_apart,
    shared_line,
)
from napari_hdn.core.calibration.frames import sample_planes
from napari_hdn.core.calibration.record import Calibration
from napari_hdn.core.calibration.references import flat_field_evidence, pair_evidence
from napari_hdn.core.calibration.repeats import repeats_evidence
from napari_hdn.core.calibration.sources import (
    Proposal,
    direction,
    images_evidence,
    propose,
    series_evidence,
)
from napari_hdn.core.calibration.steps import Step, finish, part
from napari_hdn.core.config import CalibrationConfig
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.events import (
    CalibrationEvent,
    CalibrationFinished,
    CalibrationProgress,
    RateLimit,
    Stop,
    check_stop,
)
from napari_hdn.core.noise.base import Clipping, NoiseModel, load_noise_model
from napari_hdn.core.noise.curves import merged
from napari_hdn.core.statistics import measure_images

USELESS = 0.5  # share of saturated pixels above which nothing can be measured
MOST_SCALED = 50.0
BLURRED = 0.03  # lag 1 of the differences above that of white noise


def calibrate(
    images: Sequence[ImageStack],
    config: CalibrationConfig,
    *,
    dark: ImageStack | None = None,
    clean: ImageStack | None = None,
    meant_for: Sequence[ImageStack] | None = None,
    stop: Stop | None = None,
) -> Iterator[CalibrationEvent]:
    """Make a noise model from what the user has, and judge whether it is right.

    Parameters
    ----------
    images : sequence of ImageStack
        Where the noise is measured, in camera counts.
    config : CalibrationConfig
    dark : ImageStack, optional
        Frames without light, beside flat fields.
    clean : ImageStack, optional
        The clean image of the same field, for the source ``pair``.
    meant_for : sequence of ImageStack, optional
        The images to denoise, if they are others than ``images``.
    stop : Stop, optional
        Looked at between planes.

    Yields
    ------
    CalibrationEvent
        `CalibrationProgress` now and then, `CalibrationFinished` last.

    Raises
    ------
    ImageError, AxesError
        If images cannot be used.
    NoiseModelError
        If the source does not fit the images, with what to choose instead.
    StoppedEarly
        If ``stop`` was requested.
    """
    stop = stop or Stop()
    images = [s.of_channel(config.channel) for s in images]
    targets = [s.of_channel(config.channel) for s in meant_for] if meant_for else images
    began, speak = time.monotonic(), RateLimit()
    steps = _calibrate(images, config, dark, clean, targets, stop)
    while True:
        try:
            fraction, doing = next(steps)
        except StopIteration as over:
            yield CalibrationFinished(over.value)
            return
        check_stop(stop)
        if speak.ready():
            elapsed = time.monotonic() - began
            left = elapsed * (1 - fraction) / fraction if fraction > 0.02 else float("inf")
            yield CalibrationProgress(fraction, doing, elapsed, left)


def _calibrate(
    images: list[ImageStack],
    config: CalibrationConfig,
    dark: ImageStack | None,
    clean: ImageStack | None,
    targets: list[ImageStack],
    stop: Stop,
) -> Generator[Step, None, Calibration]:
    yield 0.0, "looking at the images"
    measure_images(images, stop)
    if targets is not images:
        measure_images(targets, stop)
    planes = sample_planes(images)
    clipping, low, high = clipping_of(planes)
    _check_usable(high, clipping, images)
    proposal = Proposal(config.source, "as you chose")
    if config.source == "auto":
        proposal = propose(images, dark=dark is not None, clean=clean is not None, stop=stop)
    source = proposal.source
    if source == "file":
        assert config.path is not None
        return _judged_file(_load(config.path), images, targets, planes, config, stop)
    kind, _ = direction(planes)
    gathering = _evidence(source, images, dark, clean, kind, config, stop)
    evidence = yield from part(gathering, 0.05, 0.6)
    yield 0.6, "looking for structure in the noise"
    structure = _structure(evidence, planes, config)
    step = common_step(planes)
    if source in ("images", "series") and kind == "diagonal":
        _take_whole_variance(evidence, structure, planes, step)
    fitted = yield from part(fit(evidence, images, config, kind, step, stop), 0.65, 0.95)
    model = fitted.model
    model.clipping = clipping
    measured = tuple(fitted.curves) if model.curves > 1 else (merged(evidence.curves),)
    yield 0.95, "judging the noise model"
    target_planes = sample_planes(targets)
    histogram = judging.signal_histogram(target_planes)
    checks = [
        judging.coverage(judging.covered(measured), histogram, line=model.signal_range is None),
        fitted.check or judging.fit_to_curves(model, measured, photons=fitted.photons),
        judging.saturation(clipping, low, high),
        judging.quantisation(model, measured, step, photons=fitted.photons),
        processing.processing(planes, measured, single=source in ("images", "series")),
        processing.slope(measured),
        judging.drift_check(evidence.drift),
        judging.structure_check(structure),
        judging.scaling_check(model, fitted.gains, apart=fitted.apart),
        judging.values_check(target_planes),
    ]
    return _recorded(
        Calibration(
            model,
            config,
            source,
            proposal.reason,
            measured,
            histogram,
            tuple(check for check in checks if check is not None),
            structure,
            tuple(evidence.remarks + fitted.remarks),
            describe_data(images),
        )
    )


def _load(path: Path) -> Calibration | NoiseModel:
    model = load_noise_model(path)
    return Calibration.of(model) or model


def _evidence(
    source: str,
    images: list[ImageStack],
    dark: ImageStack | None,
    clean: ImageStack | None,
    kind: str,
    config: CalibrationConfig,
    stop: Stop,
) -> Steps:
    if source == "repeats":
        return repeats_evidence(images, config.frames, seed=config.seed, stop=stop)
    if source == "series":
        return series_evidence(images, kind, stop=stop)
    if source == "flat_field":
        return flat_field_evidence(images, dark, kind, seed=config.seed, stop=stop)
    if source == "pair":
        if clean is None:
            raise NoiseModelError(
                "Choose the clean image of the same field (long exposure, or a mean of many frames)."
            )
        return pair_evidence(images, clean, seed=config.seed, stop=stop)
    return images_evidence(images, kind, stop=stop)


def _check_usable(saturated: float, clipping: Clipping | None, images: list[ImageStack]) -> None:
    if saturated > USELESS and clipping is not None:
        raise NoiseModelError(
            f"{100 * saturated:.0f} % of the pixels of {images[0].name} are saturated at "
            f"{clipping.high:g} counts; no noise is left to measure there. Record with less light, or "
            "calibrate on other images of the same camera."
        )


def _structure(
    evidence: Evidence, planes: Sequence[np.ndarray], config: CalibrationConfig
) -> Structure | None:
    """From the region that the user drew, else residuals, else background found in the images."""
    if config.background:
        return structure_of_background(planes, config.background)
    if evidence.residuals and evidence.residuals_are == "repeats":
        return structure_of_residuals(evidence.residuals, evidence.signal, "repeats")
    found = structure_of_background(planes)
    if found is None and evidence.residuals:
        return structure_of_residuals(evidence.residuals, evidence.signal, evidence.residuals_are)
    return found


def _take_whole_variance(
    evidence: Evidence, structure: Structure | None, planes: Sequence[np.ndarray], step: float
) -> None:
    """Where noise is blurred, its fine grain is only a part of it: scale that up to lag 0.

    What the likelihood does not count as noise is kept as signal. Fine texture all over an image
    looks like blurred noise in its autocorrelation, but leaves the differences of neighbours white;
    without a region that the user drew both have to agree.
    """
    if structure is None or structure.verdict != "structured":
        return
    blurred = min(processing.lag_1(planes)) - processing.WHITE_LAG_1 > BLURRED
    if structure.source == "background" and not blurred:
        return
    share = structure.difference_gain
    if not structure.fine_grain and structure.source in ("background", "region"):
        grain = float(shared_line(evidence.curves, step).variance(structure.signal))
        share = grain / max(structure.variance, 1e-30)
    share = float(np.clip(share, 1 / MOST_SCALED, 1.0))
    if share > 0.95:
        return
    evidence.curves = [c.scaled(1 / share) for c in evidence.curves]
    evidence.remarks.append(
        f"The fine grain holds {100 * share:.2g} % of the noise's variance only, since neighbouring "
        f"pixels agree; all variances were taken {1 / share:.2g} times as large, so that the "
        "likelihood gets the whole variance."
    )


def _judged_file(
    loaded: Calibration | NoiseModel,
    images: list[ImageStack],
    targets: list[ImageStack],
    planes: Sequence[np.ndarray],
    config: CalibrationConfig,
    stop: Stop,
) -> Calibration:
    """A loaded noise model beside these images' own noise, as each image alone shows it."""
    model = loaded if isinstance(loaded, NoiseModel) else loaded.noise_model
    kind, _ = direction(planes)
    own = finish(images_evidence(images, kind, stop=stop))
    structure = _structure(own, planes, config)
    step = common_step(planes)
    if kind == "diagonal":
        _take_whole_variance(own, structure, planes, step)
    measured = (merged(own.curves),)
    clipping, low, high = clipping_of(planes)
    lines = fit_lines(own.curves, step)
    histogram = judging.signal_histogram(sample_planes(targets))
    known = model.signal_range
    if known is None and isinstance(loaded, Calibration):
        known = judging.covered(loaded.measured)
    checks = [
        None
        if known is None
        else judging.coverage(known, histogram, line=model.signal_range is None),
        judging.fit_to_curves(model, measured, photons=False),
        judging.saturation(clipping, low, high),
        judging.quantisation(model, measured, step, photons=False),
        processing.processing(planes, measured, single=True),
        processing.slope(measured),
        judging.structure_check(structure),
        judging.scaling_check(model, [x.gain for x in lines], apart=scaled_apart(lines)),
        judging.values_check(planes),
    ]
    reason = "as you chose"
    if isinstance(loaded, Calibration):
        reason = f"made {loaded.noise_model.source} of {', '.join(loaded.data)[:200]}"
    return _recorded(
        Calibration(
            model,
            config,
            "file",
            reason,
            measured,
            histogram,
            tuple(check for check in checks if check is not None),
            structure,
            (*own.remarks, "The points in the plot are the noise of these images themselves."),
            describe_data(images),
        )
    )


def _recorded(calibration: Calibration) -> Calibration:
    """The noise model takes the record along, to its file and to the model trained with it."""
    calibration.noise_model.calibration = calibration.record()
    return calibration
