"""z of known distributions: what the maps say, and that their standard errors are right."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.trust.residual_maps import local_residuals

SHAPE = (256, 256)


def maps(z, usable=None, samples=1):
    """Of counts whose samples are all the truth: residuals are z times sigma."""
    sigma = np.full((samples, *z.shape), 5.0)
    signal = np.full((samples, *z.shape), 100.0)
    usable = np.ones(z.shape, bool) if usable is None else usable
    return local_residuals(100 + 5 * z, signal, sigma, usable)


def test_white_noise_is_right_and_its_errors_are_as_told():
    found = maps(np.random.default_rng(0).normal(size=SHAPE))
    assert found.check.verdict == "good"
    inside = (slice(16, -16),) * 2
    for value, middle, error in (
        (found.variance, 1, found.variance_error),
        (found.mean, 0, found.error),
        (found.lag_y, 0, found.error),
        (found.lag_x, 0, found.error),
    ):
        score = ((value - middle) / error)[inside]
        assert np.sqrt(np.mean(score**2)) == pytest.approx(1, abs=0.25)
    assert np.mean(found.misfit > 0) < 0.04
    assert (
        np.mean(found.misfit > 0.5) < 0.002
    )  # of four statistics of 80 windows some are beyond 3 errors


def test_noise_with_heavy_tails_has_larger_errors():
    rng = np.random.default_rng(1)
    found = maps(rng.standard_t(6, SHAPE) / np.sqrt(1.5))  # variance 1, excess kurtosis 3
    plain = maps(rng.normal(size=SHAPE))
    assert np.median(found.variance_error) > 1.3 * np.median(plain.variance_error)
    assert np.mean(found.misfit > 0.5) < 0.02


def planted(kind):
    rng = np.random.default_rng(2)
    z = rng.normal(size=SHAPE)
    there = np.zeros(SHAPE, bool)
    there[96:160, 96:160] = True
    if kind == "variance":
        z = np.where(there, 1.6 * z, z)
    elif kind == "mean":
        z = np.where(there, z + 0.8, z)
    else:
        along = (0, 1.0) if kind == "lag_x" else (1.0, 0)
        smooth = gaussian_filter(rng.normal(size=SHAPE), along)
        z = np.where(there, smooth / smooth.std(), z)
    return maps(z), there


@pytest.mark.parametrize(
    ("kind", "value"),
    [("variance", 1.6**2), ("mean", 0.8), ("lag_x", np.exp(-1 / 4)), ("lag_y", np.exp(-1 / 4))],
)
def test_each_map_shows_what_was_planted_where_it_was(kind, value):
    found, _ = planted(kind)
    middle = getattr(found, kind)[112:144, 112:144]
    assert middle.mean() == pytest.approx(value, rel=0.1)
    assert (found.misfit[112:144, 112:144] > 1).all()
    assert np.mean(found.misfit[:60] > 0.5) < 0.005


def test_cut_off_pixels_are_in_no_window():
    z = np.random.default_rng(3).normal(size=SHAPE)
    usable = np.ones(SHAPE, bool)
    usable[:, ::5] = False
    usable[:80, :80] = False
    found = maps(np.where(usable, z, 1e6), usable)
    assert found.cut_off == pytest.approx(1 - usable.mean())
    assert np.isnan(found.variance[:50, :50]).all() and np.isnan(found.misfit[:50, :50]).all()
    assert found.check.verdict == "good"
    assert np.nanmax(np.abs(found.lag_x)) < 0.3
    assert np.nanmean(found.misfit > 0.5) < 0.01


def test_where_all_is_cut_off_there_is_no_check():
    found = maps(np.zeros(SHAPE), np.zeros(SHAPE, bool))
    assert found.check is None and found.cut_off == 1
