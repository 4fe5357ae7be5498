import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from napari_hdn.core.artefacts import structure_of_residuals
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.repeats import repeats_evidence
from napari_hdn.core.calibration.steps import finish
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.curves import fit_line
from simulated import counts, scene, true_variance


def measured(frames, way="register", **choices):
    evidence = finish(repeats_evidence([ImageStack(frames, "TYX", "cells")], way, **choices))
    return evidence, fit_line(evidence.curves[0], choices.pop("step", 0.0))


def test_known_counts_give_their_curve_within_3_percent():
    rng = np.random.default_rng(0)
    photons = scene(rng)
    evidence, line = measured(counts(rng, photons, frames=30))
    low, high = np.percentile(photons, [1, 99])
    s = np.linspace(low, high, 20)
    np.testing.assert_allclose(line.variance(2 * s + 100), true_variance(s), rtol=0.03)
    assert evidence.words == "from 1 static field with 30 repeats"
    # pairs carry the same noise, at all signals
    pairs = evidence.pairs[0]
    assert len(evidence.pairs) == 30
    z = (pairs.counts - pairs.signal) / np.sqrt(line.variance(pairs.signal))
    assert z.var() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("way", ["register", "exclude"])
def test_a_drifting_field_gives_its_noise_and_not_its_edges(way):
    rng = np.random.default_rng(1)
    photons = 3 * gaussian_filter(rng.normal(size=(256, 256)), 2.0) * 30 + 60
    photons = np.maximum(photons, 5)
    frames = np.concatenate(
        [counts(rng, shift(photons, (0.08 * k, 0), mode="reflect")) for k in range(24)]
    )
    kept, as_it_is = measured(frames, "keep")
    evidence, line = measured(frames, way)
    at = 2 * 60 + 100.0
    true = float(true_variance(60.0))
    assert as_it_is.variance(at) > 1.08 * true
    assert line.variance(at) == pytest.approx(true, rel=0.04)
    assert evidence.drift.whole_shift_px == pytest.approx(1.84, abs=0.2)
    assert (evidence.drift.left_out > 0) == (way == "exclude")
    assert kept.drift.shift_px == evidence.drift.whole_shift_px


def test_bleaching_is_taken_out():
    rng = np.random.default_rng(2)
    photons = scene(rng)
    frames = np.concatenate([counts(rng, photons * 0.97**k) for k in range(16)])
    _, kept = measured(frames, "keep")
    evidence, line = measured(frames, "register")
    mean = photons.mean() * np.mean(0.97 ** np.arange(16))
    at, true = 2 * mean + 100, float(true_variance(mean))
    assert kept.variance(at) > 1.15 * true
    assert line.variance(at) == pytest.approx(true, rel=0.04)
    assert evidence.drift.whole_brightness < -0.05


def test_per_pixel_noise_of_an_scmos_camera_is_measured_on_average():
    rng = np.random.default_rng(3)
    photons = scene(rng)
    gain = rng.normal(2, 0.03, photons.shape)  # as sensors are after their correction
    read = rng.gamma(4, 0.8, photons.shape)
    frames = (
        rng.poisson(photons, (40, 256, 256)) * gain + 100 + rng.normal(size=(40, 256, 256)) * read
    )
    _, line = measured(frames.astype(np.float32))
    s = np.linspace(*np.percentile(photons, [1, 99]), 10)
    expected = np.mean(gain**2) * s + np.mean(read**2)
    np.testing.assert_allclose(line.variance(2 * s + 100), expected, rtol=0.03)


def test_rounding_and_saturation_do_not_bend_the_curve():
    rng = np.random.default_rng(4)
    photons = scene(rng)
    frames = np.round(counts(rng, photons, frames=30) / 4)  # 8 bit, sigma about 3 levels
    frames = np.minimum(frames, np.quantile(frames, 0.99))
    evidence = finish(repeats_evidence([ImageStack(frames, "TYX", "cells")]))
    line = fit_line(evidence.curves[0], 1.0)
    s = np.linspace(*np.percentile(photons, [1, 95]), 10)
    np.testing.assert_allclose(line.variance((2 * s + 100) / 4), true_variance(s) / 16, rtol=0.03)
    highest = frames.max()
    assert evidence.curves[0].signal.max() < highest


def test_few_repeats_give_no_shape():
    rng = np.random.default_rng(5)
    evidence, line = measured(counts(rng, scene(rng), frames=3))
    assert not evidence.pairs and any("3 repeats give the variance" in r for r in evidence.remarks)
    assert line.variance(220.0) == pytest.approx(true_variance(60.0), rel=0.06)


