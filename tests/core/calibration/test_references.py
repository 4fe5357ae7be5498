import re

import numpy as np
import pytest
from scipy.ndimage import shift

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.references import flat_field_evidence, pair_evidence, scaling
from napari_hdn.core.calibration.steps import finish
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.curves import fit_line, pool
from simulated import counts, scene, true_variance


def stack(array, name="cells"):
    return ImageStack(array, "TYX"[-array.ndim :], name)


def test_a_clean_image_tells_the_noise_and_its_scaling_is_found():
    rng = np.random.default_rng(0)
    photons = scene(rng)
    noisy = counts(rng, photons, frames=3)
    clean = (0.5 * photons + 7).astype(np.float32)  # counts = 4 clean + 72
    evidence = finish(pair_evidence([stack(noisy)], stack(clean, "long")))
    line = fit_line(pool(evidence.curves), 0.0)
    s = np.linspace(*np.percentile(photons, [1, 99]), 10)
    np.testing.assert_allclose(line.variance(2 * s + 100), true_variance(s), rtol=0.05)
    (remark,) = evidence.remarks
    gain, offset = re.search(r"counts = (.*) x clean (\S+);", remark).groups()
    assert float(gain) == pytest.approx(4, abs=0.04) and float(offset) == pytest.approx(72, abs=1)
    assert evidence.words == "from 3 noisy images with clean ones"


def test_a_shifted_clean_image_is_moved_back():
    rng = np.random.default_rng(1)
    photons = scene(rng)
    noisy = counts(rng, photons)[0]
    clean = shift(photons, (0.8, -0.6), mode="reflect").astype(np.float32) * 2 + 100
    evidence = finish(pair_evidence([stack(noisy)], stack(clean)))
    line = fit_line(evidence.curves[0], 0.0)
    assert line.variance(220.0) == pytest.approx(true_variance(60.0), rel=0.06)
    assert (
        evidence.drift.whole_shift_px == pytest.approx(0.8, abs=0.15) and evidence.drift.registered
    )


def test_each_image_scaled_apart_keeps_its_own_curve():
    rng = np.random.default_rng(2)
    photons = [scene(rng) for _ in range(3)]
    noisy = np.concatenate([k * counts(rng, p) for k, p in zip((1, 2, 5), photons, strict=True)])
    clean = np.stack(photons).astype(np.float32)
    evidence = finish(pair_evidence([stack(noisy)], stack(clean)))
    gains = [fit_line(c, 0.0).gain for c in evidence.curves]
    np.testing.assert_allclose(gains, [2, 4, 10], rtol=0.06)


def test_scaling_is_not_misled_by_noise():
    rng = np.random.default_rng(3)
    photons = scene(rng)
    gain, offset, share = scaling(photons, counts(rng, photons)[0])
    assert gain == pytest.approx(2, abs=0.02) and offset == pytest.approx(100, abs=1)
    assert share > 0.98


def test_what_does_not_belong_together_is_refused():
    rng = np.random.default_rng(4)
    noisy = stack(counts(rng, scene(rng), frames=3), "noisy")
    with pytest.raises(NoiseModelError, match="does not show what noisy shows"):
        finish(pair_evidence([noisy], stack(scene(rng).astype(np.float32), "clean")))
    with pytest.raises(NoiseModelError, match="clean is 128 x 128 pixels, noisy 256 x 256"):
        finish(pair_evidence([noisy], stack(scene(rng, 128).astype(np.float32), "clean")))
    with pytest.raises(NoiseModelError, match="2 clean planes for 3 noisy"):
        finish(pair_evidence([noisy], stack(counts(rng, scene(rng), frames=2), "clean")))


def test_one_flat_field_gives_the_curve_and_says_what_it_cannot_know():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    light = 5 + 95 * np.exp(-2 * (x**2 + y**2))
    evidence = finish(flat_field_evidence([stack(counts(rng, light)[0])]))
    line = fit_line(evidence.curves[0], 0.0)
    s = np.linspace(20, 95, 10)
    np.testing.assert_allclose(line.variance(2 * s + 100), true_variance(s), rtol=0.06)
    assert any("fixed pattern" in r for r in evidence.remarks)
    assert any("Without dark frames" in r for r in evidence.remarks)
    z = (evidence.pairs[0].counts - evidence.pairs[0].signal) / np.sqrt(
        line.variance(evidence.pairs[0].signal)
    )
    assert z.var() == pytest.approx(1, abs=0.05)


def test_dark_frames_fix_the_dark_end():
    rng = np.random.default_rng(6)
    light = 40 + np.linspace(0, 40, 256)[None] + np.zeros((256, 256))
    flat = stack(counts(rng, light, read=6.0, frames=12))
    dark = stack(counts(rng, np.zeros((256, 256)), read=6.0, frames=8), "dark")
    evidence = finish(flat_field_evidence([flat], dark))
    line = fit_line(evidence.curves[0], 0.0)
    assert evidence.dark == pytest.approx(100, abs=0.1)
    assert line.variance(100.0) == pytest.approx(36, rel=0.03)
    assert line.variance(220.0) == pytest.approx(true_variance(60.0, read=6.0), rel=0.03)
    assert any("noise in the dark 6" in r for r in evidence.remarks)
    with pytest.raises(NoiseModelError, match="exchanged"):
        finish(flat_field_evidence([dark], stack(counts(rng, light)[0], "flat")))


def test_flat_fields_of_different_exposure_are_taken_one_by_one():
    rng = np.random.default_rng(7)
    flats = np.concatenate([counts(rng, np.full((200, 200), n)) for n in (10.0, 40.0, 90.0, 160.0)])
    evidence = finish(flat_field_evidence([stack(flats)]))
    line = fit_line(pool(evidence.curves), 0.0)
    assert line.gain == pytest.approx(2, rel=0.04)
    assert line.variance(220.0) == pytest.approx(true_variance(60.0), rel=0.04)
