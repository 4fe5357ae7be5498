import numpy as np
import pytest

from napari_hdn.core.events import Stop
from napari_hdn.core.hdn import HDN
from napari_hdn.core.normalisation import NoiseCurve, Normalisation
from napari_hdn.core.restoring.drawing import Drawing
from simulated import simulate


@pytest.fixture
def model(tiny_model) -> HDN:
    return tiny_model


@pytest.fixture
def drawing(model) -> Drawing:
    """Draws four samples."""
    return Drawing(model, 4, device="cpu")


@pytest.fixture
def counts() -> np.ndarray:
    """(Y, X) = (72, 80) counts."""
    return simulate((1, 72, 80))[0]


def drawn(drawing, counts, **how):
    *_, last = drawing.draw(counts, Stop(), **how)
    return last


def test_the_samples_are_those_of_restoring(model, drawing, counts):
    fields = {"outputs": ("samples",), "samples": 4, "device": "cpu"}
    expected = model.restore(counts, "YX", **fields).samples
    found = drawn(drawing, counts)
    np.testing.assert_array_equal(found, expected)
    other = drawn(Drawing(model, 4, seed=1, off=(1,), device="cpu"), counts)
    expected = model.restore(counts, "YX", seed=1, deactivated_levels=(1,), **fields).samples
    np.testing.assert_array_equal(other, expected)
    assert np.abs(drawn(drawing, counts, number=1) - found).max() > 0


def test_a_given_curve_is_taken_for_that_plane_only(model, counts):
    import torch

    model.normalisation = Normalisation(20.0, 4.0, True)
    drawing = Drawing(model, 4, device="cpu")
    own = drawn(drawing, counts)
    curve = NoiseCurve(*(torch.tensor(v) for v in (2.0, -190.0, 5.0)))  # the noise model's own
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
