"""How many samples are enough."""

import numpy as np
import pytest

from napari_hdn.core.restoring.convergence import MeanSpread, decibels, pooled
from napari_hdn.core.restoring.sampling import law_of


def test_decibels_of_the_law():
    assert decibels(1.0, 1.0) == pytest.approx(10 * np.log10(2))
    assert MeanSpread(4.0, None, 20, 0).decibels == pytest.approx(10 * np.log10(1 + 1 / 20))
    assert MeanSpread(4.0, 0.2, 20, 2).decibels == pytest.approx(10 * np.log10(1 + 0.1 / 4))
    assert MeanSpread(0.0, 0.0, 20, 2).decibels == 0


def test_what_is_enough_brings_the_mean_as_near_as_was_asked_for():
    single = MeanSpread(3.0, None, 20, 0)
    n = single.enough(0.05)
    assert n == 87
    assert decibels(3 / n, 3) <= 0.05 < decibels(3 / (n - 1), 3)
    paired = MeanSpread(3.0, 0.1, 20, 2)
    assert paired.worth == pytest.approx(30) and paired.enough(0.05) == 6


def test_words():
    text = MeanSpread(4.0, 0.2, 20, 2).in_words()
    assert text == (
        "Mean of 2 antithetic pairs: within 0.11 dB of the limit (a pair is worth 20 independent "
        "samples here); 10 samples would bring it within 0.05 dB."
    )
    assert "limit." in MeanSpread(4.0, None, 100, 0).in_words()


def test_pooled_by_pixels():
    spread = pooled([(MeanSpread(1.0, 0.5, 9, 2), 100), (MeanSpread(4.0, 1.0, 9, 2), 300)])
    assert spread == MeanSpread(3.25, 0.875, 9, 2)
    assert pooled([]) is None


def test_the_law_of_images_whose_scatter_is_known():
    """Singles scatter by 4, pairs by 0.5: means of n by 4 / n, of n in pairs by 1 / n."""
    rng = np.random.default_rng(0)
    singles, means = (rng.normal(7, s, (16, 80, 80)) for s in (2.0, 0.5**0.5))
    law = law_of(singles, means)
    assert law.counts == (1, 2, 4, 8)
    np.testing.assert_allclose(law.singles, [4, 2, 1, 0.5], rtol=0.05)
    np.testing.assert_allclose(law.paired[1:], [0.5, 0.25, 0.125], rtol=0.05)
    assert np.isnan(law.paired[0])
    assert law.law(8, pairs=False) == pytest.approx(0.5, rel=0.05)
    assert law.law(8, pairs=True) == pytest.approx(0.125, rel=0.05)
