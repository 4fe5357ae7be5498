import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig, TrainingConfig
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.training.patches import split_regions
from napari_hdn.core.training.refinement import (
    MOST_SCALED,
    NoiseWatch,
    rescaled,
    reshaped,
    watched_level,
)
from simulated import TINY, counts, scene


def regions(images):
    config = TrainingConfig(network=TINY, patch_px=16)
    split = split_regions([ImageStack(images, "SYX", "cells")], config)
    return split.training + split.validation


def seen(*kl, every=50):
    watch = NoiseWatch()
    for k, value in enumerate(kl):
        watch.add(every * (k + 1), value)
    return watch


def test_a_level_at_rest_is_no_rise():
    watch = seen(0.3, 0.2, 0.1, 0.05, *[0.03] * 20)
    assert watch.rise() is None and watch.at_its_least


def test_a_falling_and_then_rising_level_is_seen_with_its_numbers():
    watch = seen(0.3, 0.2, 0.1, 0.05, *[0.03] * 6)
    assert watch.rise() is None
    for step, kl in ((600, 0.05), (650, 0.07), (700, 0.09)):
        watch.add(step, kl)
    rise = watch.rise()
    assert rise.least == pytest.approx(0.03) and rise.now == pytest.approx(0.07)
    assert not watch.at_its_least


def test_a_single_bad_look_is_no_rise():
    assert seen(*[0.03] * 10, 0.09, 0.03).rise() is None


def test_after_a_change_the_watch_begins_anew():
    watch = seen(*[0.03] * 10, 0.08, 0.09, 0.1)
    assert watch.rise() is not None
    watch.rescaled_at = watch.steps[-1]
    assert watch.rise() is None
    for _ in range(12):
        watch.add(watch.steps[-1] + 50, 0.09)
    assert watch.rise() is None


def test_what_levels_below_held_may_move_up_but_no_more():
    """A variant: 0.1 nats were in the levels that are off now."""
    looks = (0.01, 0.01, 0.01, 0.02, *[0.03] * 6, 0.06, 0.09, 0.1, 0.1, 0.1)
    assert seen(*looks).rise() is not None
    watch = seen(*looks)
    watch.inherited = 0.1
    assert watch.rise() is None and watch.at_its_least
    for _ in range(3):
        watch.add(watch.steps[-1] + 50, 0.22)
    rise = watch.rise()
    assert (rise.least, rise.now) == (pytest.approx(0.1), pytest.approx(0.22))
    assert not watch.at_its_least
    other = NoiseWatch()
    other.load(watch.state())
    assert other.inherited == 0.1
    older = watch.state()
    del older["inherited"]
    other.load(older)
    assert other.inherited == 0


@pytest.mark.parametrize(("off", "level"), [((), 1), ((1,), 2), ((1, 2), 3), ((2,), 1)])
def test_the_lowest_level_that_is_on_is_watched(off, level):
    assert watched_level(NetworkConfig(levels=4, deactivated_levels=off)) == level


def test_the_watch_goes_on_where_it_stopped():
    watch = seen(*[0.03] * 10, 0.08, 0.09, 0.1)
    watch.told_at, watch.copies_noise = 650, True
    other = NoiseWatch()
    other.load(watch.state())
    assert other.steps == watch.steps and other.kl == watch.kl and other.told_at == 650
    assert not other.copies_noise, "continuing goes on"


@pytest.mark.parametrize(
    ("wrong", "expected"), [(0.6, 1 / 0.6), (0.8, 1 / 0.8), (0.1, MOST_SCALED)]
)
def test_a_wrong_scale_is_mended_within_bounds(wrong, expected):
    rng = np.random.default_rng(0)
    images = np.concatenate([counts(rng, scene(rng)) for _ in range(3)])
    model = PoissonGaussian([2 * wrong], [-191 * wrong], [4 * wrong])
    refined, text = rescaled(model, regions(images), 3)
    assert float(refined.scale[0]) == pytest.approx(expected, rel=0.08) and len(refined.scale) == 1
    s = torch.tensor([[200.0]])
    torch.testing.assert_close(refined.variance(s), model.variance(s) * refined.scale[0])
    assert f"{float(refined.scale[0]):.2f}" in text


def test_images_scaled_apart_get_a_scale_each():
    rng = np.random.default_rng(1)
    sizes = [5.0, 10.0, 16.0]
    images = np.stack(
        [100 + rng.normal(0, size, (256, 256)).astype(np.float32) for size in sizes]
    ) + np.linspace(0, 50, 256, dtype=np.float32)
    refined, text = rescaled(Gaussian(10.0), regions(images), 3)
    expected = [0.5, 1.0, 2.0]  # 0.25 and 2.56 are beyond the bound
    np.testing.assert_allclose(refined.scale.numpy(), expected, rtol=0.08)
    assert "each image by its own" in text and refined.curves == 3


def test_a_right_model_stays():
    rng = np.random.default_rng(2)
    images = np.concatenate([counts(rng, scene(rng)) for _ in range(3)])
    refined, text = rescaled(PoissonGaussian([2.0], [-191.0], [4.0]), regions(images), 3)
    assert refined is None and "not larger" in text
    large, _ = rescaled(PoissonGaussian([3.0], [-286.0], [6.0]), regions(images), 3)
    assert large is None, "too large a variance makes no network copy noise"


def test_refining_twice_multiplies():
    rng = np.random.default_rng(3)
    images = np.concatenate([counts(rng, scene(rng)) for _ in range(2)])
    model = Refined(PoissonGaussian([0.8], [-76.4], [1.6]), [1.25])
    refined, _ = rescaled(model, regions(images), 2)
    assert isinstance(refined.inner, PoissonGaussian)
    assert float(refined.scale[0]) == pytest.approx(2.5, rel=0.08)


def test_the_networks_units_stay_when_both_shape_and_scale_were_mended():
    rng = np.random.default_rng(5)
    images = np.concatenate([counts(rng, scene(rng)) for _ in range(2)])
    began = PoissonGaussian([1.1], [-110.0], [2.0])
    model = Refined(PoissonGaussian([1.0], [-95.5], [2.0]), [1.0], units=began)
    refined, _ = rescaled(model, regions(images), 2)
    assert float(refined.scale[0]) == pytest.approx(2.0, rel=0.08)
    assert float(refined.curve().gain) == pytest.approx(1.1)


def test_bootstrap_tilts_the_line_and_keeps_the_scale():
    rng = np.random.default_rng(4)
    signal = rng.uniform(170, 330, 200_000)
    true = 2.0 * signal - 191
    noisy = signal + rng.normal(0, np.sqrt(true))
    flat = PoissonGaussian([1.7], [-191 + 0.3 * 250], [4.0])  # right in the middle, too flat
    new, text = reshaped(flat, noisy, signal, 0.0)
    assert float(new.gain[0]) == pytest.approx(2.0, rel=0.05) and "1.7 -> " in text
    # a scale that is off everywhere stays: it is anchored
    noisier = signal + rng.normal(0, np.sqrt(1.5 * true))
    none, words = reshaped(PoissonGaussian([2.0], [-191.0], [4.0]), noisier, signal, 0.0)
    assert none is None and "holds" in words
    # and what is not to be believed is bounded
    steep = PoissonGaussian([0.2], [205.0], [4.0])
    bounded, _ = reshaped(steep, noisy, signal, 0.0)
    s = np.linspace(*np.quantile(noisy, [0.01, 0.99]), 50)
    change = bounded.variance_curve(s) / steep.variance_curve(s)
    assert 0.79 <= change.min() < 0.81 and change.max() <= 1.251