def test_several_fields_in_one_stack_are_told_apart():
    rng = np.random.default_rng(6)
    frames = np.concatenate([counts(rng, scene(rng), frames=10) for _ in range(3)])
    evidence, _ = measured(frames)
    assert len(evidence.curves) == 3 and evidence.words == "from 3 static fields with 10 repeats"


def test_flat_fields_need_no_structures():
    rng = np.random.default_rng(7)
    level = np.linspace(20, 80, 200)[None, :] + np.zeros((200, 200))
    pattern = 1 + 0.05 * rng.normal(size=level.shape)  # fixed: not noise
    evidence, line = measured(counts(rng, level * pattern, frames=20), flat=True)
    assert line.variance(200.0) == pytest.approx(true_variance(50.0), rel=0.04)
    assert "flat field" in evidence.words


@pytest.mark.parametrize(
    ("frames", "axes", "words"),
    [
        ((1, 64, 64), "TYX", "two frames or more"),
        ((64, 64), "YX", "64 x 64 with axes YX"),
        ((5, 64, 64), "ZYX", "two frames or more"),
    ],
)
def test_without_repeats_the_user_is_told(frames, axes, words):
    images = [ImageStack(np.random.default_rng(0).random(frames, np.float32), axes, "cells")]
    with pytest.raises(NoiseModelError, match=words):
        finish(repeats_evidence(images))


def test_repeats_may_lie_in_files_of_their_own():
    rng = np.random.default_rng(15)
    frames = counts(rng, scene(rng), frames=12)
    files = [ImageStack(frame, "YX", f"{k}.tif") for k, frame in enumerate(frames)]
    evidence = finish(repeats_evidence(files))
    assert evidence.words == "from 1 static field with 12 repeats"
    files[3] = ImageStack(frames[3, :100], "YX", "3.tif")
    with pytest.raises(NoiseModelError, match=r"0.tif is 256 x 256 pixels, 3.tif 100 x 256"):
        finish(repeats_evidence(files))


def test_a_moving_scene_is_no_repeat():
    rng = np.random.default_rng(8)
    frames = np.concatenate([counts(rng, scene(rng)) for _ in range(5)])
    with pytest.raises(NoiseModelError, match=r"of 5 frames of cells only 0"):
        measured(frames)


def test_a_scene_that_noise_hides_is_taken_as_the_user_says():
    rng = np.random.default_rng(10)
    photons = scene(rng) / 60 + 0.3
    evidence, line = measured(counts(rng, photons, read=6.0, frames=20))
    assert evidence.words == "from 1 static field with 20 repeats"
    at = photons.mean()
    assert line.variance(2 * at + 100) == pytest.approx(true_variance(at, read=6.0), rel=0.03)


def test_many_repeats_are_no_reason_to_refuse_them(monkeypatch):
    monkeypatch.setattr("napari_hdn.core.calibration.repeats.MAX_FRAMES", 10)
    rng = np.random.default_rng(11)
    frames = counts(rng, scene(rng, 64), frames=30)
    assert measured(frames)[0].words == "from 1 static field with 10 repeats"
    assert "10 repeats" in measured(frames, flat=True)[0].words


def test_a_masked_border_is_no_structure():
    rng = np.random.default_rng(12)
    frames = counts(rng, scene(rng), frames=20).round()
    frames[:, :40] = frames[:, -40:] = frames[:, :, :40] = 0
    evidence, _ = measured(frames)
    assert structure_of_residuals(evidence.residuals, 200.0, "repeats").verdict == "white"


@pytest.mark.parametrize("drift", [4, 8])
def test_a_long_drift_does_not_flatten_the_curve(drift):
    rng = np.random.default_rng(13)
    photons = scene(rng)
    frames = np.concatenate(
        [counts(rng, shift(photons, (k * drift / 19, 0), mode="reflect")) for k in range(20)]
    )
    _, line = measured(frames)
    s = np.linspace(*np.percentile(photons, [1, 99]), 10)
    np.testing.assert_allclose(line.variance(2 * s + 100), true_variance(s), rtol=0.04)


def test_a_small_field_seen_often_is_enough():
    rng = np.random.default_rng(14)
    photons = np.linspace(10, 100, 400).reshape(20, 20)
    _, line = measured(counts(rng, photons, frames=60), flat=True)
    assert line.gain == pytest.approx(2, rel=0.1)


def test_the_same_seed_takes_the_same_pairs():
    rng = np.random.default_rng(9)
    frames = counts(rng, scene(rng), frames=10)
    first, again = (measured(frames, seed=3)[0].pairs[0] for _ in range(2))
    np.testing.assert_array_equal(first.counts, again.counts)
