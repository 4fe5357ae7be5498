import numpy as np
import pytest
from scipy.ndimage import shift

from napari_hdn.core.calibration.drift import Track, Tracker
from simulated import counts, scene


def tracked(frames):
    tracker = Tracker(frames[:4].mean(0), (frames[1] - frames[0]) / np.sqrt(2))
    return tracker, Track(np.array([tracker.shift(f) for f in frames]), frames.mean(axis=(1, 2)))


def test_a_drift_is_followed_through_the_noise():
    rng = np.random.default_rng(0)
    photons = scene(rng)
    true = np.stack([0.08 * np.arange(20), -0.04 * np.arange(20)], axis=1)
    frames = np.concatenate([counts(rng, shift(photons, d, mode="reflect")) for d in true])
    tracker, track = tracked(frames)
    assert tracker.visible
    moved = track.shifts - track.shifts.mean(axis=0)
    np.testing.assert_allclose(moved, true - true.mean(axis=0), atol=0.12)
    assert track.farthest(np.ones(20, bool)) == pytest.approx(1.52, abs=0.15)
    steady = track.steady()
    assert 3 <= steady.sum() <= 10 and track.farthest(steady) <= 0.55


def test_a_still_field_stays():
    rng = np.random.default_rng(1)
    _, track = tracked(counts(rng, scene(rng), frames=12))
    assert track.farthest(np.ones(12, bool)) <= 0.1 and track.steady().all()
    assert abs(track.brightness(np.ones(12, bool))) < 0.002


def test_one_frame_that_jumps_is_found():
    rng = np.random.default_rng(2)
    photons = scene(rng)
    frames = counts(rng, photons, frames=12)
    frames[5] = counts(rng, np.roll(photons, 2, axis=0))[0]
    _, track = tracked(frames)
    assert np.flatnonzero(~track.steady()).tolist() == [5]


def test_bleaching_is_told_in_shares():
    rng = np.random.default_rng(3)
    photons = scene(rng)
    frames = np.concatenate([counts(rng, photons * 0.98**k, offset=0.0) for k in range(12)])
    _, track = tracked(frames)
    # means of the first and the last third
    expected = np.mean(0.98 ** np.arange(8, 12)) / np.mean(0.98 ** np.arange(4)) - 1
    assert track.brightness(np.ones(12, bool)) == pytest.approx(expected, abs=0.005)
    assert track.steady().sum() < 5


def test_a_field_without_structures_has_no_shift():
    rng = np.random.default_rng(4)
    tracker, track = tracked(rng.normal(100, 10, (6, 128, 128)))
    assert not tracker.visible and not track.shifts.any()
