import numpy as np
import pytest

from napari_hdn.core.artefacts.structure import Structure
from napari_hdn.core.calibration import judging
from napari_hdn.core.calibration.drift import Drift
from napari_hdn.core.calibration.evidence import Pairs
from napari_hdn.core.calibration.record import SignalHistogram
from napari_hdn.core.noise.base import Clipping
from napari_hdn.core.noise.curves import MeasuredCurve
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian


def curve(signal, variance, number=10_000):
    signal = np.asarray(signal, float)
    return MeasuredCurve(
        signal, np.asarray(variance, float), np.full(len(signal), float(number)), 0 * signal
    )


def histogram(low, high):
    return SignalHistogram(np.linspace(low, high, 101), np.full(100, 0.01))


def test_the_histogram_is_of_the_signal_and_not_of_the_noise():
    rng = np.random.default_rng(0)
    plane = np.where(np.arange(200)[None] < 100, 50.0, 150.0) + rng.normal(0, 20, (200, 200))
    found = judging.signal_histogram([plane])
    assert found.pixels.sum() == pytest.approx(1)
    centres = (found.edges[1:] + found.edges[:-1]) / 2
    assert found.pixels[(centres > 70) & (centres < 130)].sum() < 0.05


@pytest.mark.parametrize(
    ("high", "line", "verdict", "share"),
    [(200, True, "good", 0.0), (250, True, "doubtful", 0.2), (250, False, "bad", 0.2),
     (400, True, "bad", 0.5)],
)  # fmt: skip
def test_coverage_counts_the_pixels_outside(high, line, verdict, share):
    check = judging.coverage((0.0, 200.0), histogram(0, high), line=line)
    assert check.verdict == verdict and check.value == pytest.approx(share, abs=0.011)
    assert f"{high}" in check.text and bool(check.advice) == (verdict != "good")
    if check.advice:
        assert "brighter" in check.advice


def test_the_covered_range_reaches_half_a_bin_and_the_noise_of_local_means_beyond():
    left = 3 / np.sqrt(16 * np.pi)
    low, high = judging.covered([curve([10, 20, 40], [1, 1, 4])])
    assert low == pytest.approx(0 - left) and high == pytest.approx(60 + 2 * left)


def test_a_flat_background_is_covered_by_its_own_noise():
    rng = np.random.default_rng(5)
    planes = [rng.normal(100, 10, (128, 128)) for _ in range(2)]
    known = judging.covered([curve([99.9, 100, 100.1, 300], [100, 100, 100, 300])])
    assert judging.coverage(known, judging.signal_histogram(planes), line=False).verdict == "good"


def test_counts_of_the_model_itself_fit_and_others_do_not():
    rng = np.random.default_rng(1)
    signal = rng.uniform(120, 300, 60_000)
    model = PoissonGaussian([2.0], [-191.0], [4.0])
    right = rng.poisson((signal - 100) / 2) * 2 + 100 + rng.normal(0, 3, len(signal))
    good = judging.fit_to_pairs(model, [Pairs(right, signal)], 0.0)
    assert good.verdict == "good" and good.value < 0.02
    wide = signal + 1.4 * (right - signal)
    bad = judging.fit_to_pairs(model, [Pairs(wide, signal)], 0.0)
    # of a normal distribution 1.4 times as wide, at its worst
    assert bad.verdict in ("doubtful", "bad") and bad.value == pytest.approx(0.08, abs=0.02)
    assert judging.fit_to_pairs(model, [Pairs(right[:50], signal[:50])], 0.0) is None


def test_grey_levels_do_not_look_like_misfit():
    rng = np.random.default_rng(2)
    signal = rng.uniform(20, 60, 40_000)
    rounded = np.round(signal + rng.normal(0, 1.0, len(signal)))
    model = Gaussian(np.sqrt(1 + 1 / 12))
    assert judging.fit_to_pairs(model, [Pairs(rounded, signal)], 1.0).value < 0.02
    assert judging.fit_to_pairs(model, [Pairs(rounded, signal)], 0.0).value < 0.02


