import numpy as np

from napari_hdn.core.events import Stop
from napari_hdn.core.trust.drawing import draw
from simulated import simulate


def drawn(prepared, counts, samples=3, tile_px=None, **how):
    *_, last = draw(prepared, prepared.plane(counts, tile_px, 1), samples, Stop(), **how)
    return last


def test_the_same_seed_draws_the_same_and_more_begin_with_the_same(prepared, counts):
    three, five = drawn(prepared, counts), drawn(prepared, counts, 5)
    assert three.shape == (3, 72, 80) and three.dtype == np.float32
    np.testing.assert_array_equal(three, five[:3])
    assert np.abs(three[0] - three[1]).std() > 0
    assert np.abs(three - drawn(prepared, counts, seed=1)).max() > 0


def test_tiles_draw_the_same(prepared):
    counts = simulate((1, 256, 256))[0]
    whole, tiled = drawn(prepared, counts, 2), drawn(prepared, counts, 2, 64)
    np.testing.assert_allclose(tiled, whole, atol=0.02 * np.ptp(whole))


def test_it_stops_after_a_sample(prepared, counts):
    stop, parts = Stop(), []
    for part in draw(prepared, prepared.plane(counts, None, 1), 3, stop):
        parts.append(part)
        stop.request()
    assert parts == [1 / 3]
