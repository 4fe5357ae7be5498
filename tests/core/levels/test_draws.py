"""Images drawn level by level: what is held, what varies, and from where."""

import numpy as np
import pytest
import torch

from napari_hdn.core.events import Stop
from napari_hdn.core.levels.draws import draw_levels
from napari_hdn.core.restoring.latent_noise import LatentNoise
from simulated import TINY, simulate


def drawn(prepared, counts, **options):
    *fractions, images = draw_levels(prepared, counts, Stop(), **options)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    return images


def written_out(model, counts, level, sample, origin, seed):
    """The same by hand: the noise of sample 0 above, of its own at the level, none below."""
    network, normalisation = model.network, model.normalisation
    curve = model.noise_model.curve() if normalisation.stabilised else None
    latent = LatentNoise(seed, 0, network.config.latent_channels, torch.device("cpu"))
    asked = []

    def noise(at, shape):
        asked.append(at)
        key = sample + 1 if at == level else 0
        return latent.crop(key, at, 0, 0, shape[-2], shape[-1])[None]

    drawing = "sample" if origin == "image" else "prior_sample"
    choices = ["prior_mean" if k < level else drawing for k in (1, 2, 3)]
    with torch.no_grad():
        x = normalisation.apply(torch.from_numpy(counts)[None, None], curve)
        features = network.encode(x) if origin == "image" else None
        top = (1, counts.shape[0] // 8, counts.shape[1] // 8)
        signal = network.decode(features, choices, noise, top_size=top).signal
        assert asked == list(range(3, level - 1, -1))
        return normalisation.invert(signal, curve)[0, 0].numpy()


@pytest.mark.parametrize("origin", ["image", "prior"])
def test_levels_above_are_held_and_those_below_at_their_prior_mean(model, ready, origin):
    counts = simulate((48, 64))
    images = drawn(ready(model), counts, origin=origin, samples=2, seed=5)
    assert images.shape == (3, 2, 48, 64) and images.dtype == np.float32
    for level in (1, 2, 3):
        for sample in (0, 1):
            expected = written_out(model, counts, level, sample, origin, 5)
            np.testing.assert_allclose(
                images[level - 1, sample], expected, atol=1e-5 * float(np.ptp(expected))
            )
        assert np.abs(images[level - 1, 0] - images[level - 1, 1]).max() > 1e-3


def test_the_seed_decides(model, ready):
    counts = simulate((48, 64))
    for origin in ("image", "prior"):
        a, b, c = (drawn(ready(model), counts, origin=origin, samples=1, seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max(axis=(1, 2, 3)).min() > 1e-3


def test_the_prior_knows_nothing_of_the_image(model, ready):
    one, other = (simulate((48, 64), seed=s) + 20 * s for s in (0, 1))
    prior = [drawn(ready(model), c, origin="prior", samples=2) for c in (one, other)]
    np.testing.assert_array_equal(*prior)
    image = [drawn(ready(model), c, samples=2) for c in (one, other)]
    assert np.abs(image[0] - image[1]).max(axis=(1, 2, 3)).min() > 1e-3


def test_sides_that_are_no_multiples(model, ready):
    for origin in ("image", "prior"):
        images = drawn(ready(model), simulate((37, 50)), origin=origin, samples=1)
        assert images.shape == (3, 1, 37, 50) and np.isfinite(images).all()


@pytest.mark.parametrize("rule", ["prior", "posterior"])
def test_a_level_trained_off_is_drawn_all_the_same(make, ready, rule):
    config = TINY.model_copy(update={"levels": 3, "deactivated_levels": (1,), "deactivation": rule})
    model = make(config)
    counts = simulate((48, 64))
    for origin in ("image", "prior"):
        images = drawn(ready(model), counts, origin=origin, samples=2)
        assert np.isfinite(images).all()
        assert np.abs(images[0, 0] - images[0, 1]).max() > 1e-3


def test_stop_ends_it_at_once(model, ready):
    stop = Stop()
    parts = draw_levels(ready(model), simulate((48, 64)), stop, samples=2)
    assert next(parts) == pytest.approx(1 / 6)
    stop.request()
    assert list(parts) == []
