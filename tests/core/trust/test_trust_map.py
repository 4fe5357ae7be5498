import numpy as np
import pytest

from napari_hdn.core.trust.residual_maps import ResidualMaps
from napari_hdn.core.trust.trust_map import trust_map

SHAPE = (40, 60)


def residuals(variance=1.0):
    flat = np.zeros(SHAPE, np.float32)
    return ResidualMaps(flat + variance, flat, flat, flat, flat + 0.01, flat + 0.01, None, 0.0)


def graded(variance=1.0, spread=0.2, factor=1.0, usable=None):
    std, noise = np.full(SHAPE, 5.0 * spread), np.full(SHAPE, 5.0)
    usable = np.ones(SHAPE, bool) if usable is None else usable
    return trust_map(residuals(variance), std, noise, usable, factor)


def test_the_lowest_part_is_the_trust():
    found = graded(spread=0.2)
    np.testing.assert_allclose(found.trust, 0.8, rtol=1e-5)
    assert (found.lowest == 1).all() and found.low_share == 0
    found = graded(variance=1 + 0.1 + 0.25 * 1.5, spread=0.2)  # good + 1.5 x doubtful
    np.testing.assert_allclose(found.trust, 0.25, atol=1e-5)
    assert (found.lowest == 0).all() and found.low_share == 1
    assert found.blame == {"residuals": 1.0, "spread": 0.0}


def test_a_measured_factor_counts():
    np.testing.assert_allclose(graded(spread=0.2, factor=2.0).trust, 0.6, rtol=1e-5)
    assert graded(spread=0.9, factor=2.0).trust.max() == 0


def test_what_is_cut_off_is_not_trusted():
    usable = np.ones(SHAPE, bool)
    usable[:10] = False
    found = graded(usable=usable)
    assert np.isnan(found.trust[:10]).all() and (found.lowest[:10] == -1).all()
    assert found.low_share == pytest.approx(0.25)
    assert found.blame == {"residuals": 0.0, "spread": 0.0}


def test_where_the_noise_has_a_structure_the_spread_alone_counts():
    std, noise = np.full(SHAPE, 1.0), np.full(SHAPE, 5.0)
    found = trust_map(residuals(9.0), std, noise, np.ones(SHAPE, bool), structured=True)
    assert list(found.parts) == ["spread"]
    np.testing.assert_allclose(found.trust, 0.8, rtol=1e-5)
    assert found.blame == {"spread": 0.0}
