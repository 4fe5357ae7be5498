import numpy as np

from napari_hdn.core.events import Stop
from napari_hdn.core.normalisation import NoiseCurve, Normalisation
from napari_hdn.core.sampling import draw_samples
from napari_hdn.core.trust.drawing import Drawing


def drawn(drawing, counts, **how):
    *_, last = drawing.draw(counts, Stop(), **how)
    return last


def test_the_samples_are_those_of_restoring(model, drawing, counts):
    *_, expected = draw_samples(model, counts, 4, device="cpu")
    found = drawn(drawing, counts)
    np.testing.assert_array_equal(found, expected)
    other = drawn(Drawing(model, 4, seed=1, off=(1,), device="cpu"), counts)
    *_, expected = draw_samples(model, counts, 4, seed=1, off=(1,), device="cpu")
    np.testing.assert_array_equal(other, expected)
    assert np.abs(drawn(drawing, counts, number=1) - found).max() > 0


def test_a_given_curve_is_taken_for_that_plane_only(model, counts):
    import torch

    model.normalisation = Normalisation(20.0, 4.0, True)
    drawing = Drawing(model, 4, device="cpu")
    own = drawn(drawing, counts)
    curve = NoiseCurve(*(torch.tensor(v) for v in (2.0, -191.0, 5.0)))  # the noise model's own
    np.testing.assert_allclose(drawn(drawing, counts, curve=curve), own, rtol=1e-4)
    other = NoiseCurve(*(torch.tensor(v) for v in (8.0, -300.0, 5.0)))
    assert np.abs(drawn(drawing, counts, curve=other) - own).max() > 1
    np.testing.assert_array_equal(drawn(drawing, counts), own)


def test_it_stops(drawing, counts):
    stop, parts = Stop(), []
    for part in drawing.draw(counts, stop):
        parts.append(part)
        stop.request()
    assert all(isinstance(part, float) for part in parts)
