import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from napari_hdn.core.calibration.estimation import single_image_curve
from napari_hdn.core.calibration.processing import bending, lag_1, processing, slope
from napari_hdn.core.noise.curves import MeasuredCurve
from simulated import counts, scene


def image(seed=0, size=384, **camera):
    rng = np.random.default_rng(seed)
    return counts(rng, scene(rng, size), **camera)[0]


def checked(plane):
    curves = [single_image_curve(plane)]
    return processing([plane], curves, single=True), slope(curves)


def test_white_noise_has_minus_two_thirds():
    rng = np.random.default_rng(0)
    y, x = lag_1([rng.normal(100, 10, (300, 300))])
    assert y == pytest.approx(-2 / 3, abs=0.01) and x == pytest.approx(-2 / 3, abs=0.01)
    y, x = lag_1([image()])
    assert max(y, x) < -0.64


@pytest.mark.parametrize("seed", range(4))
def test_untouched_images_pass(seed):
    changed, growing = checked(image(seed))
    assert changed.verdict == "good" and growing.verdict == "good"


@pytest.mark.parametrize(
    "process",
    [
        lambda x: gaussian_filter(x, 0.7),
        lambda x: gaussian_filter(x, 0.5),
        lambda x: zoom(x, 1.3, order=1),
        lambda x: (
            (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]).repeat(2, 0).repeat(2, 1)
        ),
    ],
    ids=["smoothed", "hardly smoothed", "enlarged", "blocks"],
)
def test_smoothed_and_resampled_images_fail(process):
    changed, _ = checked(process(image()))
    assert changed.verdict == "bad" and "smoothed" in changed.advice


@pytest.mark.parametrize(
    ("gamma", "wanted"),
    # a square root makes the noise of light constant, which a camera's own noise is, too
    [(0.45, {"doubtful", "bad"}), (0.3, {"bad"})],
)
def test_gamma_is_found(gamma, wanted):
    plane = image(offset=0.0)
    unit = (plane - plane.min()) / np.ptp(plane)
    verdicts = {check.verdict for check in checked((255 * unit**gamma).astype(np.float32))}
    assert verdicts & wanted


def test_a_logarithm_is_found():
    _, growing = checked(np.log(np.maximum(image() - 90, 1)))
    assert growing.verdict == "bad" and "gamma-corrected" in growing.advice


def test_gaussian_noise_is_no_gamma():
    rng = np.random.default_rng(3)
    plane = 10 * scene(rng, 384) + rng.normal(0, 8, (384, 384))
    changed, growing = checked(plane)
    assert changed.verdict == "good" and growing.verdict == "doubtful"
    assert "camera's own noise" in growing.advice


def test_a_parabola_has_the_bend_it_has():
    s = np.linspace(0, 1, 20)

    def curve(v):
        return MeasuredCurve(s, v, np.full(20, 1e6), 0 * s)

    bend, error = bending([curve(1 + s - 0.5 * s**2)])
    assert bend == pytest.approx(-0.5 / 1.5, abs=0.01) and error < 0.1
    assert bending([curve(1 + s)])[0] == pytest.approx(0, abs=1e-6)
    assert bending([]) == (0.0, np.inf)
