"""Networks whose answer to noise is known: that give it back, that blur it, that see through it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_hdn.core.events import Stop
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.trust import control


class Known:
    """Stands for the network: ``restore`` makes (Y, X) counts of noisy ones."""

    seed, samples = 0, 4

    def __init__(self, prepared, restore):
        self.prepared, self.restore, self.curves = prepared, restore, []

    def draw(self, counts, stop, *, number, curve):
        self.curves.append(curve)
        image = self.restore(counts)
        spread = np.random.default_rng(0).normal(size=(self.samples, *image.shape))
        yield 0.5
        yield image + spread - spread.mean(axis=0)


def judged(drawing, curve=None):
    mean = np.linspace(100, 200, 10_000).reshape(100, 100)
    *_, found = control.pure_noise(drawing, mean, curve, Stop())
    return found


def test_noise_that_is_given_back_is_all_invented(prepared):
    drawing = Known(prepared, lambda noisy: noisy)
    found = judged(drawing)
    assert [f.signal for f in found.flats] == pytest.approx([105, 150, 195, 199.5])
    for flat in found.flats:
        assert flat.sigma == pytest.approx(np.sqrt(2 * flat.signal - 191), rel=1e-4)
        assert flat.invented == pytest.approx(1, abs=0.02) and abs(flat.bias) < 0.02
        assert 0.5 < flat.correlation_px < 1 and flat.largest_px > 1000
        assert flat.predicted * flat.sigma == pytest.approx(np.sqrt(4 / 3 * 3 / 4), abs=0.02)
    assert found.verdict == "bad"


def test_blurred_noise_is_as_wide_as_the_blur(prepared):
    drawing = Known(prepared, lambda noisy: gaussian_filter(noisy, 2.0, mode="wrap"))
    found = judged(drawing)
    for flat in found.flats:
        assert flat.invented == pytest.approx(1 / (2 * np.sqrt(np.pi) * 2), rel=0.1)
        assert flat.correlation_px == pytest.approx(2 * 2, rel=0.12)
    assert found.verdict == "good" and "0.14" in found.in_words()


def test_a_blob_is_measured(prepared):
    def blob(noisy):
        flat = np.full(noisy.shape, np.median(noisy))
        flat[50:57, 60:70] += 20  # about 1 to 2 sigma
        return flat

    drawing = Known(prepared, blob)
    found = judged(drawing)
    assert all(f.largest_px == 70 for f in found.flats)
    assert found.flats[-1].peak == pytest.approx(20 / found.flats[-1].sigma, rel=0.02)
    assert "70 pixels" in found.in_words()


def test_a_bias_is_told(prepared):
    drawing = Known(prepared, lambda noisy: np.full(noisy.shape, np.median(noisy) + 4.0))
    found = judged(drawing)
    darkest = found.flats[0]
    assert darkest.bias == pytest.approx(4 / darkest.sigma, abs=0.15)
    assert darkest.invented < 1e-3 and darkest.correlation_px == 0
    assert found.verdict == "bad" and "nothing stands out" in found.in_words()


def test_noise_of_an_image_with_its_own_curve(prepared):
    from napari_hdn.core.normalisation import Normalisation

    model = PoissonGaussian([2.0, 8.0], [-190.0, -700.0], [5.0, 5.0])
    prepared.noise_model = model
    prepared.normalisation = Normalisation(20.0, 4.0, True)
    import torch

    curve = type(model.curve())(*(torch.tensor(v) for v in (8.0, -700.0, 5.0)))
    drawing = Known(prepared, lambda noisy: noisy)
    for flat in judged(drawing, curve).flats:
        assert flat.sigma == pytest.approx(np.sqrt(8 * flat.signal - 700), rel=1e-4)
        assert flat.invented == pytest.approx(1, abs=0.03)
    assert drawing.curves == [curve] * 4


def test_where_all_images_have_the_same_curve_it_is_the_noise_models_own(prepared):
    drawing = Known(prepared, lambda noisy: noisy)
    judged(drawing, prepared.noise_model.curve())
    assert drawing.curves == [None] * 4


def test_it_stops(drawing):
    stop = Stop()
    stop.request()
    parts = list(control.pure_noise(drawing, np.eye(64) * 90 + 110, None, stop))
    assert parts == []
