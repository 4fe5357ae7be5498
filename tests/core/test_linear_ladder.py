"""The sampling engine against a posterior that is known in closed form (`linear_ladder`).

Bounds are five standard errors of what is estimated, so that of some thousand pixels hardly one
lies beyond; N is the number of samples, sigma the posterior's standard deviation:

- mean: sigma / sqrt(N);
- standard deviation: sigma / sqrt(2 (N - 1)), and so the coefficient of variation, times 1 / mean;
- median: sigma sqrt(pi / (2 N));
- quantile p, at the z where the normal distribution has the density phi:
  sigma sqrt(p (1 - p) / N) / phi, and for the interpolation between samples sigma / (N phi);
- covariance of two pixels with correlation r: sigma^2 sqrt((1 + r^2) / (N - 1)).

The network is linear in its latents, so that the mean of an antithetic pair is the posterior mean
itself, to rounding, and so is the image of all latents' means, and the mean beside other outputs,
which is one of pairs.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from linear_ladder import (
    ABOVE,
    NOISE,
    NORMALISATION,
    PULL,
    TOP,
    V1,
    V2,
    linear_model,
    posterior,
    posterior_without_level_1,
    simulate,
)
from napari_hdn.core.config import GenerationConfig
from napari_hdn.core.generation import generate
from napari_hdn.core.restoring.sampling import draw_samples

SHAPE = (88, 72)
N = 400
QUANTILES = (0.05, 0.25, 0.5, 0.9)
EXACT = {"device": "cpu", "precision": "float32"}
ROUNDING = 2e-4  # counts: some float32 operations on 200
WAYS = {
    "whole": {},
    "tiles": {"tile_px": 64},
    "flips": {"flips": True},
    "batches of 7": {"batch_size": 7},
}


@pytest.fixture
def model(tiny_config):
    return linear_model(tiny_config)


@pytest.fixture(scope="module")
def counts():
    return simulate(SHAPE, seed=1)[1]


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return EXACT | request.param


def conditioned(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the signal given a block of 4 x 4 pixels, by plain linear algebra."""
    small = np.kron(np.eye(4), np.ones((4, 4)))  # pixels of one 2 x 2, in the order below
    prior = TOP**2 * np.ones((16, 16)) + ABOVE**2 * small
    order = np.arange(16).reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).ravel()
    x = block.ravel()[order]
    gain = prior @ np.linalg.inv(prior + NOISE**2 * np.eye(16))
    mean, covariance = gain @ x, prior - gain @ prior
    back = np.argsort(order)
    return mean[back].reshape(4, 4), covariance[np.ix_(back, back)]


def test_the_closed_form_is_that_of_a_gaussian_conditioned_on_all_pixels(counts):
    expected = posterior(counts)
    x = (counts.astype(np.float64) - NORMALISATION.mean) / NORMALISATION.std
    mean, covariance = conditioned(x[40:44, 8:12])
    np.testing.assert_allclose(
        expected.mean[40:44, 8:12], NORMALISATION.mean + NORMALISATION.std * mean, rtol=1e-10
    )
    variance = (expected.std / NORMALISATION.std) ** 2
    np.testing.assert_allclose(np.diag(covariance), variance, rtol=1e-10)
    np.testing.assert_allclose(covariance[0, [1, 4, 5]], variance, rtol=1e-10)  # one latent
    np.testing.assert_allclose(covariance[0, [2, 10, 15]], PULL**2 * V2, rtol=1e-10)
    assert variance == pytest.approx(V1 + PULL**2 * V2)


@pytest.mark.parametrize("samples", [1, 2, 8])
def test_means_of_latents_and_antithetic_pairs_are_exact(model, counts, way, samples):
    restored = model.restore(counts, "YX", samples=samples, **way)
    np.testing.assert_allclose(restored.mean, posterior(counts).mean, atol=ROUNDING)


