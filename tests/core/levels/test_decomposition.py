"""The decomposition is exact, and costs one encode and n + 1 decodes."""

import numpy as np
import pytest
import torch

from napari_hdn.core.events import Stop
from napari_hdn.core.levels.decomposition import Decomposition, decompose
from napari_hdn.core.levels.descent import no_noise
from simulated import TINY, simulate

EXACT = {"device": "cpu", "precision": "float32"}


def decomposed(prepared, counts, **options) -> Decomposition:
    *fractions, result = decompose(prepared, counts, Stop(), **options)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    return result


def close(a, b, share=1e-5):
    """Within a share of the range."""
    np.testing.assert_allclose(a, b, atol=share * float(np.ptp(b)), rtol=0)


@pytest.mark.parametrize("shape", [(48, 64), (37, 50)])
def test_contributions_and_remainder_add_up_to_the_restored_image(model, ready, shape):
    counts = simulate(shape)
    found = decomposed(ready(model), counts)
    whole = model.restore(counts, "YX", samples=1, **EXACT).mean
    assert found.levels == 3 and found.contributions.shape == (3, *shape)
    close(found.remainder + found.contributions.sum(axis=0), whole)
    close(found.image, whole)
    assert np.abs(found.contributions).max(axis=(1, 2)).min() > 1e-3


def test_what_is_left_without_a_run_of_levels_is_what_restoring_gives(model, ready):
    counts = simulate((48, 64))
    found = decomposed(ready(model), counts)
    for off in [(), (1,), (1, 2)]:
        whole = model.restore(counts, "YX", samples=1, deactivated_levels=off, **EXACT).mean
        close(found.without(off), whole)
        np.testing.assert_array_equal(found.without(off[::-1]), found.without(off))
    for off in [(2,), (1, 3)]:
        with pytest.raises(ValueError, match="no run from level 1"):
            found.without(off)


def test_the_remainder_has_nothing_of_the_image(make, ready):
    one, other = (
        decomposed(ready(make()), simulate((48, 64), seed=seed) + 10 * seed) for seed in (0, 1)
    )
    np.testing.assert_array_equal(one.remainder, other.remainder)
    assert np.abs(one.image - other.image).max() > 0.1


def test_one_encode_and_a_decode_a_level(model, ready, monkeypatch):
    prepared = ready(model)
    calls = []
    for name in ("encode", "descend", "finish"):
        real = getattr(prepared.network, name)

        def counted(*args, name=name, real=real, **kwargs):
            calls.append((name, args[0] if name == "descend" else None))
            return real(*args, **kwargs)

        monkeypatch.setattr(prepared.network, name, counted)
    decomposed(prepared, simulate((48, 64)))
    assert [c[0] for c in calls].count("encode") == 1
    assert [c[0] for c in calls].count("finish") == 4
    # every decode begins at the first level that differs: 3 2 1, 1, 2 1, 3 2 1
    assert [c[1] for c in calls if c[0] == "descend"] == [3, 2, 1, 1, 2, 1, 3, 2, 1]


def test_tiles_give_what_the_whole_plane_gives(model, ready):
    counts = simulate((200, 330))
    whole, tiled = (decomposed(ready(model), counts, tile_px=t) for t in (None, 64))
    size = float(np.ptp(whole.image))
    restored = [model.restore(counts, "YX", samples=1, tile_px=t, **EXACT).mean for t in (None, 64)]
    error = np.abs(restored[1] - restored[0]).max()
    assert np.abs(tiled.image - whole.image).max() <= error + 1e-5 * size
    for a, b in zip(tiled.contributions, whole.contributions, strict=True):
        np.testing.assert_allclose(a, b, atol=0.005 * size)
    np.testing.assert_allclose(tiled.kl, whole.kl, rtol=0.01)
    np.testing.assert_allclose(tiled.noise, whole.noise, rtol=0.005)


def test_kl_in_nats_per_pixel(model, ready):
    counts = simulate((48, 64))
    curve = model.noise_model.curve() if model.normalisation.stabilised else None
    with torch.no_grad():
        x = model.normalisation.apply(torch.from_numpy(counts)[None, None], curve)
        decoded = model.network.decode(
            model.network.encode(x), ["mean"] * 3, no_noise, with_kl=True
        )
    expected = [float(kl) / counts.size for kl in decoded.kl]
    assert min(expected) > 0
    np.testing.assert_allclose(decomposed(ready(model), counts).kl, expected, rtol=1e-4)


def test_noise_is_that_of_the_noise_model(model, ready):
    found = decomposed(ready(model), simulate((37, 50)))
    np.testing.assert_allclose(
        found.noise, np.sqrt(np.maximum(2.0 * found.image - 190.0, 5.0)), rtol=1e-4
    )


@pytest.mark.parametrize("rule", ["prior", "posterior"])
def test_a_level_trained_off_takes_nothing_from_the_image(make, ready, rule):
    config = TINY.model_copy(update={"levels": 3, "deactivated_levels": (1,), "deactivation": rule})
    model = make(config)
    counts = simulate((48, 64))
    found = decomposed(ready(model), counts)
    assert found.untrained == (1,)
    close(found.image, model.restore(counts, "YX", samples=1, **EXACT).mean)
    if rule == "prior":
        assert found.kl[0] == 0 and not found.contributions[0].any()


def test_a_network_at_half_size_has_its_levels_at_their_places(make, ready):
    model = make(TINY.model_copy(update={"levels": 3, "trunk": "half"}))
    counts = simulate((200, 200))
    whole, tiled = (decomposed(ready(model), counts, tile_px=t) for t in (None, 64))
    close(whole.image, model.restore(counts, "YX", samples=1, **EXACT).mean)
    np.testing.assert_allclose(tiled.kl, whole.kl, rtol=0.02)


def test_stop_ends_it_at_once(model, ready):
    stop = Stop()
    parts = decompose(ready(model), simulate((48, 64)), stop)
    assert next(parts) == 0.25
    stop.request()
    assert list(parts) == []
