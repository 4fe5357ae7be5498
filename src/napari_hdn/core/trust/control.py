"""What structure does the network invent? Noise around flat signals, restored.

The noise is drawn from the model's own noise model around a few brightnesses of the image; whatever the
restored mean shows besides that brightness is the network's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.ndimage import label

from napari_hdn.core.artefacts.autocorrelation import autocorrelation
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.normalisation import NoiseCurve
from napari_hdn.core.restoring.drawing import Drawing
from napari_hdn.core.restoring.planes import Prepared

QUANTILES = (0.05, 0.5, 0.95, 0.995)  # of the restored image, whose brightnesses are tried
SIDE_PX = 256
STANDS_OUT = 0.5  # of the noise's standard deviation: a blob that a reader would see
MAX_LAG_PX = 32
INVENTED_GOOD, INVENTED_DOUBTFUL = 0.15, 0.35
BIAS_GOOD, BIAS_DOUBTFUL = 0.05, 0.15


@dataclass(frozen=True)
class Flat:
    """What became of noise around one brightness; all but ``signal`` and lengths in units of the noise.

    Attributes
    ----------
    signal, sigma : float
        Counts; the noise's standard deviation there.
    invented : float
        RMS of the restored mean around its own mean.
    bias : float
        Its mean less the signal.
    predicted : float
        RMS standard deviation of the samples.
    largest_px, peak : int, float
        Pixels of the largest connected area that stands out by more than half the noise, and the
        highest point of the whole plane; 0 pixels where nothing does.
    correlation_px : float
        How far what was invented reaches: where its autocorrelation falls to 1/e.
    picture : ndarray
        (Y, X) restored mean less the signal, in units of the noise.
    noisy : ndarray
        (Y, X) what was restored, likewise.
    """

    signal: float
    sigma: float
    invented: float
    bias: float
    predicted: float
    largest_px: int
    peak: float
    correlation_px: float
    picture: np.ndarray
    noisy: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The numbers."""
        names = ("signal", "sigma", "invented", "bias", "predicted", "largest_px", "peak")
        return {n: getattr(self, n) for n in (*names, "correlation_px")}


@dataclass(frozen=True)
class Control:
    """All brightnesses that were tried, the darkest first."""

    flats: tuple[Flat, ...]

    @property
    def worst(self) -> Flat:
        """Where most was invented."""
        return max(self.flats, key=lambda f: f.invented)

    @property
    def verdict(self) -> Literal["good", "doubtful", "bad"]:
        """Whether the network keeps to what is there."""
        invented = self.worst.invented
        bias = max(abs(f.bias) for f in self.flats)
        if invented <= INVENTED_GOOD and bias <= BIAS_GOOD:
            return "good"
        return "doubtful" if invented <= INVENTED_DOUBTFUL and bias <= BIAS_DOUBTFUL else "bad"

    def in_words(self) -> str:
        """What was invented, at worst."""
        flat, off = self.worst, max(self.flats, key=lambda f: abs(f.bias))
        blob = (
            f"the largest blob above {STANDS_OUT:g} of it covers {flat.largest_px} pixels"
            if flat.largest_px
            else f"nothing stands out by more than {STANDS_OUT:g} of it"
        )
        return (
            f"From pure noise around {flat.signal:.4g} counts the network makes structure of "
            f"{flat.invented:.2f} of the noise's standard deviation (RMS; "
            f"{flat.invented * flat.sigma:.3g} counts), "
            f"{flat.correlation_px:.1f} px wide; {blob}. Largest bias: {off.bias:+.2f} of it, at "
            f"{off.signal:.4g} counts."
        )


def pure_noise(
    drawing: Drawing, mean: np.ndarray, curve: NoiseCurve | None, stop: Stop
) -> Iterator[float | Control]:
    """Restore noise around flat signals: yields fractions done, then the result unless stopped.

    Parameters
    ----------
    drawing : Drawing
    mean : ndarray
        (Y, X) restored counts, whose brightnesses are tried.
    curve : NoiseCurve or None
        Of the image's plane.
    stop : Stop
    """
    prepared = drawing.prepared
    if prepared.noise_model.curves == 1:
        curve = None  # all images have the same
    brightness = sorted({float(v) for v in np.quantile(mean, QUANTILES)})
    flats = []
    for number, signal in enumerate(brightness):
        noisy, sigma = _noisy(prepared, signal, curve, drawing.seed + number)
        drawn = None
        for part in drawing.draw(noisy, stop, number=number + 1, curve=curve):
            if isinstance(part, float):
                yield (number + part) / len(brightness)
            else:
                drawn = part
        if drawn is None:
            return
        flats.append(_judged(noisy, drawn, signal, sigma))
    yield Control(tuple(flats))


def _noisy(
    prepared: Prepared, signal: float, curve: NoiseCurve | None, seed: int
) -> tuple[np.ndarray, float]:
    """(Y, X) noise around a signal, and its standard deviation; counts."""
    model = prepared.noise_model
    multiple = prepared.network.config.multiple
    side = -(-SIDE_PX // multiple) * multiple
    rng = torch.Generator().manual_seed(seed)
    flat = torch.full((1, 1, side, side), signal)
    if curve is None:
        with torch.no_grad():
            noisy = model.sample(flat, rng)[0, 0]
            sigma = float(torch.sqrt(model.variance(flat[..., :1, :1])).mean())
        return noisy.numpy(), sigma
    # on the curve that was found in the image itself, where a flat image would show another
    scale = float(model.scale.median()) if isinstance(model, Refined) else 1.0
    variance = curve.variance(torch.tensor(signal, device=curve.gain.device))
    sigma = float(torch.sqrt(scale * variance))
    noisy = flat[0, 0] + sigma * torch.randn((side, side), generator=rng)
    if model.clipping is not None:
        noisy = noisy.clamp(min=model.clipping.low, max=model.clipping.high)
    return noisy.numpy(), sigma


def _judged(noisy: np.ndarray, drawn: np.ndarray, signal: float, sigma: float) -> Flat:
    picture = (drawn.mean(axis=0) - signal) / sigma
    around = picture - picture.mean()
    areas, count = label(np.abs(around) > STANDS_OUT)
    sizes = np.bincount(areas.ravel())[1:] if count else np.zeros(1, int)
    return Flat(
        signal=signal,
        sigma=sigma,
        invented=float(around.std()),
        bias=float(picture.mean()),
        predicted=float(np.sqrt(drawn.var(axis=0, ddof=1).mean())) / sigma,
        largest_px=int(sizes.max()),
        peak=float(np.abs(around).max()),
        correlation_px=_reach(around),
        picture=picture.astype(np.float32),
        noisy=((noisy - signal) / sigma).astype(np.float32),
    )


def _reach(around: np.ndarray) -> float:
    """Lag at which the autocorrelation along y and x falls to 1/e, pixels."""
    if around.std() < 1e-6:
        return 0.0
    found = autocorrelation([around.astype(np.float64)], MAX_LAG_PX).correlation
    line = (found[MAX_LAG_PX, MAX_LAG_PX:] + found[MAX_LAG_PX:, MAX_LAG_PX]) / 2
    below = np.flatnonzero(line < np.exp(-1))
    if not len(below):
        return float(MAX_LAG_PX)
    k = int(below[0])
    return float(k - 1 + (line[k - 1] - np.exp(-1)) / max(line[k - 1] - line[k], 1e-12))
