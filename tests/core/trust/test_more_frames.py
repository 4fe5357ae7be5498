"""A pixel-wise Bayesian restoration whose posterior is known exactly stands for the network."""

import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.errors import ImageError
from napari_hdn.core.events import Stop
from napari_hdn.core.noise.base import Clipping
from napari_hdn.core.trust.more_frames import from_repeats, from_second_frame, inequality

PRIOR, NOISE, SAMPLES = 6.0, 9.0, 16  # standard deviations, counts
SHAPE = (128, 128)


def scene(seed=0, frames=8):
    """A scene of independent pixels around smooth large structures, and frames of it."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=SHAPE), 8)
    middle = 150 + 40 * smooth / smooth.std()
    truth = middle + PRIOR * rng.normal(size=SHAPE)
    counts = truth + NOISE * rng.normal(size=(frames, *SHAPE))
    return middle, counts.astype(np.float32)


def posterior(middle, counts, seed, shrunk=1.0):
    """(N, Y, X) samples of p(s | x), its spread multiplied."""
    share = PRIOR**2 / (PRIOR**2 + NOISE**2)
    std = shrunk * np.sqrt(share) * NOISE
    noise = np.random.default_rng(100 + seed).normal(size=(SAMPLES, *SHAPE))
    return middle + share * (counts - middle) + std * noise


class Bayes:
    """Stands for a network; ``shrunk`` makes its samples agree better than they should."""

    samples = SAMPLES

    def __init__(self, prepared, middle, shrunk=1.0):
        self.prepared, self.middle, self.shrunk = prepared, middle, shrunk

    def draw(self, counts, stop, *, number):
        yield 1.0
        if not stop.requested:
            yield posterior(self.middle, counts, number, self.shrunk).astype(np.float32)


def stack(counts, name="repeats"):
    return ImageStack(counts, "TYX", name=name)


@pytest.mark.parametrize("shrunk", [1.0, 0.5])
def test_repeats_find_by_how_much_the_spread_is_wrong(prepared, shrunk):
    middle, counts = scene()
    *_, found = from_repeats(Bayes(prepared, middle, shrunk), stack(counts), Stop())
    # of the predicted error of a mean of N only V / N shrinks with the samples
    share = PRIOR**2 / (PRIOR**2 + NOISE**2)
    error = share * NOISE**2 * (1 + shrunk**2 / SAMPLES)
    predicted = shrunk**2 * share * NOISE**2 * (1 + 1 / SAMPLES)
    assert found.factor == pytest.approx(np.sqrt(error / predicted), abs=4 * found.factor_error)
    assert found.factor_error < 0.05
    assert (found.frames, found.left_out, found.restored) == (8, 0, 3)


@pytest.mark.parametrize("shrunk", [1.0, 0.5])
def test_a_second_frame_finds_the_same(prepared, shrunk):
    middle, counts = scene(1)
    drawn = posterior(middle, counts[0], 5, shrunk)
    noise = np.full(SHAPE, NOISE)
    found = from_second_frame(prepared, counts[0], counts[1], drawn, noise)
    assert found.factor == pytest.approx(1 / shrunk, abs=4 * found.factor_error + 0.05)
    assert not found.remarks


def test_the_size_of_the_noise_comes_from_the_frames(prepared):
    middle, counts = scene(2)
    drawn = posterior(middle, counts[0], 5)
    found = from_second_frame(prepared, counts[0], counts[1], drawn, np.full(SHAPE, 0.92 * NOISE))
    assert found.measured and found.applied == found.factor
    assert found.factor == pytest.approx(1, abs=4 * found.factor_error + 0.05)
    assert "1.1" in found.remarks[0] and "noise model" in found.remarks[0]


@pytest.mark.parametrize(("off", "size"), [(0.7, "2.0"), (1.3, "0.5")])
def test_noise_far_from_the_noise_model_measures_nothing(prepared, off, size):
    middle, counts = scene(2)
    drawn = posterior(middle, counts[0], 5)
    found = from_second_frame(prepared, counts[0], counts[1], drawn, np.full(SHAPE, off * NOISE))
    assert not found.measured and found.applied == 1 and found.verdict == "doubtful"
    assert f"differ by {size}" in found.flaws[0] and len(found.flaws) == 1
    assert "could not be measured" in found.in_words() and f"{found.factor:.2f}" in found.in_words()


def test_an_average_is_no_second_frame(prepared):
    middle, counts = scene(9)
    drawn = posterior(middle, counts[0], 5)
    mean = counts[1:7].mean(axis=0)
    found = from_second_frame(prepared, counts[0], mean, drawn, np.full(SHAPE, NOISE))
    assert not found.measured and found.applied == 1 and found.verdict == "doubtful"
    assert re.search(r"differ by 0.5[6-9] times", found.flaws[0])  # (1 + 1/6) / 2
    assert re.search(r"has 0.1[5-8] times the noise variance", found.flaws[1])  # 1/6


def test_an_average_is_found_out_whatever_the_noise_model_says(prepared):
    middle, counts = scene(10)
    drawn = posterior(middle, counts[0], 5)
    noise = np.full(SHAPE, NOISE * np.sqrt(3 / 4))  # the size of (1 + 1/2) / 2
    mean = counts[1:3].mean(axis=0)
    found = from_second_frame(prepared, counts[0], mean, drawn, noise)
    assert not found.measured and len(found.flaws) == 1 and "noise variance" in found.flaws[0]


@pytest.mark.parametrize("ratio", [0.25, 0.8, 1.0, 2.0])
def test_how_unequal_the_noise_of_two_frames_is(ratio):
    middle, _ = scene(11)
    found, told = [], []
    for seed in range(30):
        a, b = np.random.default_rng(seed).normal(0, NOISE, (2, *SHAPE))
        lines = 50 * np.random.default_rng(99 + seed).normal(size=(2, 128, 1))
        b = b * np.sqrt(ratio) + middle + lines[1]
        unequal, error = inequality(a + middle + lines[0], b, np.ones(SHAPE, bool))
        found.append(unequal)
        told.append(error)
    expected = (1 - ratio) / (1 + ratio)
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / np.sqrt(30))
    assert np.std(found) == pytest.approx(np.mean(told), rel=0.4) and np.mean(told) < 0.04


def test_frames_that_moved_or_bleached_are_left_out(prepared):
    middle, counts = scene(3, 9)
    counts[4] = np.roll(counts[4], 3, axis=1)
    counts[7] *= 0.9
    *_, found = from_repeats(Bayes(prepared, middle), stack(counts), Stop())
    assert found.left_out == 2 and "2 of 9 frames were left out" in found.remarks[0]
    assert found.factor == pytest.approx(1, abs=0.1)


def test_other_scenes_are_left_out(prepared):
    middle, counts = scene(3, 9)
    for k in (0, 5):  # the first one, too, with what they all share as a background
        other, frames = scene(20 + k, 1)
        counts[k] = frames[0] - other.mean() + middle.mean()
    *_, found = from_repeats(Bayes(prepared, middle), stack(counts), Stop())
    assert found.left_out == 2 and "another scene" in found.remarks[0]
    assert found.factor == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("number", [3, 5])
def test_images_of_different_scenes_are_no_repeats(prepared, number, monkeypatch):
    monkeypatch.setattr(
        "napari_hdn.core.trust.more_frames.Tracker.shift", lambda self, frame: (0.0, 0.0)
    )  # what made three of five pass
    middles, frames = zip(*(scene(30 + k, 1) for k in range(number)), strict=True)
    counts = np.stack([f[0] - m.mean() + 150 for m, f in zip(middles, frames, strict=True)])
    with pytest.raises(ImageError, match=f"Only 1 of the {number} frames of repeats show the same"):
        list(from_repeats(Bayes(prepared, middles[0]), stack(counts), Stop()))


def test_a_frame_that_shows_nothing_is_another_scene(prepared):
    middle, counts = scene(12, 5)
    counts[3] = counts.mean()
    *_, found = from_repeats(Bayes(prepared, middle), stack(counts), Stop())
    assert found.left_out == 1


def test_a_scene_that_never_holds_still_is_refused(prepared):
    middle, counts = scene(4, 4)
    counts = np.stack([np.roll(c, 5 * k, axis=0) for k, c in enumerate(counts)])
    with pytest.raises(ImageError, match=r"Only \d of the 4 frames of repeats show the same scene"):
        list(from_repeats(Bayes(prepared, middle), stack(counts), Stop()))


@pytest.mark.parametrize("frames", [1, 2])
def test_less_than_three_frames_are_no_repeats(prepared, frames):
    middle, counts = scene(5, frames)
    with pytest.raises(ImageError, match=f"{frames} frame.*second frame"):
        list(from_repeats(Bayes(prepared, middle), stack(counts), Stop()))


def test_tiny_repeats_are_refused(prepared):
    with pytest.raises(ImageError, match="20 x 24 pixels"):
        list(from_repeats(Bayes(prepared, 0), stack(scene()[1][:, :20, :24]), Stop()))


def test_stopping_leaves_nothing(prepared):
    middle, counts = scene()
    stop, parts = Stop(), []
    for part in from_repeats(Bayes(prepared, middle), stack(counts), stop):
        parts.append(part)
        stop.request()
    assert all(isinstance(p, float) for p in parts)


def second(prepared, other, counts=None):
    middle, frames = scene(6)
    counts = frames[0] if counts is None else counts
    drawn = posterior(middle, frames[0], 5)
    return from_second_frame(prepared, counts, other(frames), drawn, np.full(SHAPE, NOISE))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda f: f[1][:100], "100 x 128 pixels, the image 128 x 128"),
        (lambda f: f[0], "the image itself"),
        (lambda f: np.roll(f[1], 20, axis=0), "another scene"),
        (lambda f: np.where(np.eye(128) > 0, np.nan, f[1]), "128 of 16384 pixels are NaN"),
    ],
)
def test_what_is_no_second_frame_is_refused(prepared, other, words):
    with pytest.raises(ImageError, match=words):
        second(prepared, other)


def test_noise_with_a_structure_is_no_other_scene(prepared):
    middle, frames = scene(8)
    lines = 40 * np.random.default_rng(1).normal(size=(2, 128, 16)).repeat(8, axis=2)
    first, other = frames[:2] + lines
    drawn = posterior(middle, first, 5)
    found = from_second_frame(prepared, first, other, drawn, np.full(SHAPE, 41.0))
    assert "either the noise has a structure" in found.remarks[-1]


def test_saturated_pixels_are_left_out(prepared):
    prepared.noise_model.clipping = Clipping(None, 250.0, 0.0)
    middle, frames = scene(7)
    drawn = posterior(middle, frames[0], 5)
    cut = frames.clip(max=250)
    cut[0, :40], cut[1, :40] = 250, 250
    drawn[:, :40] = 100  # what is wrong there
    found = from_second_frame(prepared, cut[0], cut[1], drawn, np.full(SHAPE, NOISE))
    assert found.factor == pytest.approx(1, abs=0.15)
