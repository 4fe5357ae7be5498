import numpy as np
import pytest

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.sources import direction, images_evidence, propose, series_evidence
from napari_hdn.core.calibration.steps import finish
from napari_hdn.core.errors import NoiseModelError
from napari_hdn.core.noise.curves import fit_line, pool
from simulated import counts, scene, true_variance


def stack(array, axes="TYX"):
    return ImageStack(array, axes[-array.ndim :], "cells")


@pytest.fixture(scope="module")
def photons():
    return scene(np.random.default_rng(0), 320)


def test_the_best_source_is_proposed(photons):
    rng = np.random.default_rng(1)
    repeats = stack(counts(rng, photons, frames=6))
    assert propose([repeats]).source == "repeats"
    assert propose([repeats], clean=True).source == "pair"
    assert propose([repeats], dark=True).source == "flat_field"
    depth = stack(counts(rng, photons, frames=6), "ZYX")
    assert propose([depth]).source == "images", "neighbours in depth are no repeats"
    others = stack(np.concatenate([counts(rng, scene(rng)) for _ in range(4)]))
    different = propose([others])
    assert different.source == "images" and "different scenes" in different.reason
    moving = np.concatenate([counts(rng, 4 * photons[:256, k : k + 256]) for k in range(6)])
    slowly = propose([stack(moving)])
    assert slowly.source == "series" and "moves" in slowly.reason


def test_a_moving_scene_gives_its_noise_from_the_differences(photons):
    rng = np.random.default_rng(2)
    frames = np.concatenate([counts(rng, photons[:256, 3 * k : 3 * k + 256]) for k in range(6)])
    evidence = finish(series_evidence([stack(frames)]))
    line = fit_line(pool(evidence.curves), 0.0)
    s = np.linspace(*np.percentile(photons, [5, 95]), 10)
    np.testing.assert_allclose(line.variance(2 * s + 100), true_variance(s), rtol=0.1)
    assert "differences of neighbouring frames" in evidence.words and evidence.residuals
    with pytest.raises(NoiseModelError, match="two frames or more"):
        finish(series_evidence([stack(frames[0])]))


def test_every_image_shows_its_own_noise(photons):
    rng = np.random.default_rng(3)
    images = np.concatenate([k * counts(rng, photons) for k in (1.0, 3.0)])
    evidence = finish(images_evidence([stack(images, "SYX")]))
    gains = [fit_line(curve, 0.0).gain for curve in evidence.curves]
    np.testing.assert_allclose(gains, [2, 6], rtol=0.12)
    assert not evidence.pairs and evidence.signal == pytest.approx(images.mean(), rel=1e-3)


def test_lines_have_a_direction(photons):
    rng = np.random.default_rng(4)
    plane = counts(rng, photons)[0]
    assert direction([plane]) == ("diagonal", "")
    rows = np.repeat(rng.normal(0, 20, (320, 40)), 8, axis=1)
    kind, remark = direction([plane + rows])
    assert kind == "y" and "along x (rows)" in remark
    kind, remark = direction([plane + rows.T])
    assert kind == "x" and "along y (columns)" in remark
