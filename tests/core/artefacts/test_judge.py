import json

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter, shift, uniform_filter1d
from scipy.signal import correlate

from napari_hdn.core.artefacts import (
    MAX_LAG_PX,
    Structure,
    structure_of_background,
    structure_of_residuals,
    white_share,
)
from napari_hdn.core.artefacts.autocorrelation import autocorrelation
from napari_hdn.core.errors import NoiseModelError
from simulated import counts, scene

SECOND = np.outer([1, -2, 1], [1, -2, 1]) / 6


def white(seed, shape=(256, 256), sigma=10.0):
    return np.random.default_rng(seed).normal(0, sigma, shape)


def lines(seed, length, shape=(256, 256), sigma=10.0):
    noise = uniform_filter1d(white(seed, shape), length, axis=1, mode="wrap")
    return noise * sigma / noise.std()


def slanted(seed, length, shape=(256, 256), sigma=10.0):
    """Lines from the upper left to the lower right."""
    noise = white(seed, shape)
    noise = sum(np.roll(noise, (k, k), (0, 1)) for k in range(length))
    return noise * sigma / noise.std()


def blurred(seed, blur, shape=(256, 256), sigma=10.0):
    noise = gaussian_filter(white(seed, shape), blur, mode="wrap")
    return noise * sigma / noise.std()


