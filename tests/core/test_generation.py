"""Images from the prior: exact sizes, coherent tiles, the right counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from napari_hdn.core import generation
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.calibration.choose import curve_of_plane
from napari_hdn.core.config import GenerationConfig
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import ConfigurationError, ImageError, MemoryShortError
from napari_hdn.core.events import Stop
from napari_hdn.core.generation import (
    generate,
    memory_needed,
    real_pieces,
    remarks,
    restored_pieces,
)
from napari_hdn.core.hdn import HDN, TrainingSummary
from napari_hdn.core.noise.base import Clipping
from napari_hdn.core.noise.gaussian import Gaussian
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.latent_noise import LatentNoise
from simulated import TINY, network, simulate

SUMMARY = TrainingSummary(
    version="0", created="now", steps=1, seconds=1, stopped=False, device="cpu", data=(),
    data_low=100, data_high=350,
)  # fmt: skip
CPU = torch.device("cpu")
KEY = 2**20


@pytest.fixture
def make(tiny_config):
    def made(net=TINY, noise=None, *, stabilised=False) -> HDN:
        normalisation = Normalisation(20.0, 4.0, True) if stabilised else Normalisation(220.0, 60.0)
        noise = noise or PoissonGaussian([2.0], [-190.0], [5.0])
        training = tiny_config.model_copy(update={"network": net})
        return HDN(training, network(net), noise, normalisation, SUMMARY)

    return made


def images(model, *, like=None, **fields) -> np.ndarray:
    config = GenerationConfig(
        **{"height": 40, "width": 56, "number": 1, "device": "cpu", "precision": "float32"} | fields
    )
    return np.stack([p for p in generate(model, config, like=like) if isinstance(p, np.ndarray)])


def by_hand(model, shape, number=0, seed=0, choice="prior_sample"):
    """The same signal from the ladder itself, normalised."""
    m = model.network.config.multiple
    latents = LatentNoise(seed, number, model.network.config.latent_channels, CPU)
    top = (1, -(-shape[0] // m), -(-shape[1] // m))
    with torch.no_grad():
        signal = model.network.decode(
            None,
            [choice] * model.network.config.levels,
            lambda level, s: latents.crop(KEY, level, 0, 0, s[-2], s[-1])[None],
            top_size=top,
        ).signal
    return signal[0, 0, : shape[0], : shape[1]]


@pytest.mark.parametrize("shape", [(40, 56), (37, 50), (1, 1), (3, 129)])
@pytest.mark.parametrize("stabilised", [False, True])
def test_exact_sizes_in_counts(make, shape, stabilised):
    model = make(stabilised=stabilised)
    got = images(model, height=shape[0], width=shape[1], number=2, seed=3)
    assert got.shape == (2, *shape) and got.dtype == np.float32
    curve = model.noise_model.curve() if stabilised else None
    for number in (0, 1):
        signal = by_hand(model, shape, number, 3)
        expected = model.normalisation.invert(signal, curve).numpy()
        np.testing.assert_allclose(got[number], expected, rtol=2e-5)
    if shape != (1, 1):
        assert np.abs(got[0] - got[1]).max() > 1


def test_tiles_are_one_image(make):
    """The network sees no further than 128 px, so only rounding is left."""
    model = make()
    size = {"height": 301, "width": 262}
    whole, tiled = images(model, **size), images(model, **size, tile_px=64)
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * np.ptp(whole))


def test_without_a_halo_there_would_be_seams(make, monkeypatch):
    model = make()
    size = {"height": 301, "width": 262}
    whole = images(model, **size)
    monkeypatch.setattr(generation, "halo_px", lambda config: 0)
    tiled = images(model, **size, tile_px=64)
    assert np.abs(tiled - whole).max() > 1e-2 * np.ptp(whole)


def test_tiles_follow_the_memory_that_is_free(make, monkeypatch):
    model = make()
    expected = images(model, height=700, width=300)
    seen = []
    plan = generation.plan_tiles
    monkeypatch.setattr(generation, "plan_tiles", lambda *a: seen.append(len(plan(*a))) or plan(*a))
    monkeypatch.setattr(Device, "free_bytes", lambda self: 200e6)
    got = images(model, height=700, width=300)
    assert seen[0] > 1
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.ptp(expected))


def test_out_of_memory_takes_smaller_tiles(make, monkeypatch):
    model = make()
    expected = images(model, height=300, width=300)
    decoded, asked = generation._Generator._decoded, []

    def fails_on_large(self, tile, latents):
        asked.append(tile)
        if tile.inner_y.stop - tile.inner_y.start > 160:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return decoded(self, tile, latents)

    monkeypatch.setattr(generation._Generator, "_decoded", fails_on_large)
    got = images(model, height=300, width=300)
    assert len(asked) == 1 + 4  # whole, then four quarters
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.ptp(expected))


def test_no_memory_even_for_the_smallest_tiles(make, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(generation._Generator, "_decoded", fails)
    with pytest.raises(MemoryShortError, match="not even in tiles of 64"):
        images(make(), height=300, width=300)


def test_other_errors_are_not_swallowed(make, monkeypatch):
    def fails(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(generation._Generator, "_decoded", fails)
    with pytest.raises(RuntimeError, match="shapes"):
        images(make())


def test_the_seed_decides(make):
    model = make()
    a, b, c = (images(model, number=2, seed=s, camera_noise=True) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max(axis=(1, 2)).min() > 1
    np.testing.assert_array_equal(images(model, number=3, seed=1, camera_noise=True)[:2], a)


def test_levels_that_are_off_are_at_their_means(make):
    net = TINY.model_copy(update={"levels": 3, "deactivated_levels": (1,)})
    model = make(net)
    latents = LatentNoise(0, 0, net.latent_channels, CPU)

    def expected(choices):
        with torch.no_grad():
            decoded = model.network.decode(
                None, choices, lambda level, s: latents.crop(KEY, level, 0, 0, *s[-2:])[None],
                top_size=(1, 5, 7),
            )  # fmt: skip
        return model.normalisation.invert(decoded.signal)[0].numpy()

    trained = expected(["prior_mean", "prior_sample", "prior_sample"])
    np.testing.assert_allclose(images(model), trained, rtol=2e-5)
    further = expected(["prior_mean", "prior_mean", "prior_sample"])
    np.testing.assert_allclose(images(model, deactivated_levels=(2,)), further, rtol=2e-5)
    unmerged = make(net.model_copy(update={"deactivation": "posterior"}))
    assert np.isfinite(images(unmerged)).all()
    with pytest.raises(ConfigurationError, match="3"):
        images(model, deactivated_levels=(3,))


def apart(scales=(1.0, 4.0, 9.0)):
    return PoissonGaussian(scales, [100 * s for s in scales], [5.0] * len(scales))


def test_images_scaled_apart_have_the_counts_of_a_real_one(make):
    model = make(noise=apart(), stabilised=True)
    like = simulate((128, 128), gain=6.0)
    signal = by_hand(model, (40, 56))
    middle = model.noise_model.curve(torch.tensor([1]))
    own = model.normalisation.invert(signal[None, None], middle)[0, 0].numpy()
    np.testing.assert_allclose(images(model)[0], own, rtol=2e-5)
    curve = curve_of_plane(model.noise_model, like)
    taken = model.normalisation.invert(signal, curve).numpy()
    assert np.abs(taken - own).max() > 10
    np.testing.assert_allclose(images(model, like=like)[0], taken, rtol=2e-5)


def test_remarks(make):
    plain, noisy = (GenerationConfig(camera_noise=noise) for noise in (False, True))
    model = make(noise=apart(), stabilised=True)
    (remark,) = remarks(model, plain, chosen=False)
    assert "learned from 3 images that were scaled apart" in remark
    assert remarks(model, noisy, chosen=True) == []
    model = make(stabilised=True)
    assert remarks(model, noisy, chosen=False) == []
    model.noise_model.structured = True
    (remark,) = remarks(model, noisy, chosen=False)
    assert "counts the artefact as noise" in remark
    assert remarks(model, plain, chosen=False) == []


@pytest.mark.parametrize(
    ("noise", "gain", "offset"),
    [
        (Gaussian(7.0), 0.0, 49.0),
        (PoissonGaussian([2.0], [-190.0], [5.0]), 2.0, -190.0),
        (Refined(PoissonGaussian([2.0], [-190.0], [5.0]), [1.5]), 3.0, -285.0),
        (apart(), 4.0, 400.0),
        (Refined(apart(), [1.0, 1.5, 2.0]), 6.0, 600.0),
    ],
    ids=["gaussian", "poisson", "refined", "apart", "refined apart"],
)
def test_camera_noise_has_the_variance_of_the_noise_model(make, noise, gain, offset):
    model = make(noise=noise)
    size = {"height": 600, "width": 500}
    clean = images(model, **size)[0].astype(np.float64)
    residual = images(model, **size, camera_noise=True)[0] - clean
    z = residual / np.sqrt(np.maximum(gain * clean + offset, 5.0))
    n = z.size
    assert abs(z.mean()) < 5 / n**0.5
    assert abs(z.var() - 1) < 5 * (2.5 / n) ** 0.5  # 2 for normal noise, more where photons are few
    assert abs(np.mean(z[:, 1:] * z[:, :-1])) < 5 / n**0.5
    assert abs(np.mean(z[256:] * z[:-256])) < 5 / n**0.5  # bands differ


def test_camera_noise_is_clipped_where_the_camera_does(make):
    noise = Gaussian(30.0)
    noise.clipping = Clipping(low=200.0, high=230.0)
    got = images(make(noise=noise), camera_noise=True)
    assert got.min() == 200 and got.max() == 230


def test_camera_noise_does_not_depend_on_tiles(make):
    model = make()
    size = {"height": 301, "width": 262, "camera_noise": True}
    whole, tiled = images(model, **size), images(model, **size, tile_px=64)
    assert (
        np.mean(np.abs(tiled - whole) > 0.01) < 1e-3
    )  # rounding may change a photon here and there


def test_absurd_sizes_are_refused_with_numbers(make):
    config = GenerationConfig(height=10**6, width=10**6, number=2, device="cpu")
    assert memory_needed(config, 2) == 3 * 4 * 10**12
    with pytest.raises(
        MemoryShortError, match=r"1000000 x 1000000 pixels .* 12,000\.0 GB"
    ) as error:
        next(generate(make(), config, kept=2))
    assert "2 images" in str(error.value) and "up to about" in str(error.value)
    with pytest.raises(MemoryShortError, match="An image of 1000000"):
        next(generate(make(), config))


def test_what_fits_once_may_not_fit_often(make, monkeypatch):
    monkeypatch.setattr(Device, "free_bytes", lambda self: 10e6)
    config = GenerationConfig(height=1000, width=1000, number=1, device="cpu", precision="float32")
    with pytest.raises(MemoryShortError, match="fewer or smaller images"):
        next(generate(make(), config, kept=8))


def test_a_like_with_holes_is_refused(make):
    like = simulate((64, 64))
    like[3, 4] = np.nan
    with pytest.raises(ImageError, match="1 of 4096"):
        images(make(), like=like)


def test_fractions_grow_and_stop_keeps_what_is_done(make):
    config = GenerationConfig(
        height=300, width=70, number=3, tile_px=128, device="cpu", precision="float32"
    )
    parts = list(generate(make(), config))
    fractions = [p for p in parts if isinstance(p, float)]
    assert len(fractions) == 9 and fractions[-1] == 1
    assert all(a < b for a, b in pairwise(fractions))
    stop, got = Stop(), []
    for part in generate(make(), config, stop=stop):
        got.append(part)
        if isinstance(part, np.ndarray):
            stop.request()
    assert sum(isinstance(p, np.ndarray) for p in got) == 1
    np.testing.assert_array_equal(got[-1], parts[3])


def test_pieces_of_real_images():
    stack = ImageStack(simulate((6, 90, 700)), "TYX", "cells")
    pieces = real_pieces(stack, (64, 600), 3, seed=1)
    assert [p.shape for p in pieces] == [(64, 512)] * 3
    for piece, t in zip(pieces, (0, 2, 4), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(stack.plane((t,)), (64, 512))
        assert (windows[:, :, :5, :5] == piece[:5, :5]).all((2, 3)).sum() == 1
    again = real_pieces(stack, (64, 600), 3, seed=1)
    np.testing.assert_array_equal(pieces, again)
    large = real_pieces(stack, (1000, 1000), 7)  # the planes are 700 px wide: one of 512 in each
    assert [p.shape for p in large] == [(90, 512)] * 6
    assert len({p.tobytes() for p in large}) == 6
    bad = simulate((2, 64, 64))
    bad[1] = np.inf
    with pytest.raises(ImageError, match="plane 1"):
        real_pieces(ImageStack(bad, "TYX", "cells"), (64, 64), 2)


def test_the_same_piece_is_never_taken_twice():
    plane = simulate((64, 64))
    (only,) = real_pieces(ImageStack(plane, "YX"), (64, 64), 4)
    np.testing.assert_array_equal(only, plane)
    three = ImageStack(simulate((3, 64, 64)), "TYX")
    got = real_pieces(three, (64, 64), 4)
    np.testing.assert_array_equal(got, [three.plane((t,)) for t in range(3)])
    assert len({p.tobytes() for p in real_pieces(three, (16, 16), 5)}) == 5


def test_a_piece_without_structure_is_left_as_it_is(make):
    pieces = [np.zeros((38, 50), np.float32), simulate((38, 50))]
    config = GenerationConfig(device="cpu", precision="float32", seed=4)
    *fractions, got = restored_pieces(make(), pieces, config)
    assert fractions == [0.5, 1.0] and got.shape == (2, 38, 50)
    assert not got[0].any() and got[1].std() > 0


@pytest.mark.parametrize("stabilised", [False, True])
def test_restored_pieces_are_posterior_samples(make, stabilised):
    model = make(stabilised=stabilised)
    pieces = [simulate((38, 50), seed=s) for s in (0, 1)]
    config = GenerationConfig(device="cpu", precision="float32", seed=4)
    *_, got = restored_pieces(model, pieces, config)
    assert got.shape == (2, 38, 50)
    expected = [
        model.restore(p, "YX", samples=1, device="cpu", precision="float32").mean for p in pieces
    ]
    spread = got - np.stack(expected)
    assert 0 < np.abs(spread).mean() < np.ptp(expected)
    *_, again = restored_pieces(model, pieces, config)
    np.testing.assert_array_equal(got, again)
    stop = Stop()
    stop.request()
    assert list(restored_pieces(model, pieces, config, stop)) == []
