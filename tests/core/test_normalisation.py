import pytest
import torch

from napari_hdn.core.normalisation import NoiseCurve, Normalisation


def curve(gain, offset, floor):
    return NoiseCurve(*(torch.tensor(float(v), dtype=torch.float64) for v in (gain, offset, floor)))


CURVES = [
    curve(3.7, -12, 0.2),
    curve(1e-4, 100, 10),
    curve(2.0, -150, 5),
    curve(0.0, 625, 300),
    curve(1e-9, 4, 1),
    curve(2.2, 400, 90),
]
COUNTS = torch.linspace(-100, 4000, 2001, dtype=torch.float64)


@pytest.mark.parametrize("c", CURVES)
def test_stabilising_is_undone(c):
    torch.testing.assert_close(c.unstabilise(c.stabilise(COUNTS)), COUNTS, atol=1e-6, rtol=1e-9)


@pytest.mark.parametrize("c", CURVES)
def test_slope_is_one_over_sigma(c):
    s = COUNTS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(c.stabilise(s).sum(), s)
    torch.testing.assert_close(slope, c.variance(COUNTS) ** -0.5, atol=0, rtol=1e-3)


def test_noise_has_unit_size_at_every_signal():
    rng = torch.Generator().manual_seed(0)
    c = curve(2.0, -150, 5)
    for signal in (120.0, 400.0, 3000.0):
        photons = torch.full((100_000,), (signal - 100) / 2, dtype=torch.float64)
        noisy = 2 * torch.poisson(photons, generator=rng) + 100
        noisy += 50**0.5 * torch.randn(noisy.shape, generator=rng, dtype=torch.float64)
        assert float(c.stabilise(noisy).std()) == pytest.approx(1.0, abs=0.1)


def test_plain_and_stabilised_normalisation_are_undone():
    x = COUNTS.float().reshape(1, 1, 3, -1)
    torch.testing.assert_close(
        Normalisation(100.0, 30.0).invert(Normalisation(100.0, 30.0).apply(x)), x
    )
    n, c = Normalisation(5.0, 3.0, stabilised=True), curve(2.2, 400, 90)
    torch.testing.assert_close(n.invert(n.apply(x, c), c).float(), x, atol=0.01, rtol=1e-4)


def test_images_scaled_apart_look_the_same():
    gains = torch.tensor([1.0, 5.0]).reshape(2, 1, 1, 1)
    c = NoiseCurve(2.0 * gains, -150 * gains**2, 5 * gains**2)
    image = torch.linspace(100, 600, 50).reshape(1, 1, 5, 10)
    y = c.stabilise(gains * image)
    torch.testing.assert_close(y[0], y[1])


@pytest.mark.parametrize("gain", [1e-2, 1e-3, 1e-4, 1e-5, 2e-6])
def test_small_gains_keep_the_digits_of_counts(gain):
    c = NoiseCurve(*(torch.tensor(v) for v in (gain, 100.0, 10.0)))
    counts = torch.linspace(0, 60000, 2001)
    torch.testing.assert_close(c.unstabilise(c.stabilise(counts)), counts, atol=0.02, rtol=1e-6)
