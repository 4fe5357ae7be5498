"""Where an image shows noise alone: flat dark blocks, found or drawn by the user.

Blocks are chosen by their coarse shape and their mean, which say nothing about how neighbouring
pixels are correlated, never by the size of their noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_hdn.core.calibration.estimation import quantisation_step
from napari_hdn.core.errors import NoiseModelError

Box = tuple[int, int, int, int]  # y0, y1, x0, x1 in pixels

BLOCK_PX = 48
LEAST_PX = 16
DRAWN_PX = 64  # longest side of the blocks that a drawn region is cut into
COARSE_PX = 4  # sigma of the image that flatness is judged by, and its sampling
BLOCKS = 32  # of each plane
# Spread of the coarse image of a block against its noise. White noise has 0.05, lines over 9 pixels
# 0.13, blurred noise of real cameras 0.15 to 0.2, whole rows 0.3; a lattice in a STEM image 0.4.
FLAT = 0.33
FLATTEST = 1.6  # times the least spread of the plane: white noise alone varies by that much
# Scatter of the blocks' variances: 0.03 to 0.14 for real noise and simulated lines over 25 pixels; 0.5
# to 0.6 for a mineral's surface and simulated textures. Smaller blocks scatter by chance.
UNEVEN = 0.25
EVEN_PX = 32
CLIPPED = 0.05  # share of pixels that a block or the surroundings of a pixel may have lost
PILE_UP = 3.0  # times more pixels at the lowest level than one step above
ROUNDED = 0.5  # steps; noise smaller than that is rounding
ORDER = 2  # of the polynomial that is taken off a block


@dataclass(frozen=True)
class Patch:
    """Noise of a flat piece of an image."""

    noise: np.ndarray  # (Y, X) counts minus a smooth surface
    signal: float  # mean counts
    spread: float  # of its coarse image, relative to the noise

    @property
    def variance(self) -> float:
        """Counts squared; the terms of the smooth surface took some."""
        terms = (ORDER + 1) * (ORDER + 2) // 2
        return float(np.sum(self.noise**2)) / (self.noise.size - terms)


def lost_pixels(plane: np.ndarray) -> np.ndarray:
    """(Y, X) booleans: pixels that are not finite, or at an end of the range that clips."""
    lost = ~np.isfinite(plane)
    if lost.all():
        return lost
    low, high = float(plane[~lost].min()), float(plane[~lost].max())
    step = quantisation_step(without_holes(plane))
    if step == 0:
        return lost
    lost |= plane >= high
    # the lowest of photon counts is no clipping: none is not much more frequent than one
    above = np.count_nonzero((plane > low) & (plane <= low + 1.5 * step))
    if np.count_nonzero(plane <= low) > PILE_UP * above:
        lost |= plane <= low
    return lost


def without_holes(plane: np.ndarray) -> np.ndarray:
    """A plane with its median where it is not finite."""
    finite = np.isfinite(plane)
    if finite.all() or not finite.any():
        return plane
    return np.where(finite, plane, np.median(plane[finite]))


def flat_patches(planes: Sequence[np.ndarray]) -> list[Patch]:
    """The flattest blocks among the darker half of each plane; none where it is nowhere flat."""
    patches = [patch for plane in planes for patch in _flat_patches(plane)]
    flattest = min((patch.spread for patch in patches), default=0.0)
    return [patch for patch in patches if patch.spread <= FLATTEST * flattest]


def _flat_patches(plane: np.ndarray) -> list[Patch]:
    side = _block_side(plane.shape)
    lost = lost_pixels(plane)
    if min(plane.shape) < side or lost.all():
        return []
    filled = without_holes(plane)
    step = quantisation_step(filled)
    patches: list[Patch] = []
    for y, x, coarse in _candidates(filled, lost, side):
        block = filled[y : y + side, x : x + side]
        noise = minus_polynomial(block)
        sigma = float(noise.std())
        if sigma > ROUNDED * step and coarse < FLAT * sigma:
            patches.append(Patch(noise, float(block.mean()), coarse / sigma))
    flattest = min((patch.spread for patch in patches), default=0.0)
    chosen = [patch for patch in patches if patch.spread <= FLATTEST * flattest][:BLOCKS]
    return [] if side >= EVEN_PX and _unevenness(chosen) > UNEVEN else chosen


def _unevenness(patches: Sequence[Patch]) -> float:
    """Scatter of the blocks' variances about a line against the signal, as a share of it.

    Noise is a function of the signal; fine structures are dense here and sparse there.
    """
    if len(patches) < 4:
        return 0.0
    variance = np.array([patch.variance for patch in patches])
    signal = np.array([patch.signal for patch in patches])
    design = np.stack([signal, np.ones_like(signal)], axis=1) / variance[:, None]
    line = np.linalg.lstsq(design, np.ones_like(signal), rcond=None)[0]
    return float(1.4826 * np.median(np.abs(design @ line - 1)))


def _block_side(shape: tuple[int, ...]) -> int:
    """48 px, or less in a small image so that there is a choice of blocks; a multiple of 8."""
    return int(np.clip(min(shape) // 6 // 8 * 8, LEAST_PX, BLOCK_PX))


def _candidates(plane: np.ndarray, lost: np.ndarray, side: int) -> Iterator[tuple[int, int, float]]:
    """(y, x, spread of the coarse image) of blocks in the darker half, darkest first.

    Not the flattest first: among blocks of the same noise that would be those where its slow part
    happens to be small, and take that part out of the autocorrelation.
    """
    cut = slice(COARSE_PX // 2, None, COARSE_PX)
    coarse = _blocks_of(gaussian_filter(plane, COARSE_PX)[cut, cut], side // COARSE_PX)
    means = coarse.mean(axis=(2, 3))
    spreads = minus_polynomial(coarse, order=1).std(axis=(2, 3))
    good = _blocks_of(lost, side).mean(axis=(2, 3)) < CLIPPED
    if not good.any():
        return
    good &= means <= np.median(means[good])
    rows, columns = np.nonzero(good)
    for k in np.argsort(means[rows, columns], kind="stable"):
        yield int(rows[k]) * side, int(columns[k]) * side, float(spreads[rows[k], columns[k]])


def _blocks_of(image: np.ndarray, side: int) -> np.ndarray:
    """(rows, columns, side, side) blocks side by side."""
    rows, columns = (n // side for n in image.shape)
    cut = image[: rows * side, : columns * side]
    return cut.reshape(rows, side, columns, side).swapaxes(1, 2)


def minus_polynomial(blocks: np.ndarray, order: int = ORDER) -> np.ndarray:
    """(..., Y, X) blocks minus the polynomial in y and x that fits each best."""
    height, width = blocks.shape[-2:]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    basis, _ = np.linalg.qr(np.stack([(y**i * x**j).ravel() for i, j in powers], axis=1))
    flat = blocks.reshape(*blocks.shape[:-2], -1)
    return np.asarray((flat - (flat @ basis) @ basis.T).reshape(blocks.shape))


def drawn_patches(plane: np.ndarray, boxes: Sequence[Box]) -> list[Patch]:
    """Noise of regions that the user drew, cut into blocks of at most 64 px.

    Raises
    ------
    NoiseModelError
        If a box lies outside the plane, is smaller than 16 x 16 px, or holds no noise.
    """
    lost = lost_pixels(plane)
    plane = without_holes(plane)
    step = quantisation_step(plane)
    patches: list[Patch] = []
    for box in boxes:
        y0, y1, x0, x1 = box
        check_box(box, plane.shape)
        found = len(patches)
        for rows, columns in itertools.product(_cut(y0, y1), _cut(x0, x1)):
            block = plane[rows, columns]
            if lost[rows, columns].mean() > CLIPPED:
                continue
            noise = minus_polynomial(block)
            if noise.std() > ROUNDED * step and np.ptp(block) > 0:
                patches.append(Patch(noise, float(block.mean()), 0.0))
        if len(patches) == found:
            region = plane[y0:y1, x0:x1]
            values, times = np.unique(region, return_counts=True)
            raise NoiseModelError(
                f"The region y {y0} to {y1}, x {x0} to {x1} shows no noise: "
                f"{100 * times.max() / region.size:.0f} % of its pixels are "
                f"{values[times.argmax()]:g} counts. Draw it where the image is dark, but not clipped."
            )
    return patches


def check_box(box: Box, shape: tuple[int, ...]) -> None:
    """Whether a region lies in the image and is large enough.

    Raises
    ------
    NoiseModelError
        If not.
    """
    y0, y1, x0, x1 = box
    height, width = shape
    if y0 < 0 or x0 < 0 or y1 > height or x1 > width:
        raise NoiseModelError(
            f"The region y {y0} to {y1}, x {x0} to {x1} lies outside the image of {height} x {width} "
            "px (y, x); draw it inside."
        )
    if min(y1 - y0, x1 - x0) < LEAST_PX:
        raise NoiseModelError(
            f"The region of {y1 - y0} x {x1 - x0} px (y, x) is too small to judge noise by; draw one "
            f"of at least {LEAST_PX} x {LEAST_PX} px."
        )


def _cut(start: int, stop: int) -> list[slice]:
    pieces = -(-(stop - start) // DRAWN_PX)
    edges = np.linspace(start, stop, pieces + 1).astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