def test_the_transform_is_even_for_the_right_model():
    rng = np.random.default_rng(3)
    signal = np.full(20_000, 200.0)
    counts = rng.poisson(50, 20_000) * 2 + 100.0
    u = judging.pit(PoissonGaussian([2.0], [-200.0], [1.0]), counts, signal, 2.0, rng)
    shares, _ = np.histogram(u, 10, (0, 1))
    np.testing.assert_allclose(shares / 20_000, 0.1, atol=0.012)


def test_a_line_beside_the_points_is_seen():
    s = np.linspace(110, 300, 20)
    points = curve(s, 2 * s - 191)
    assert (
        judging.fit_to_curves(
            PoissonGaussian([2.0], [-191.0], [4.0]), [points], photons=False
        ).verdict
        == "good"
    )
    off = judging.fit_to_curves(PoissonGaussian([1.0], [-95.5], [4.0]), [points], photons=False)
    assert off.verdict == "bad" and off.value == pytest.approx(1.0, abs=0.01)


def test_saturation_counts_pixels():
    none = judging.saturation(None, 0.0, 0.0)
    assert none.verdict == "good"
    some = judging.saturation(Clipping(high=255.0), 0.0, 0.01)
    assert some.verdict == "doubtful" and "1 % of the pixels are saturated at 255" in some.text
    many = judging.saturation(Clipping(low=0.0, high=255.0), 0.1, 0.05)
    assert many.verdict == "bad" and "10 % are black-clipped at 0" in many.text


def test_grey_levels_against_the_noise():
    points = [curve([10, 20, 30], [4, 4, 4])]
    model = Gaussian(2.0)
    assert judging.quantisation(model, points, 1.0, photons=False).verdict == "good"
    coarse = judging.quantisation(model, points, 4.0, photons=False)
    assert coarse.verdict == "doubtful" and coarse.value == pytest.approx(2)
    assert judging.quantisation(model, points, 16.0, photons=False).verdict == "bad"
    assert judging.quantisation(model, points, 16.0, photons=True).verdict == "good"
    assert judging.quantisation(model, points, 0.0, photons=False).verdict == "good"


def test_drift_is_told_with_what_was_done_about_it():
    assert judging.drift_check(None) is None
    gone = judging.drift_check(Drift(0, 0, 50, 0, 1.6, -0.025, True))
    assert gone.verdict == "good" and "1.60 px" in gone.text and "-2.5 %" in gone.text
    kept = judging.drift_check(Drift(1.6, -0.025, 50, 0, 1.6, -0.025))
    assert kept.verdict == "bad" and "Register" in kept.advice
    left = judging.drift_check(Drift(0.3, 0.0, 50, 33, 1.6, 0.0))
    assert left.verdict == "good" and "33 frames were left out" in left.text


def test_structure_decides():
    def structure(verdict, reach):
        image = np.zeros((49, 49))
        image[24, 24] = 1
        image[24, 25 : 25 + reach] = image[24, 24 - reach : 24] = 0.5
        return Structure("background", image, 0.01, 0, reach, 25.0, 100.0, verdict)

    assert judging.structure_check(structure("white", 0)).verdict == "good"
    striped = judging.structure_check(structure("structured", 7))
    assert striped.verdict == "bad" and "7 pixels" in striped.text and striped.value == 7
    assert judging.structure_check(None).verdict == "doubtful"


def test_images_scaled_apart_need_a_curve_each():
    one, each = PoissonGaussian([2.0], [0.0], [1.0]), PoissonGaussian([2.0, 8.0], [0, 0], [1, 1])
    assert judging.scaling_check(one, [2.0], apart=False) is None
    assert judging.scaling_check(one, [2.0, 2.1], apart=False).verdict == "good"
    assert judging.scaling_check(one, [2.0, 8.0], apart=True).verdict == "bad"
    fine = judging.scaling_check(each, [2.0, 8.0], apart=True)
    assert fine.verdict == "good" and "2 to 8 counts" in fine.text and fine.value == 4


def test_values_that_are_no_counts_are_told():
    rng = np.random.default_rng(4)
    counts = rng.normal(100, 10, (64, 64))
    assert judging.values_check([counts]) is None
    unit = judging.values_check([counts / 200])
    assert unit.verdict == "doubtful" and "no camera counts" in unit.text
    negative = judging.values_check([counts - 102])
    assert negative.verdict == "doubtful" and "% of the pixels are negative" in negative.text
    assert judging.values_check([counts - 90]).verdict == "good"
