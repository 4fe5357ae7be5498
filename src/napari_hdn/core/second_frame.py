"""The error of a restoration without a truth, from a second frame of the same scene.

Of a restored image f(x_a) and a second frame x_b of the same static scene with noise of its own,
E (f(x_a) - x_b)^2 = MSE + sigma^2, so that the left side less the noise's variance estimates the mean
squared error of f(x_a). The variance comes from the model's noise model at the restored signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.registration import phase_cross_correlation

from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.hdn import HDN
from napari_hdn.core.restoring import planes

BLOCK_PX = 16  # errors of a restored image are correlated over a few pixels; over blocks hardly
_LEAST_BLOCKS = 9
_SURE = 3.0  # standard errors
_WORTH_A_WORD = 0.1  # of the estimated error
_SHIFTED_PX = 1.0


@dataclass(frozen=True)
class Estimate:
    """The estimated error of one plane; counts squared.

    Attributes
    ----------
    mse : float
        May be negative, where it is smaller than what the frame can tell.
    standard_error : float
        Of ``mse``, from the scatter between blocks of 16 x 16 pixels; an error of the noise model
        comes on top.
    noise_variance : float
        What was taken off, as a mean over the plane.
    """

    mse: float
    standard_error: float
    noise_variance: float


def estimate_error(image: np.ndarray, second: np.ndarray, variance: np.ndarray) -> Estimate:
    """Estimate the mean squared error of a restored plane.

    Parameters
    ----------
    image : ndarray
        (Y, X) restored counts.
    second : ndarray
        (Y, X) noisy counts of the same scene, that the restoration did not see.
    variance : ndarray
        (Y, X) of the noise of ``second``, counts squared.
    """
    excess = (image.astype(np.float64) - second) ** 2 - variance
    blocks = _block_means(excess)
    scatter = blocks if blocks.size >= _LEAST_BLOCKS else excess
    error = float(np.std(scatter, ddof=1) / np.sqrt(scatter.size)) if scatter.size > 1 else np.inf
    return Estimate(float(excess.mean()), error, float(variance.mean()))


def noise_variance(model: HDN, signal: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Variance of a (Y, X) frame's noise by a model's noise model, counts squared, (Y, X).

    Parameters
    ----------
    model : HDN
    signal : ndarray
        (Y, X) restored counts, at which the noise is looked up.
    frame : ndarray
        (Y, X) the frame; where the noise model has a curve for each image, this one's is estimated
        from it.
    """
    noise = model.noise_model
    at = torch.from_numpy(np.ascontiguousarray(signal, dtype=np.float32))
    curve = curve_of_plane(noise, frame) if noise.curves > 1 else None
    with torch.no_grad():
        return np.asarray(planes.noise_variance(noise, at, curve).double().numpy())


def remarks(
    image: np.ndarray, second: np.ndarray, estimate: Estimate, name: str, second_name: str
) -> list[str]:
    """What makes an estimate wrong: the same frame again, another brightness, a shift."""
    if np.array_equal(image, second):
        return [
            f"{name} and {second_name} are identical: an image says nothing of its own error. Choose "
            "another frame of the same scene."
        ]
    said = []
    if estimate.mse < -_SURE * estimate.standard_error:
        said.append(
            f"{name} is nearer to {second_name} than a frame with noise of its own can be (estimated "
            f"MSE {estimate.mse:.4g} ± {estimate.standard_error:.2g}): was it restored from this very "
            "frame, or does the noise model state too much noise?"
        )
    difference = second.astype(np.float64) - image
    level = float(difference.mean())
    error = float(np.std(difference) / np.sqrt(difference.size))
    share = _WORTH_A_WORD * max(estimate.mse, estimate.standard_error)
    if abs(level) > _SURE * error and level**2 > share:
        word = "brighter" if level > 0 else "darker"
        said.append(
            f"{second_name} is {word} than {name} by {abs(level):.4g} counts on average: bleaching, a "
            f"changed exposure, or counts in other units add {level**2:.4g} to the estimated MSE."
        )
    shift = _shift(image, second)
    if max(map(abs, shift)) >= _SHIFTED_PX:
        said.append(
            f"{second_name} looks shifted against {name} by {shift[0]:+.0f} px in y and {shift[1]:+.0f} "
            "px in x: what moved counts as error. Register the frames first."
        )
    return said


def _shift(image: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    found, *_ = phase_cross_correlation(
        second - second.mean(), image - image.mean(), normalization=None
    )
    return float(found[0]), float(found[1])


def _block_means(values: np.ndarray) -> np.ndarray:
    """Means over blocks of 16 x 16 pixels; what is left over at the edges is not used."""
    height, width = (n // BLOCK_PX for n in values.shape)
    inside = values[: height * BLOCK_PX, : width * BLOCK_PX]
    return inside.reshape(height, BLOCK_PX, width, BLOCK_PX).mean(axis=(1, 3))
