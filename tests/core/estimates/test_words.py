"""Estimates in words."""

import itertools

import numpy as np

from napari_hdn.core.estimates.words import Estimate, about, size, spoken_count


def test_words():
    said = [about(s) for s in (1, 12, 40, 58, 95, 170, 3000, 6000, 40_000, 3e5)]
    assert said == [
        "a few seconds", "about 10 s", "about 40 s", "about 1 min", "about 1.5 min", "about 3 min",
        "about 50 min", "about 1.5 h", "about 11 h", "about 3 days",
    ]  # fmt: skip
    assert [size(b) for b in (0, 25e3, 34e6, 352e6, 999e6, 1.24e9, 24.2e9, 3e12)] == [
        "0 kB", "25 kB", "34 MB", "350 MB", "1.0 GB", "1.2 GB", "24 GB", "3.0 TB",
    ]  # fmt: skip
    assert [spoken_count(n) for n in (7, 42, 2345, 187_654)] == ["7", "42", "2,300", "190,000"]
    told = Estimate(170, 1.2e9, 2.4e9, 8e9, 9e9)
    assert told.in_words() == "about 3 min, 1.2 GB of memory, 2.4 GB on disk" and told.fits
    training_ = Estimate(600, 9e8, 4.6e7, steps=2345)
    words = "about 10 min, 2,300 steps, 900 MB of memory, 46 MB on disk"
    assert training_.in_words() == words


def test_no_estimate_says_less_time_for_more_work():
    said = [about(s) for s in np.geomspace(1, 1e6, 400)]
    assert len([k for k, _ in itertools.groupby(said)]) == len(set(said))
