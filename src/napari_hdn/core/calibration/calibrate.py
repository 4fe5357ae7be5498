"""calibrate(): from images to a noise model that was judged; a generator of events."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_hdn.core.artefacts import structure_of_background, structure_of_residuals
from napari_hdn.core.artefacts.structure import Structure
from napari_hdn.core.axes import ImageStack, describe_data
from napari_hdn.core.calibration import judging, processing
from napari_hdn.core.calibration.choose import for_images
from napari_hdn.core.calibration.estimation import clipping_of
from napari_hdn.core.calibration.evidence import Evidence, Steps
from napari_hdn.core.calibration.fitting import (
    MOST_SHOWN,
    common_step,
    curve_per_plane,
    fit,
    fit_lines,
    scaled_apart,
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
from napari_hdn.core.calibration.whole import structure_of_regions, whole_variance
from napari_hdn.core.config import CalibrationConfig
from napari_hdn.core.errors import ImageError, NoiseModelError
from napari_hdn.core.events import (
    CalibrationEvent,
    CalibrationFinished,
    CalibrationProgress,
    RateLimit,
    Stop,
    check_stop,
)
from napari_hdn.core.noise.base import Clipping, NoiseModel, load_noise_model
from napari_hdn.core.noise.curves import MeasuredCurve, merged
from napari_hdn.core.recipes.images import identify

USELESS = 0.5  # share of saturated pixels above which nothing can be measured
LEAST_SIDE_PX = 12


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
    dark = None if dark is None else dark.of_channel(config.channel)
    clean = None if clean is None else clean.of_channel(config.channel)
    targets = [s.of_channel(config.channel) for s in meant_for] if meant_for else images
    began, speak = time.monotonic(), RateLimit()
    steps = _identified(
        _calibrate(images, config, dark, clean, targets, stop), images, dark, clean, stop
    )
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


def _identified(
    steps: Generator[Step, None, Calibration],
    images: list[ImageStack],
    dark: ImageStack | None,
    clean: ImageStack | None,
    stop: Stop,
) -> Generator[Step, None, Calibration]:
    """The calibration with a record of which images it was made of, for its file and for recipes."""
    found = yield from steps
    yield 0.99, "noting which images these are"
    calibration = replace(
        found,
        images=tuple(identify(stack, stop) for stack in images),
        dark=None if dark is None else identify(dark, stop),
        clean=None if clean is None else identify(clean, stop),
    )
    # the noise model takes the record along, to its file and to the model trained with it
    calibration.noise_model.calibration = calibration.record()
    return calibration


def _calibrate(
    images: list[ImageStack],
    config: CalibrationConfig,
    dark: ImageStack | None,
    clean: ImageStack | None,
    targets: list[ImageStack],
    stop: Stop,
) -> Generator[Step, None, Calibration]:
    yield 0.0, "looking at the images"
    planes = sample_planes(images)
    _check_varied(planes, images)
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
    structure = _structure(evidence, images, planes, config)
    step = common_step(planes)
    if source in ("images", "series") and kind == "diagonal":
        _take_whole(evidence, structure, planes, step)
    fitted = yield from part(fit(evidence, images, config, kind, step, stop), 0.65, 0.95)
    model = fitted.model
    model.clipping = clipping
    model.structured = structure is not None and structure.verdict == "structured"
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
    return Calibration(
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


def _take_whole(
    evidence: Evidence, structure: Structure | None, planes: Sequence[np.ndarray], step: float
) -> None:
    factor, remark = whole_variance(evidence.curves, structure, planes, step)
    if remark:
        evidence.scale(factor)
        evidence.remarks.append(remark)


def _check_varied(planes: Sequence[np.ndarray], images: Sequence[ImageStack]) -> None:
    if all(plane.min() == plane.max() for plane in planes):
        raise ImageError(
            f"{images[0].name} is constant: every pixel is {planes[0].flat[0]:g}; there is no noise in "
            "it to measure."
        )
    least = min(min(plane.shape) for plane in planes)
    if least < LEAST_SIDE_PX:
        raise ImageError(
            f"{images[0].name} is {' x '.join(map(str, planes[0].shape))} pixels; noise is measured on "
            f"images of {LEAST_SIDE_PX} x {LEAST_SIDE_PX} or more."
        )


def _check_usable(saturated: float, clipping: Clipping | None, images: list[ImageStack]) -> None:
    if saturated > USELESS and clipping is not None:
        raise NoiseModelError(
            f"{100 * saturated:.0f} % of the pixels of {images[0].name} are saturated at "
            f"{clipping.high:g} counts; no noise is left to measure there. Record with less light, or "
            "calibrate on other images of the same camera."
        )


def _structure(
    evidence: Evidence,
    images: Sequence[ImageStack],
    planes: Sequence[np.ndarray],
    config: CalibrationConfig,
) -> Structure | None:
    """From the region that the user drew, else residuals, else background found in the images."""
    if config.background:
        return structure_of_regions(images, config.background)
    if evidence.residuals and evidence.residuals_are == "repeats":
        return structure_of_residuals(evidence.residuals, evidence.signal, "repeats")
    found = structure_of_background(planes)
    if found is None and evidence.residuals:
        return structure_of_residuals(evidence.residuals, evidence.signal, evidence.residuals_are)
    return found


def _judged_file(
    loaded: Calibration | NoiseModel,
    images: list[ImageStack],
    targets: list[ImageStack],
    planes: Sequence[np.ndarray],
    config: CalibrationConfig,
    stop: Stop,
) -> Calibration:
    """A loaded noise model beside these images' own noise, as each image alone shows it."""
    made = loaded if isinstance(loaded, NoiseModel) else loaded.noise_model
    model, remarks = for_images(made, images, stop)
    kind, _ = direction(planes)
    own = finish(images_evidence(images, kind, stop=stop))
    structure = _structure(own, images, planes, config)
    step = common_step(planes)
    if kind == "diagonal":
        _take_whole(own, structure, planes, step)
    measured: tuple[MeasuredCurve, ...] = (merged(own.curves),)
    if model.curves > 1:
        measured = tuple(curve_per_plane(images, kind, stop, own.factor)[:MOST_SHOWN])
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
    return Calibration(
        model,
        config,
        "file",
        reason,
        measured,
        histogram,
        tuple(check for check in checks if check is not None),
        structure,
        (
            *remarks,
            *own.remarks,
            "The points in the plot are the noise of these images themselves.",
        ),
        describe_data(images),
    )
