"""Does a prior know the data? A few numbers of real against generated images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

ALIKE = 2.0  # times as much power, or as little: what two pieces of one image may differ by
_FINEST_PX = 2


@dataclass(frozen=True)
class Octave:
    """Details of ``low`` to ``high`` pixels (wavelengths); ``ratio`` is generated / real power."""

    low: int
    high: int
    ratio: float

    @property
    def verdict(self) -> str:
        """``alike``, ``weak`` or ``strong``."""
        if self.ratio < 1 / ALIKE:
            return "weak"
        return "strong" if self.ratio > ALIKE else "alike"


@dataclass(frozen=True)
class Likeness:
    """Real against generated images; counts.

    Attributes
    ----------
    mean, std : (real, generated)
        Over all pixels.
    octaves : tuple of Octave
        The finest details first.
    number : (real, generated)
        How many were compared.
    flat : bool
        Whether all real pixels have one value: then there is nothing to compare with.
    """

    mean: tuple[float, float]
    std: tuple[float, float]
    octaves: tuple[Octave, ...]
    number: tuple[int, int]
    flat: bool = False

    def in_words(self, top_px: int | None = None) -> str:
        """What the numbers say.

        Parameters
        ----------
        top_px : int, optional
            How wide a latent of the model's top level is: why coarse structure may be missing.
        """
        if self.flat:
            return (
                f"Not compared: the real pieces show nothing, every pixel is {self.mean[0]:.4g} counts. "
                "Choose an image that shows something, or another seed for other pieces of it."
            )
        share = self.std[1] / self.std[0]
        several = [
            f"{n} {noun}{'' if n == 1 else 's'}"
            for n, noun in zip(self.number, ("piece", "image"), strict=True)
        ]
        text = (
            f"Generated ({several[1]}) against real ({several[0]}): "
            f"mean {self.mean[1]:.4g} against {self.mean[0]:.4g} counts, "
            f"contrast (std) {self.std[1]:.3g} against {self.std[0]:.3g} counts ({share:.0%})"
        )
        parts = [
            f"{words} at {_spans(self.octaves, verdict)}"
            for verdict, words in (
                ("alike", "about as strong"),
                ("weak", "weaker than half"),
                ("strong", "more than twice as strong"),
            )
            if any(o.verdict == verdict for o in self.octaves)
        ]
        if parts:
            text += f". Power of details: {'; '.join(parts)}"
        if top_px is not None and self.octaves and self.octaves[-1].verdict == "weak":
            text += (
                f". Larger structures are missing: in the prior, the coarsest latents ({top_px} px "
                "each) know nothing of their neighbours; in a restoration, the image tells them"
            )
        return f"{text}."


def compare(real: Sequence[np.ndarray], generated: Sequence[np.ndarray]) -> Likeness:
    """Hold generated images against real ones.

    Parameters
    ----------
    real, generated : sequence of ndarray
        (Y, X) counts; the middles of the larger are compared where sizes differ.

    Returns
    -------
    Likeness
    """
    images = [*real, *generated]
    height, width = (min(image.shape[i] for image in images) for i in (0, 1))
    ours, theirs = (
        np.stack([middle(image, height, width) for image in group]).astype(np.float64)
        for group in (real, generated)
    )
    flat = bool(np.ptp(ours) == 0)
    octaves = [] if flat else _octaves(height, width)
    powers = [_power(group, octaves) for group in (ours, theirs)]
    return Likeness(
        (float(ours.mean()), float(theirs.mean())),
        (float(ours.std()), float(theirs.std())),
        tuple(
            Octave(low, high, float(made / max(there, 1e-30)))
            for (low, high), there, made in zip(octaves, *powers, strict=True)
        ),
        (len(real), len(generated)),
        flat,
    )


def middle(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a (..., Y, X) image, at most so large."""
    y, x = (max(0, (n - m) // 2) for n, m in zip(image.shape[-2:], (height, width), strict=True))
    return image[..., y : y + height, x : x + width]


def _octaves(height: int, width: int) -> list[tuple[int, int]]:
    """Wavelengths of which a piece holds at least two periods."""
    found, low = [], _FINEST_PX
    while 2 * low <= min(height, width) // 2:
        found.append((low, 2 * low))
        low *= 2
    return found


def _power(images: np.ndarray, octaves: list[tuple[int, int]]) -> list[float]:
    """Mean power of (N, Y, X) images in each octave, under a Hann window."""
    height, width = images.shape[1:]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    level = np.average(images, axis=(1, 2), weights=np.broadcast_to(window, images.shape))
    spectrum = np.abs(np.fft.fft2((images - level[:, None, None]) * window)) ** 2
    power = spectrum.mean(axis=0) / np.sum(window**2)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    return [
        float(power[(frequency <= 1 / low) & (frequency > 1 / high)].mean())
        for low, high in octaves
    ]


def _spans(octaves: Sequence[Octave], verdict: str) -> str:
    """Neighbouring octaves of one verdict as ranges."""
    runs = (list(run) for key, run in groupby(octaves, lambda o: o.verdict) if key == verdict)
    return ", ".join(f"{run[0].low}–{run[-1].high} px" for run in runs)