def gaussian_correlation(blur, lag):
    """Of white noise after scipy's sampled Gaussian kernel."""
    kernel = gaussian_filter(np.eye(1, 41, 20)[0], blur)
    r = correlate(kernel, kernel)
    return r[len(r) // 2 + lag] / r.max()


def cells(seed=0, size=256, noisy=True):
    rng = np.random.default_rng(seed)
    photons = scene(rng, size)
    return counts(rng, photons)[0] if noisy else 2 * photons + 100


def judge(frames, source="repeats"):
    return structure_of_residuals(frames, 100.0, source)


# White noise


@pytest.mark.parametrize("shape", [(64, 64), (96, 160), (256, 256), (40, 512)])
def test_white_residuals_are_white(shape):
    for seed in range(8):
        found = judge([white(seed, shape), white(100 + seed, shape)])
        assert (found.verdict, found.reach_x, found.reach_y) == ("white", 0, 0)
        assert np.abs(found.profile_x[1:]).max() < 1.5 * found.bound
        assert found.variance == pytest.approx(100, rel=0.1)
        assert found.levels == 0


def test_bound_shrinks_with_the_pixels_seen():
    few, many = judge([white(0, (64, 64))]), judge([white(k, (64, 64)) for k in range(16)])
    assert many.bound == pytest.approx(few.bound / 4, rel=1e-6)
    # 48 lags of two profiles at 99.9 % together: 4.27 standard deviations
    assert few.bound == pytest.approx(4.27 / 64, rel=0.01)


@pytest.mark.parametrize("size", [40, 64, 128, 256])
def test_white_background_is_white(size):
    for seed in range(8):
        found = structure_of_background([100 + white(seed, (size, size))])
        assert found is not None and found.verdict == "white"
        assert found.source == "background"


@pytest.mark.parametrize("light", [0.02, 0.2, 1, 10])
def test_photons_of_a_smooth_scene_are_white(light):
    rng = np.random.default_rng(1)
    found = structure_of_background([rng.poisson(light * scene(rng)).astype(float)])
    assert found is not None and found.verdict == "white"


def test_uneven_illumination_and_drift_are_no_noise():
    y, x = np.mgrid[:256, :256]
    lit = 300 * np.exp(-((y - 100) ** 2 + (x - 150) ** 2) / 2 / 90**2)
    found = structure_of_background([np.random.default_rng(0).poisson(lit).astype(float)])
    assert found is not None and found.verdict == "white"
    assert judge([white(k) + 0.03 * lit for k in range(4)]).verdict == "white"


def test_bright_regions_do_not_outshine_the_others():
    # white noise that is 20 times as strong in a quarter; lines in the other three
    noise = lines(0, 9)
    noise[:128, :128] = 20 * white(1, (128, 128))
    found = judge([noise])
    assert found.verdict == "structured"
    assert found.profile_x[1] == pytest.approx(0.75 * 8 / 9, abs=0.06)


# Structured noise


@pytest.mark.parametrize("blur", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("way", ["residuals", "background"])
def test_blurred_noise_has_the_correlation_of_its_blur(blur, way):
    if way == "residuals":
        found = judge([blurred(k, blur) for k in range(3)])
    else:
        found = structure_of_background([100 + blurred(k, blur) for k in range(3)])
    assert found is not None and found.verdict == "structured"
    expected = gaussian_correlation(blur, 1)
    assert found.profile_x[1] == pytest.approx(expected, abs=0.03)
    assert found.profile_y[1] == pytest.approx(expected, abs=0.03)
    assert found.reach_x >= 1 and found.reach_y >= 1
    assert found.variance == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("length", [3, 9, 25])
@pytest.mark.parametrize("way", ["residuals", "background", "scene"])
def test_lines_reach_as_far_as_they_are_long(length, way):
    if way == "residuals":
        found = judge([lines(k, length) for k in range(4)])
    else:
        under = cells(noisy=False) if way == "scene" else 100.0
        found = structure_of_background([under + lines(k, length) for k in range(4)])
    assert found is not None and found.verdict == "structured"
    assert found.reach_y == 0
    reach = length - 1  # pixels that far apart still share one pixel of the filter
    assert abs(found.reach_x - reach) <= max(1, 0.2 * reach)
    assert "along x over" in found.in_words() and "along y" not in found.in_words()


def test_transposed_lines_are_along_y():
    found = structure_of_background(
        [100 + lines(k, 9).T + white(50 + k, sigma=5) for k in range(3)]
    )
    assert found is not None and found.verdict == "structured"
    assert found.reach_x == 0 and 7 <= found.reach_y <= 9
    assert "along y over" in found.in_words() and "along x" not in found.in_words()


def test_lines_of_a_line_scanner_beside_photon_noise():
    noisy = cells() + lines(5, 9, sigma=14.0)
    found = structure_of_background([noisy])
    assert found is not None and found.verdict == "structured"
    assert found.reach_x in (7, 8) and found.reach_y == 0


@pytest.mark.parametrize("way", ["residuals", "background", "scene"])
def test_slanted_lines_are_seen(way):
    if way == "residuals":
        found = judge([slanted(k, 7) for k in range(3)])
    else:
        under = cells(noisy=False) if way == "scene" else 100.0
        found = structure_of_background([under + slanted(k, 7) for k in range(3)])
    assert found is not None and found.verdict == "structured"
    assert (found.reach_x, found.reach_y) == (0, 0)
    assert found.strongest == (1, 1)
    assert found.reach in (5, 6)
    assert (
        "at a slant" in found.in_words() and "1 px down and 1 px to the right" in found.in_words()
    )


def test_rows_that_differ_are_correlated_as_far_as_one_looks():
    rows = np.random.default_rng(0).normal(0, 6, (3, 256, 1))
    found = structure_of_background([100 + white(k) + rows[k] for k in range(3)])
    assert found is not None and found.verdict == "structured"
    assert found.reach_x > 18 and found.reach_y == 0


@pytest.mark.parametrize("way", ["residuals", "background"])
def test_a_weak_correlation_is_weak(way):
    noise = [white(k) for k in range(4)]
    noise = [n + 0.06 * np.roll(n, 1, axis=1) for n in noise]  # lag-1 correlation 0.0598
    found = (
        judge(noise) if way == "residuals" else structure_of_background([100 + n for n in noise])
    )
    assert found is not None and found.verdict == "weak"
    assert found.profile_x[1] == pytest.approx(0.0598, abs=0.02)
    assert (found.reach_x, found.reach_y) == (1, 0)
    assert "weakly" in found.in_words() and "1 px further along x" in found.in_words()


def test_sharpened_noise_is_structured():
    noise = [n - 0.25 * np.roll(n, 1, axis=1) for n in (white(0), white(1))]
    found = judge(noise, "differences")
    assert found.verdict == "structured" and found.source == "differences"
    assert found.profile_x[1] == pytest.approx(-0.25 / (1 + 0.25**2), abs=0.02)


# Structures of the image are not noise


def test_faint_structures_in_the_background_are_not_taken_for_noise():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        texture = gaussian_filter(rng.standard_normal((256, 256)), 2.5)
        planes = [rng.poisson(40 + 3 * texture / texture.std()).astype(float)]
        found = structure_of_background(planes)
        assert found is not None and found.verdict == "white"


def test_a_noisy_lattice_without_background_is_white():
    y, x = np.mgrid[:256, :256]
    lattice = 400 * (2 + np.cos(x / 2.5) + np.cos(y / 2.5 + x / 30))
    found = structure_of_background([lattice + white(0, sigma=60)])
    assert found is not None and found.verdict == "white" and found.fine_grain
    assert "fine grain" in found.in_words()


def test_a_scene_of_fine_structures_everywhere_tells_nothing():
    for seed in range(4):
        here_and_there = np.exp(2 * blurred(seed, 12, sigma=1.0))
        fine = blurred(10 + seed, 1.0, sigma=50.0) * here_and_there
        assert structure_of_background([100 + fine + white(20 + seed, sigma=3)]) is None


def test_an_image_without_noise_tells_nothing():
    assert structure_of_background([np.full((128, 128), 7.0)]) is None
    assert structure_of_background([np.full((128, 128), np.nan)]) is None
    assert structure_of_background([]) is None


# Clipped and rounded counts


def test_clipped_background_is_left_out():
    # most of the image is at 0, clipped; lines are only seen where it is brighter
    noisy = lines(0, 9, sigma=6.0) - 15.0
    noisy[:, 160:] += 75.0
    found = structure_of_background([np.maximum(np.round(noisy), 0)])
    assert found is not None and found.verdict == "structured"
    assert found.signal == pytest.approx(60, abs=3)
    assert found.variance == pytest.approx(36, rel=0.15)
    assert found.reach_x in (7, 8)


def test_rounded_away_noise_is_left_out():
    rng = np.random.default_rng(0)
    assert structure_of_background([np.round(rng.normal(5, 0.2, (256, 256)))]) is None
    coarse = structure_of_background([np.round(rng.normal(5, 1.0, (256, 256)))])
    assert coarse is not None and coarse.verdict == "white"


# Residuals with holes


def test_left_out_pixels_do_not_count():
    rng = np.random.default_rng(0)
    noise = lines(0, 5)
    noise[rng.random(noise.shape) < 0.3] = np.nan
    noise[100:140, 30:90] = np.nan
    found = judge([noise])
    assert found.reach_x == 4 and found.reach_y == 0
    np.testing.assert_allclose(found.profile_x[1:5], [0.8, 0.6, 0.4, 0.2], atol=0.05)
    assert found.variance == pytest.approx(100, rel=0.05)


def test_autocorrelation_divides_by_the_pairs_of_each_lag():
    field = white(0, (20, 24))
    field[3:6, 4] = np.nan
    lags = autocorrelation([field], 5)
    a, b = field[:-2, 3:], field[2:, :-3]  # lag 2 along y, -3 along x
    both = np.isfinite(a) & np.isfinite(b)
    assert lags.pairs[5 + 2, 5 - 3] == both.sum()
    expected = (a * b)[both].mean() / np.nanmean(field**2)
    assert lags.correlation[5 + 2, 5 - 3] == pytest.approx(expected, rel=1e-9)


def test_frames_that_do_not_differ_are_refused():
    with pytest.raises(NoiseModelError, match=r"The 3 frames do not differ"):
        judge([np.zeros((64, 64))] * 3)


# Regions that the user drew


def test_a_drawn_region_is_judged_alone():
    image = cells()
    image[40:120, 30:110] = 100 + lines(0, 5, (80, 80))
    found = structure_of_background([image], boxes=[(40, 120, 30, 110)])
    assert found is not None and found.source == "region"
    assert found.reach_x == 4 and found.reach_y == 0
    assert found.signal == pytest.approx(100, abs=1)
    assert found.autocorrelation.shape == (2 * 20 + 1, 2 * 20 + 1)  # half of a 40 px piece


def test_the_same_region_of_all_planes_counts():
    planes = [100 + white(k, (64, 64)) for k in range(9)]
    one = structure_of_background(planes[:1], boxes=[(0, 32, 0, 32)])
    nine = structure_of_background(planes, boxes=[(0, 32, 0, 32)])
    assert nine.bound == pytest.approx(one.bound / 3)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((10, 60, 40, 70), r"y 10 to 60, x 40 to 70 lies outside the image of 50 x 80"),
        ((-1, 30, 0, 30), r"y -1 to 30"),
        ((0, 15, 0, 40), r"15 x 40 px .* too small .* 16 x 16"),
        ((0, 20, 60, 80), r"shows no noise: 100 % of its pixels are 3 counts"),
    ],
)
def test_a_region_that_cannot_be_used_is_refused_with_its_numbers(box, message):
    image = 100 + white(0, (50, 80))
    image[:, 60:] = 3.0
    with pytest.raises(NoiseModelError, match=message):
        structure_of_background([image], boxes=[box])


