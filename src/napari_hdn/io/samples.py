"""Simulated cells with an exactly known truth, to try the plugin without a download."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PSF_SIGMA_PX = 1.3  # 0.3 um full width at half maximum: a good wide-field objective
BACKGROUND_PHOTONS = 8.0
BRIGHTEST_PHOTONS = 70.0


@dataclass(frozen=True)
class Sample:
    """A noisy stack, the scene it shows, and the camera that recorded it.

    Parameters
    ----------
    name : str
        For a layer or a file.
    noisy : np.ndarray
        (T, Y, X) uint16 camera counts of a static scene.
    truth : np.ndarray
        (Y, X) float32 counts without noise, offset included.
    gain : float
        Counts per photon.
    offset : float
        Counts in the dark.
    read_noise : float
        Standard deviation in counts.
    line_noise : float
        Standard deviation of the horizontal line noise in counts; 0 without.
    pixel_size_um : float
        Side of a pixel.
    """

    name: str
    noisy: np.ndarray
    truth: np.ndarray
    gain: float
    offset: float
    read_noise: float
    line_noise: float
    pixel_size_um: float = 0.1


def cells_with_pixel_noise(frames: int = 10, size_px: int = 256, seed: int = 1) -> Sample:
    """Frames of a static scene with photon noise and read noise.

    Parameters
    ----------
    frames : int
        How many exposures of the same scene.
    size_px : int
        Height and width.
    seed : int
        The same seed makes the same counts.
    """
    return _record("cells with pixel noise", frames, size_px, seed, line_noise=0.0)


def cells_with_stripes(frames: int = 10, size_px: int = 256, seed: int = 2) -> Sample:
    """The same kind of scene with horizontal line noise on top, new in each frame.

    The lines are white noise smoothed over 9 pixels along x, 22 counts strong, and not blurred by
    the microscope: the artefact of Prakash et al. 2022, section 4.2, in strength and shape.
    Parameters as for `cells_with_pixel_noise`.
    """
    return _record("cells with stripes", frames, size_px, seed, line_noise=22.0)


def _record(name: str, frames: int, size_px: int, seed: int, line_noise: float) -> Sample:
    gain, offset, read_noise = 2.2, 100.0, 4.0
    rng = np.random.default_rng(seed)
    photons = _scene_photons(rng, size_px)
    counts = rng.poisson(photons, (frames, size_px, size_px)) * gain + offset
    counts += rng.normal(0, read_noise, counts.shape)
    if line_noise:
        from scipy.ndimage import uniform_filter1d

        lines = uniform_filter1d(rng.standard_normal(counts.shape), 9, axis=-1)
        counts += lines * (line_noise / lines.std())
    return Sample(
        name,
        noisy=np.clip(np.rint(counts), 0, 65535).astype(np.uint16),
        truth=(photons * gain + offset).astype(np.float32),
        gain=gain,
        offset=offset,
        read_noise=read_noise,
        line_noise=line_noise,
    )


def _scene_photons(rng: np.random.Generator, size: int) -> np.ndarray:
    """Cells with nucleus, nucleoli, filaments and vesicles, as photons a pixel, seen by the PSF."""
    scene = np.zeros((size, size))
    for centre in _spread(rng, size, spacing=0.33 * size):
        scene += _cell(rng, size, centre, radius=rng.uniform(0.17, 0.23) * size)
    haze = _blur(scene, size / 16)  # light from above and below the focus
    seen = _blur(scene, PSF_SIGMA_PX) + 0.25 * haze
    seen /= np.quantile(seen, 0.9995)
    # the few brightest vesicles are compressed, not clipped, so that they keep their shape
    seen = np.where(seen > 0.8, 0.8 + 0.2 * np.tanh((seen - 0.8) / 0.2), seen)
    return BACKGROUND_PHOTONS + (BRIGHTEST_PHOTONS - BACKGROUND_PHOTONS) * seen


def _cell(rng: np.random.Generator, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size].astype(float)
    inside = _blob(rng, y, x, centre, radius, roughness=0.16)
    nucleus_at = centre + rng.normal(0, 0.08 * radius, 2)
    nucleus = _blob(rng, y, x, nucleus_at, 0.42 * radius, roughness=0.05)
    texture = _texture(rng, size, 6.0)
    cell = inside * (0.20 + 0.05 * texture)
    cell += nucleus * (0.34 + 0.09 * _texture(rng, size, 2.2))
    for _ in range(rng.integers(2, 4)):
        at = nucleus_at + rng.normal(0, 0.16 * radius, 2)
        cell += 0.35 * nucleus * _blob(rng, y, x, at, 0.09 * radius, roughness=0.1)

    outside_nucleus = inside * (1 - 0.8 * nucleus)
    origin = nucleus_at + 0.45 * radius * _direction(rng.uniform(0, 2 * np.pi))
    for number in range(30):
        spread = 0.09 if number % 3 else 0.5  # most grow from beside the nucleus
        path = _filament(rng, origin + rng.normal(0, spread * radius, 2), 1.7 * radius)
        cell += _splat(size, path, rng.uniform(0.12, 0.34)) * outside_nucleus
    vesicles = centre + rng.normal(0, 0.5 * radius, (55, 2))
    brightness = rng.gamma(2.0, 2.4, len(vesicles))
    dots = _splat(size, vesicles, brightness)
    large = _splat(size, centre + rng.normal(0, 0.45 * radius, (9, 2)), rng.gamma(4.0, 4.5, 9))
    return cell + outside_nucleus * (dots + _blur(large, 2.2))


def _blob(
    rng: np.random.Generator,
    y: np.ndarray,
    x: np.ndarray,
    centre: np.ndarray,
    radius: float,
    roughness: float,
) -> np.ndarray:
    """A soft-edged shape whose outline is a circle with low harmonics, 1 inside and 0 outside."""
    dy, dx = y - centre[0], x - centre[1]
    angle = np.arctan2(dy, dx)
    outline = np.ones_like(angle)
    for k in range(2, 6):
        outline += (
            roughness * rng.normal(0, 1.5 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        )
    edge = radius * outline - np.hypot(dy, dx)
    return np.clip(0.5 + edge / 3.0, 0, 1)


def _blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # late: it takes longer than everything else here

    return gaussian_filter(image, sigma_px)


def _texture(rng: np.random.Generator, size: int, scale_px: float) -> np.ndarray:
    smooth = _blur(rng.standard_normal((size, size)), scale_px)
    return smooth / smooth.std()


def _filament(rng: np.random.Generator, start: np.ndarray, length_px: float) -> np.ndarray:
    """Points 0.25 px apart along a line whose direction wanders slowly: (N, 2) as y, x."""
    n = max(2, int(length_px * rng.uniform(0.4, 1.0) / 0.25))
    bend = np.cumsum(rng.normal(0, 0.018, n)) + rng.normal(0, 0.008) * np.arange(n) * 0.25
    angle = rng.uniform(0, 2 * np.pi) + bend
    return start + 0.25 * np.cumsum(np.stack([np.sin(angle), np.cos(angle)], axis=1), axis=0)


def _splat(size: int, points: np.ndarray, weight: float | np.ndarray) -> np.ndarray:
    """Light at (N, 2) points, shared between the four nearest pixels."""
    image = np.zeros((size, size))
    corner = np.floor(points).astype(int)
    part = points - corner
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1]) * weight
            y, x = corner[:, 0] + dy, corner[:, 1] + dx
            ok = (y >= 0) & (y < size) & (x >= 0) & (x < size)
            np.add.at(image, (y[ok], x[ok]), share[ok])
    return image


def _direction(angle: float) -> np.ndarray:
    return np.array([np.sin(angle), np.cos(angle)])


def _spread(rng: np.random.Generator, size: int, spacing: float) -> list[np.ndarray]:
    """Random places that keep their distance from each other."""
    places: list[np.ndarray] = []
    for candidate in rng.uniform(0.08 * size, 0.92 * size, (60, 2)):
        if all(np.hypot(*(candidate - p)) > spacing for p in places):
            places.append(candidate)
    return places
