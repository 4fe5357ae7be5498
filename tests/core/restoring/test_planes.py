"""Planes as a network sees them."""

import numpy as np
import pytest
import torch

from napari_hdn.core.devices import Device
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.normalisation import Normalisation
from napari_hdn.core.restoring.planes import Prepared
from simulated import network, simulate

CPU = Device("cpu", "", False)
NOISE = ([2.0], [-190.0], [5.0])


@pytest.fixture(params=[False, True], ids=["plain", "stabilised"])
def prepared(request) -> Prepared:
    normalisation = Normalisation(20.0, 4.0, True) if request.param else Normalisation(220.0, 60.0)
    return Prepared(network(), normalisation, PoissonGaussian(*NOISE), CPU, "float32")


def test_a_plane_is_padded_by_reflection_and_comes_back_in_counts(prepared):
    counts = simulate((37, 50))
    plane = prepared.plane(counts, None, 1)
    assert plane.size == (37, 50) and plane.shape == (40, 52)
    assert plane.home == torch.device("cpu") and len(plane.tiles) == 1
    back = prepared.to_counts(plane.image, plane).numpy()
    np.testing.assert_allclose(back, np.pad(counts, ((0, 3), (0, 2)), "reflect"), rtol=1e-5)
    seen = plane.image[:37, :50].numpy()
    if prepared.normalisation.stabilised:
        # sqrt of the variance grows by gain / 2 where the stabilised counts grow by one
        units = 20.0 + 4.0 * seen
        above = counts > 110
        slope = np.polyfit(units[above], np.sqrt(2.0 * counts[above] - 190.0), 1)[0]
        assert slope == pytest.approx(1.0, rel=1e-3)
    else:
        np.testing.assert_allclose(seen, (counts - 220) / 60, rtol=1e-4, atol=1e-5)


def test_tiles_are_as_large_as_was_asked_for(prepared):
    plane = prepared.plane(simulate((200, 130)), 64, 1)
    assert len(plane.tiles) == 4 * 3
    assert max(t.inner_y.stop - t.inner_y.start for t in plane.tiles) == 64


def test_features_of_a_tile_are_those_of_the_network(prepared):
    plane = prepared.plane(simulate((200, 130)), 64, 1)
    tile = plane.tiles[4]
    features = prepared.encode(plane.image, tile)
    with torch.no_grad():
        expected = prepared.network.encode(plane.image[tile.y, tile.x][None, None])
    for a, b in zip(features, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_noise_at_a_signal(prepared):
    plane = prepared.plane(simulate((40, 52)), None, 1)
    signal = torch.full((40, 52), 90.0)
    signal[3] = 300.0
    sigma = prepared.noise(signal, plane).numpy()
    assert sigma.shape == (40, 52)
    np.testing.assert_allclose(sigma[3], np.sqrt(2 * 300 - 190), rtol=1e-5)
    np.testing.assert_allclose(sigma[4], np.sqrt(5), rtol=1e-5)


def test_the_network_is_a_copy():
    ladder = network().train()
    prepared = Prepared(ladder, Normalisation(0.0, 1.0), PoissonGaussian(*NOISE), CPU)
    assert ladder.training and not prepared.network.training
    assert prepared.network is not ladder


def test_noise_of_a_model_that_was_refined_is_the_refined_one():
    refined = Refined(PoissonGaussian(*NOISE), [2.0])
    prepared = Prepared(network(), Normalisation(20.0, 4.0, True), refined, CPU, "float32")
    signal = torch.linspace(100, 300, 40 * 52).reshape(40, 52)
    noise = prepared.noise(signal, prepared.plane(simulate((40, 52)), None, 1)).numpy()
    np.testing.assert_allclose(
        noise**2, refined.variance_curve(signal.numpy().ravel()).reshape(40, 52), rtol=1e-5
    )
    np.testing.assert_allclose(noise**2, 2 * (2 * signal.numpy() - 190), rtol=1e-5)


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: Refined(model, [2.0, 2.0])])
def test_a_blank_plane_of_a_model_with_a_curve_per_image(wrap):
    """It shows no noise of its own: the middle curve is taken."""
    per_image = wrap(PoissonGaussian([2.0, 8.0], [-190.0, -760.0], [5.0, 80.0]))
    prepared = Prepared(network(), Normalisation(20.0, 4.0, True), per_image, CPU, "float32")
    plane = prepared.plane(np.full((32, 48), 120.0, np.float32), None, 1)
    assert plane.image.shape == (32, 48)
    assert prepared.encode(plane.image, plane.tiles[0])[0].shape[-2:] == (16, 24)
    assert prepared.noise(torch.full((32, 48), 120.0), plane).shape == (32, 48)
