"""Against the exact decomposition, and against the network's own distributions."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_hdn.core.events import Stop
from napari_hdn.core.levels.decomposition import decompose
from napari_hdn.core.model.stochastic import Normal
from napari_hdn.core.trust.prior_share import WINDOW_PX, PriorShare, narrowing, prior_share


def found(prepared, counts, tile_px=None, **how):
    *_, last = prior_share(prepared, prepared.plane(counts, tile_px, 1), Stop(), **how)
    return last


def test_what_the_image_decided_is_the_contribution_of_the_level(prepared, counts):
    *_, whole = decompose(prepared, counts, Stop())
    share = found(prepared, counts)
    for k in range(3):
        squares = gaussian_filter(whole.contributions[k] ** 2, WINDOW_PX, truncate=3)
        np.testing.assert_allclose(share.decided[k] ** 2, squares, rtol=0.02, atol=1e-4)


def test_the_spread_is_that_of_a_level_alone(prepared, counts):
    """Second implementation: decode with one level sampled, many times."""
    share = found(prepared, counts)
    plane = prepared.plane(counts, None, 1)
    (tile,) = plane.tiles
    features = prepared.encode(plane.image, tile)
    rng = torch.Generator().manual_seed(3)

    def decoded(choice):
        with torch.inference_mode():
            signal = prepared.network.decode(
                features, ["prior_mean", choice, "mean"], lambda i, s: torch.randn(s, generator=rng)
            ).signal[0, 0]
        return prepared.to_counts(signal, plane)[:72, :80].numpy()

    mean = decoded("mean")
    many = np.sqrt(np.mean([(decoded("sample") - mean) ** 2 for _ in range(12)]))
    one = np.sqrt(np.mean(share.spread[1].astype(float) ** 2))
    assert one == pytest.approx(many, rel=0.35)  # of one sample of a small image


def test_the_ratio_is_that_of_the_standard_deviations(prepared, counts):
    plane = prepared.plane(counts, None, 1)
    (tile,) = plane.tiles
    with torch.inference_mode():
        top = prepared.network.top_down[-1].stochastic
        q = Normal.from_parameters(top.posterior(prepared.encode(plane.image, tile)[-1]))
        p = top.prior_given(None)
    ratio = torch.exp(0.5 * (q.log_variance - p.log_variance)).mean()
    assert found(prepared, counts).ratio[-1] == pytest.approx(float(ratio), abs=1e-5)


def test_tiles_give_the_same(prepared):
    from simulated import simulate

    counts = simulate((1, 256, 256))[0]
    whole, tiled = found(prepared, counts), found(prepared, counts, 64)
    scale = np.abs(whole.spread).max()
    np.testing.assert_allclose(tiled.spread, whole.spread, atol=0.02 * scale)
    np.testing.assert_allclose(tiled.decided, whole.decided, atol=0.02 * whole.decided.max())
    np.testing.assert_allclose(tiled.ratio, whole.ratio, atol=1e-3)


def test_levels_that_are_off_count_for_nothing(prepared, counts):
    share = found(prepared, counts, off=(1,))
    assert share.on == [2, 3] and share.ratio[0] == 1
    assert not share.spread[0].any() and (share.by_level[0] == 1).all()
    squares = [(a[1:].astype(float) ** 2).sum(0) for a in (share.spread, share.decided)]
    np.testing.assert_allclose(share.share, np.sqrt(squares[0] / sum(squares)), rtol=1e-4)


def test_shares_by_hand():
    spread, decided = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    spread[0], decided[0], decided[1] = 3, 4, 5
    share = PriorShare((0.9, 0.8), spread, decided)
    assert share.of_levels == pytest.approx((0.6, 0))
    np.testing.assert_allclose(share.share, np.sqrt(9 / 50))
    nothing = PriorShare((1.0,), np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))
    assert nothing.share.min() == 1  # the image said nothing


def test_narrowing_of_normal_distributions():
    q, p = (Normal(torch.zeros(1), torch.log(torch.tensor([v]))) for v in (1.0, 4.0))
    assert float(narrowing(q, p)) == pytest.approx(0.5)
    assert float(narrowing(p, p)) == 0


def test_it_stops(prepared, counts):
    stop, seen = Stop(), []
    for part in prior_share(prepared, prepared.plane(counts, None, 1), stop):
        seen.append(part)
        stop.request()
    assert len(seen) == 1 and isinstance(seen[0], float)
