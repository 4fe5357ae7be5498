"""Networks whose answer to noise is known: that give it back, that blur it, that see through it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.events import Stop
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.trust import control


def restoring(monkeypatch, restore):
    """Replaces the network: ``restore`` makes (Y, X) counts of noisy ones."""

    def draw(prepared, plane, samples, stop, **how):
        noisy = prepared.normalisation.invert(plane.image, plane.curve).numpy()
        image = restore(noisy)
        spread = np.random.default_rng(0).normal(size=(samples, *image.shape))
        spread -= spread.mean(axis=0)
        yield 0.5
        yield image + spread

    monkeypatch.setattr(control, "draw", draw)


def judged(prepared, curve=None):
    mean = np.linspace(100, 200, 10_000).reshape(100, 100)
    *_, found = control.pure_noise(prepared, mean, curve, Stop(), samples=4)
    return found


def test_noise_that_is_given_back_is_all_invented(prepared, monkeypatch):
    restoring(monkeypatch, lambda noisy: noisy)
    found = judged(prepared)
    assert [f.signal for f in found.flats] == pytest.approx([105, 150, 195, 199.5])
    for flat in found.flats:
        assert flat.sigma == pytest.approx(np.sqrt(2 * flat.signal - 191), rel=1e-4)
        assert flat.invented == pytest.approx(1, abs=0.02) and abs(flat.bias) < 0.02
        assert 0.5 < flat.correlation_px < 1 and flat.largest_px > 1000
        assert flat.predicted * flat.sigma == pytest.approx(np.sqrt(4 / 3 * 3 / 4), abs=0.02)
    assert found.verdict == "bad"


def test_blurred_noise_is_as_wide_as_the_blur(prepared, monkeypatch):
    restoring(monkeypatch, lambda noisy: gaussian_filter(noisy, 2.0, mode="wrap"))
    found = judged(prepared)
    for flat in found.flats:
        assert flat.invented == pytest.approx(1 / (2 * np.sqrt(np.pi) * 2), rel=0.1)
        assert flat.correlation_px == pytest.approx(2 * 2, rel=0.12)
    assert found.verdict == "good" and "0.14" in found.in_words()


def test_a_blob_is_measured(prepared, monkeypatch):
    def blob(noisy):
        flat = np.full(noisy.shape, np.median(noisy))
        flat[50:57, 60:70] += 20  # about 1 to 2 sigma
        return flat

    restoring(monkeypatch, blob)
    found = judged(prepared)
    assert all(f.largest_px == 70 for f in found.flats)
    assert found.flats[-1].peak == pytest.approx(20 / found.flats[-1].sigma, rel=0.02)
    assert "70 pixels" in found.in_words()


def test_a_bias_is_told(prepared, monkeypatch):
    restoring(monkeypatch, lambda noisy: np.full(noisy.shape, np.median(noisy) + 4.0))
    found = judged(prepared)
    darkest = found.flats[0]
    assert darkest.bias == pytest.approx(4 / darkest.sigma, abs=0.15)
    assert darkest.invented < 1e-3 and darkest.correlation_px == 0
    assert found.verdict == "bad" and "nothing stands out" in found.in_words()


def test_noise_of_an_image_with_its_own_curve(prepared, monkeypatch):
    from napari_hdn.core.normalisation import Normalisation

    model = PoissonGaussian([2.0, 8.0], [-190.0, -700.0], [5.0, 5.0])
    prepared.noise_model = model
    prepared.normalisation = Normalisation(20.0, 4.0, True)
    import torch

    curve = type(model.curve())(*(torch.tensor(v) for v in (8.0, -700.0, 5.0)))
    restoring(monkeypatch, lambda noisy: noisy)
    for flat in judged(prepared, curve).flats:
        assert flat.sigma == pytest.approx(np.sqrt(8 * flat.signal - 700), rel=1e-4)
        assert flat.invented == pytest.approx(1, abs=0.03)


def test_it_stops(prepared):
    stop = Stop()
    stop.request()
    parts = list(control.pure_noise(prepared, np.eye(64) * 90 + 110, None, stop, samples=4))
    assert parts == []
