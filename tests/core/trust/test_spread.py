"""Errors of known size against what was predicted."""

import numpy as np
import pytest

from napari_hdn.core.trust.spread import BINS, SpreadCalibration, compare


def drawn(factor, seed, shape=(2, 128, 128), noise=0.0):
    """Predicted variances that differ by place, and squared errors less a known noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]]
    predicted = np.broadcast_to(np.exp(np.sin(x / 9) * np.cos(y / 11)), shape)
    error = factor * np.sqrt(predicted) * rng.normal(size=shape)
    squares = (error + noise * rng.normal(size=shape)) ** 2 - noise**2
    return compare(predicted, squares, np.ones(shape, bool))


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_factor_is_found_within_its_error(factor, noise):
    found = drawn(factor, 0, noise=noise)
    assert found.factor == pytest.approx(factor, abs=3.5 * found.factor_error)
    assert found.factor_error < 0.1
    assert len(found.predicted) == BINS and list(found.predicted) == sorted(found.predicted)


def test_the_error_of_the_factor_is_as_told():
    every = [drawn(1.0, seed, (1, 96, 96)) for seed in range(40)]
    told = np.mean([f.factor_error for f in every])
    assert np.std([f.factor for f in every]) == pytest.approx(told, rel=0.3)


def test_the_curve_is_a_line_through_0_with_the_factor_as_slope():
    found = drawn(1.5, 1)
    off = np.array(found.observed) - 1.5 * np.array(found.predicted)
    assert np.abs(off / np.array(found.error)).max() < 4
    assert found.ranks > 0.8


def test_spread_that_is_not_where_the_errors_are_has_no_rank_correlation():
    rng = np.random.default_rng(2)
    predicted = rng.permuted(drawn_map(), axis=1)
    error = np.sqrt(drawn_map()) * rng.normal(size=(1, 128, 128))
    found = compare(predicted, error**2, np.ones((1, 128, 128), bool))
    assert abs(found.ranks) < 0.3


def drawn_map():
    y, x = np.mgrid[:128, :128]
    return np.exp(2 * np.sin(x / 30) * np.cos(y / 25))[None]


def test_pixels_that_are_not_usable_do_not_count():
    shape = (1, 64, 64)
    usable = np.ones(shape, bool)
    usable[:, 20:40] = False
    squares = np.where(usable, 4.0, 1e12)
    found = compare(np.ones(shape), squares, usable)
    assert found.factor == pytest.approx(2) and found.factor_error == pytest.approx(0, abs=1e-6)
    assert np.isnan(found.ranks)  # nothing differs


def test_errors_below_what_noise_makes_of_nothing_are_0():
    found = compare(np.ones((1, 64, 64)), np.full((1, 64, 64), -1.0), np.ones((1, 64, 64), bool))
    assert found.factor == 0 and set(found.observed) == {0.0}


@pytest.mark.parametrize(
    ("factor", "ranks", "verdict", "words"),
    [
        (1.1, 0.8, "good", "1.10"),
        (1.6, 0.8, "doubtful", "better with each other"),
        (0.6, 0.8, "doubtful", "too long"),
        (1.0, 0.1, "doubtful", "not where the errors are"),
        (3.0, 0.8, "bad", "3.00"),
    ],
)
def test_what_is_said(factor, ranks, verdict, words):
    found = SpreadCalibration("repeats", (1.0,), (1.0,), (0.1,), factor, 0.02, ranks, 5, 0, 3)
    assert found.verdict == verdict and words in found.in_words()
    assert found.measured and found.applied == factor


@pytest.mark.parametrize("factor", [0.0, 0.1, 0.49])
def test_a_factor_within_its_error_of_0_is_not_used(factor):
    found = SpreadCalibration("second_frame", (1.0,), (0.0,), (0.5,), factor, 0.25, 0.8, 2, 0, 1)
    assert not found.measured and found.applied == 1 and found.verdict == "doubtful"
    assert f"{factor:.2f} ± 0.25" in found.in_words() and "told from 0" in found.in_words()
    told = found.to_json()
    assert told["measured"] is False and told["factor"] == factor


def test_a_factor_that_holds_on_the_whole_only_is_doubtful():
    fields = {"factor": 1.1, "factor_error": 0.02, "ranks": 0.8, "frames": 5, "left_out": 0,
              "restored": 3}  # fmt: skip
    even = SpreadCalibration("repeats", (1.0, 4.0), (1.2, 4.2), (0.1, 0.1), **fields)
    assert even.uneven == 0 and even.verdict == "good"
    uneven = SpreadCalibration("repeats", (0.5, 4.0), (2.0, 4.2), (0.3, 0.1), **fields)
    assert uneven.uneven == 1 and uneven.verdict == "doubtful"
    assert "In 1 of 2 bins of the curve the errors are more than 1.5 times" in uneven.in_words()
    unsure = SpreadCalibration("repeats", (0.5, 4.0), (2.0, 4.2), (0.6, 0.1), **fields)
    assert unsure.uneven == 0
