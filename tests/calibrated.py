"""Calibrations as the core makes them, of simulated Poisson-Gaussian noise, without measuring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_hdn.core.artefacts import Structure
from napari_hdn.core.calibration.record import Calibration, Check, SignalHistogram
from napari_hdn.core.config import CalibrationConfig
from napari_hdn.core.noise.curves import MeasuredCurve
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian

GOOD = (
    Check("coverage", "good", 0.001, "The noise was measured from 110 to 420 counts."),
    Check("fit", "good", 0.01, "Counts fall as the model says, but for 1 % of them at worst."),
    Check("saturation", "good", 0.0, "No pixels worth mentioning are cut off."),
    Check("quantisation", "good", 0.08, "Grey levels are 0.08 sigma apart at the darkest signal."),
    Check("slope", "good", 2.0, "The variance grows by 2 counts with each count of signal."),
)
DOUBTFUL = Check(
    "drift", "doubtful", 1.3, "The field moved by 1.3 pixels at most.", "Register the frames."
)
BAD = Check(
    "processing",
    "bad",
    0.31,
    "Neighbouring pixels agree by 0.31: the images were smoothed or resampled.",
    "Take the raw images; after smoothing no pixel-noise model is right.",
)


def white_structure(seed: int = 0) -> Structure:
    """Of noise without structure: 49 x 49 lags, point-symmetric, within its bound."""
    return _structure(np.random.default_rng(seed).normal(0, 0.004, (49, 49)), 0, "white")


def striped_structure() -> Structure:
    """Of noise that is correlated along x over 7 pixels."""
    lags = np.arange(-24, 25)
    along = np.exp(-0.5 * (lags / 3.5) ** 2)
    across = np.where(lags == 0, 1.0, 0.02)
    noise = np.random.default_rng(1).normal(0, 0.004, (49, 49))
    return _structure(0.6 * across[:, None] * along[None] + noise, 7, "structured")


def _structure(image: np.ndarray, reach: int, verdict: str) -> Structure:
    image = (image + image[::-1, ::-1]) / 2
    image[24, 24] = 1
    return Structure("background", image, 0.015, 0, reach, 31.0, 104.0, verdict)


def make_calibration(
    *checks: Check,
    curves: int = 1,
    structure: Structure | None = None,
    signals: tuple[float, float] = (110, 420),
    **fields: object,
) -> Calibration:
    """Variance 2 s - 190 (gain 2, 100 counts offset, read noise), measured at ``signals``.

    Curve k has a gain of 2 + k. The images' signals run from 105 to 500 counts.
    """
    rng = np.random.default_rng(7)
    gains = 2.0 + np.arange(curves)
    model = PoissonGaussian(gains, 10 - 100 * gains, [1.0] * curves, source="measured on repeats")
    signal = np.linspace(*signals, 24)
    number = np.full(24, 2000.0)
    measured = []
    for k in range(curves):
        truth = model.variance_curve(signal, k)
        variance = truth * (1 + rng.normal(0, 1, 24) * np.sqrt(2 / number))
        measured.append(MeasuredCurve(signal, variance, number, np.full(24, 1 / 12)))
    edges = np.linspace(105, 500, 97)
    pixels = np.exp(-(edges[:-1] - 105) / 45)
    calibration = Calibration(
        noise_model=model,
        config=CalibrationConfig(),
        source="repeats",
        reason="the same scene repeats, unmoved, over 16 frames or more",
        measured=tuple(measured),
        histogram=SignalHistogram(edges, pixels / pixels.sum()),
        checks=(*GOOD, *checks),
        structure=structure or white_structure(),
        data=("noisy, TYX (16, 96, 80)",),
    )
    calibration = replace(calibration, **fields)
    model.calibration = calibration.record()
    return calibration