def test_a_restoration_is_better_than_the_image_by_what_theory_says(model):
    truth, noisy = simulate((256, 256), seed=2)
    expected = posterior(noisy)
    restored = model.restore(noisy, "YX", samples=2, **EXACT).mean
    errors = (restored - truth)[::4, ::4]  # of one 2 x 2 in each block: independent
    n = errors.size
    assert np.mean(errors**2) == pytest.approx(expected.std**2, rel=5 * (2 / n) ** 0.5)
    assert expected.std < 0.6 * NOISE * NORMALISATION.std


@pytest.fixture(scope="module")
def all_outputs():
    """What independent samples come to, in each way; made once."""
    made = {}

    def get(model, counts, way):
        key = tuple(sorted(way.items()))
        if key not in made:
            outputs = ("mean", "median", "std", "cv", "quantiles", "samples")
            made[key] = model.restore(
                counts, "YX", outputs=outputs, samples=N, quantiles=QUANTILES, **way
            )
        return made[key]

    return get


def test_the_mean_of_samples(model, counts, way, all_outputs):
    samples = all_outputs(model, counts, way).samples.astype(np.float64)
    expected = posterior(counts)
    error = np.abs(samples.mean(axis=0) - expected.mean)
    assert error.max() < 5 * expected.std / N**0.5
    usual = expected.std / N**0.5 * (2 / np.pi) ** 0.5  # of its absolute value, over all pixels
    assert error.mean() == pytest.approx(usual, rel=5 * 0.76 / (error.size / 16) ** 0.5)


def test_the_mean_beside_other_outputs_is_exact(model, counts, way, all_outputs):
    mean = all_outputs(model, counts, way).mean
    np.testing.assert_allclose(mean, posterior(counts).mean, atol=ROUNDING)


def test_the_std_and_the_coefficient_of_variation(model, counts, way, all_outputs):
    found, expected = all_outputs(model, counts, way), posterior(counts)
    error = 5 / (2 * (N - 1)) ** 0.5
    assert np.abs(found.std - expected.std).max() < error * expected.std
    cv = expected.std / np.abs(expected.mean)
    clear = np.abs(expected.mean) > 20  # counts; near 0 it means nothing
    assert clear.mean() > 0.95
    assert (np.abs(found.cv - cv) / cv)[clear].max() < error
    # over independent pixels the mean is known much better; a std is low by a share of 1 / (4 N)
    blocks = found.std[::4, ::4]
    tight = error * expected.std / blocks.size**0.5
    assert blocks.mean() == pytest.approx(expected.std, abs=tight + expected.std / (4 * N))


def test_the_median(model, counts, way, all_outputs):
    found, expected = all_outputs(model, counts, way), posterior(counts)
    bound = 5 * expected.std * (np.pi / (2 * N)) ** 0.5
    assert np.abs(found.median - expected.mean).max() < bound
    blocks = (found.median - expected.mean)[::4, ::4]
    assert abs(blocks.mean()) < bound / blocks.size**0.5


def test_the_quantiles(model, counts, way, all_outputs):
    found, expected = all_outputs(model, counts, way), posterior(counts)
    for number, p in enumerate(QUANTILES):
        z = norm.ppf(p)
        error = 5 * (p * (1 - p) / N) ** 0.5 / norm.pdf(z)
        interpolated = 1 / (N * norm.pdf(z))
        difference = (found.quantiles[number] - expected.quantile(z)) / expected.std
        assert np.abs(difference).max() < error + interpolated
        blocks = difference[::4, ::4]
        assert abs(blocks.mean()) < error / blocks.size**0.5 + interpolated


def test_the_spread_of_three_samples_is_not_too_small(model):
    """As it would be by a third, if squares were divided by N."""
    counts = simulate((400, 400), seed=4)[1]
    restored = model.restore(counts, "YX", outputs=("std",), samples=3, **EXACT)
    variance = restored.std[::4, ::4].astype(np.float64) ** 2  # independent pixels
    expected = posterior(counts).std ** 2
    assert variance.mean() == pytest.approx(expected, rel=5 * (2 / (2 * variance.size)) ** 0.5)