# What differences of neighbours see


@pytest.mark.parametrize(
    "make", [white, lambda k: blurred(k, 0.8), lambda k: lines(k, 9), lambda k: slanted(k, 4)]
)
def test_white_share_is_what_second_differences_see(make):
    seen = np.mean([convolve(make(k), SECOND, mode="wrap").var() for k in range(4)]) / 100
    found = judge([make(k) for k in range(4)])
    assert white_share(found.autocorrelation) == pytest.approx(seen, abs=0.02)
    assert found.difference_gain == white_share(found.autocorrelation)


def test_shifted_frames_lose_their_fine_grain():
    # linear interpolation keeps a quarter of the variance, and of that differences see a ninth
    noise = [shift(white(k), (0.5, 0.5), order=1, mode="wrap") for k in range(4)]
    found = structure_of_background([100 + n for n in noise])
    assert found is not None and found.verdict == "structured"
    assert found.difference_gain == pytest.approx(1 / 9, abs=0.03)


# Words and records


def test_words_say_direction_pixels_levels_and_variance():
    image = np.zeros((49, 49))
    image[24, 24 - 7 : 24 + 8] = 1 - np.abs(np.arange(-7, 8)) / 8
    found = Structure("background", image, 0.01, 0, 7, 530.0, 122.0, "structured")
    assert found.in_words() == (
        "Noise is correlated along x over 7 pixels: pixel-noise models cannot describe it. Train, then "
        "open the level inspector: levels 1-2 are candidates. The likelihood gets the whole variance, "
        "530 counts² at 122 counts."
    )
    assert "0.010" in Structure("region", image * 0, 0.01, 0, 0, 1.0, 1.0, "white").in_words()