def test_tiles_change_nothing(model, counts):
    outputs = ("mean", "median", "std", "quantiles", "samples", "difference")
    whole, tiled = (
        model.restore(counts, "YX", outputs=outputs, samples=5, **EXACT, **tiles)
        for tiles in ({}, {"tile_px": 64})
    )
    for output in outputs:
        np.testing.assert_allclose(
            getattr(tiled, output), getattr(whole, output), atol=2 * ROUNDING
        )


def test_without_level_1(model, counts, way):
    expected = posterior_without_level_1(counts)
    pair = model.restore(counts, "YX", samples=2, deactivated_levels=(1,), **way).mean
    np.testing.assert_allclose(pair, expected.mean, atol=ROUNDING)
    spread = model.restore(
        counts, "YX", outputs=("std",), samples=N, deactivated_levels=(1,), **way
    )
    assert np.abs(spread.std - expected.std).max() < 5 * expected.std / (2 * (N - 1)) ** 0.5


def test_samples_vary_together_as_the_posterior_does(model):
    counts = simulate((40, 40), seed=3)[1]
    *_, samples = draw_samples(model, counts, N, device="cpu")
    samples = samples.astype(np.float64)
    expected = posterior(counts)
    deviation = samples - samples.mean(axis=0)
    variance = expected.std**2
    for (dy, dx), covariance in {
        (0, 1): variance,  # the same latent
        (2, 0): NORMALISATION.std**2 * PULL**2 * V2,  # the same latent of the top
        (2, 2): NORMALISATION.std**2 * PULL**2 * V2,
        (4, 0): 0.0,
        (0, 4): 0.0,
    }.items():
        one = deviation[:, : 40 - dy : 4, : 40 - dx : 4]
        other = deviation[:, dy::4, dx::4][:, : one.shape[1], : one.shape[2]]
        found = (one * other).sum(axis=0) / (N - 1)
        r = covariance / variance
        bound = 5 * variance * ((1 + r**2) / (N - 1)) ** 0.5
        assert np.abs(found - covariance).max() < bound
        assert np.abs(found.mean() - covariance) < bound / found.size**0.5


def test_the_prior_generates_its_own_statistics(model):
    config = GenerationConfig(height=400, width=400, number=1, device="cpu", precision="float32")
    *_, image = generate(model, config)
    signal = (image.astype(np.float64) - NORMALISATION.mean) / NORMALISATION.std
    tops = signal.reshape(100, 4, 100, 4)[:, ::2, :, ::2]  # (100, 2, 100, 2) latents of level 1
    n = 100 * 100
    top = tops.mean(axis=(1, 3))
    assert abs(top.mean()) < 5 * np.sqrt((TOP**2 + ABOVE**2 / 4) / n)
    assert top.var() == pytest.approx(TOP**2 + ABOVE**2 / 4, rel=5 * (2 / n) ** 0.5)
    within = tops.var(axis=(1, 3), ddof=1).mean()
    assert within == pytest.approx(ABOVE**2, rel=5 * (2 / (3 * n)) ** 0.5)
    np.testing.assert_array_equal(signal[::2], signal[1::2])


def test_the_kl_is_that_of_the_closed_form(model, counts):
    """Of the top: log(t^2 / v2) / 2 + (v2 + mean^2) / (2 t^2) - 1 / 2, summed over blocks."""
    x = torch.from_numpy((counts - NORMALISATION.mean) / NORMALISATION.std)[None, None]
    network = model.network
    with torch.no_grad():
        decoded = network.decode(network.encode(x), ["mean", "mean"], None, with_kl=True)
    z2 = (posterior_without_level_1(counts).mean[::4, ::4] - 100) / 20
    expected = np.sum(0.5 * np.log(TOP**2 / V2) + (V2 + z2**2) / (2 * TOP**2) - 0.5)
    assert float(decoded.kl[1]) == pytest.approx(expected, rel=1e-5)