@pytest.mark.parametrize(("reach", "levels"), [(1, 1), (4, 1), (7, 2), (8, 2), (12, 3), (24, 3)])
def test_levels_grow_with_the_reach(reach, levels):
    image = np.zeros((49, 49))
    image[24, 25] = image[24, 23] = 0.5
    assert Structure("repeats", image, 0.01, 0, reach, 1.0, 1.0, "structured").levels == levels


def test_json_round_trip():
    found = judge([slanted(0, 3)])
    again = Structure.from_json(json.loads(json.dumps(found.to_json())))
    np.testing.assert_allclose(again.autocorrelation, found.autocorrelation, atol=1e-5)
    assert again.to_json() == found.to_json()
    assert again.in_words() == found.in_words()
    assert again.autocorrelation.shape == (2 * MAX_LAG_PX + 1,) * 2


@pytest.mark.parametrize(
    "damage",
    [
        {"autocorrelation": [[1.0, 0.0]]},
        {"autocorrelation": "?"},
        {"autocorrelation": [[1.0, 2.0], [3.0]]},
        {"autocorrelation": [[float("nan")] * 5] * 5},
        {"source": "hearsay"},
        {"verdict": "good"},
        {"bound": None},
        {"reach_x": "far"},
        {"surplus": 1},
        "reach_y",
    ],
)
def test_damaged_json_is_refused(damage):
    data = judge([white(0, (64, 64))]).to_json()
    if isinstance(damage, str):
        del data[damage]
    else:
        data |= damage
    with pytest.raises((KeyError, TypeError, ValueError)):
        Structure.from_json(data)
