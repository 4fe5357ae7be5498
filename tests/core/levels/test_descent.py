"""A descent gives what the network decodes, and computes only what changed."""

import pytest
import torch

from napari_hdn.core.levels.descent import Descent, no_noise
from napari_hdn.core.model.stochastic import Normal, kl_divergence
from simulated import TINY, network

THREE = TINY.model_copy(update={"levels": 3})


@pytest.fixture
def ladder():
    return network(THREE)


@pytest.fixture
def encoded(ladder):
    torch.manual_seed(1)
    with torch.no_grad():
        return ladder.encode(torch.randn(2, 1, 16, 24))


def counted(ladder, monkeypatch):
    """The levels that are computed, as they come."""
    calls = []
    real = ladder.descend

    def descend(level, *args, **kwargs):
        calls.append(level)
        return real(level, *args, **kwargs)

    monkeypatch.setattr(ladder, "descend", descend)
    return calls


WAYS = [
    ("mean", "mean", "mean"),
    ("prior_mean", "mean", "mean"),
    ("mean", "prior_mean", "mean"),
    ("prior_mean", "prior_mean", "prior_mean"),
    ("mean", "mean", "prior_mean"),
    ("mean", "mean", "mean"),
]


@torch.no_grad()
def test_each_way_down_is_that_of_the_network(ladder, encoded):
    descent = Descent(ladder, encoded, (2, 2, 3))
    for choices in WAYS:
        torch.testing.assert_close(
            descent.signal(choices), ladder.decode(encoded, choices, no_noise).signal
        )


@torch.no_grad()
def test_levels_above_the_highest_that_changed_are_kept(ladder, encoded, monkeypatch):
    descent = Descent(ladder, encoded, (2, 2, 3))
    calls = counted(ladder, monkeypatch)
    expected = [[3, 2, 1], [1], [2, 1], [3, 2, 1], [2, 1], [3, 2, 1], []]
    for choices, levels in zip([*WAYS, WAYS[-1]], expected, strict=True):
        calls.clear()
        descent.signal(choices)
        assert calls == levels


@torch.no_grad()
def test_given_latents_are_the_same_only_if_they_are_the_same_tensor(ladder, encoded):
    latents = ladder.decode(encoded, WAYS[0], no_noise).latents
    descent = Descent(ladder, encoded, (2, 2, 3))
    before = descent.signal(latents)
    torch.testing.assert_close(before, ladder.decode(encoded, WAYS[0], no_noise).signal)
    other = [latents[0], latents[1] + 1, latents[2]]
    torch.testing.assert_close(
        descent.signal(other), ladder.decode(encoded, other, no_noise).signal
    )
    assert (descent.signal(latents) - before).abs().max() == 0


@torch.no_grad()
def test_without_features_it_goes_down_the_prior(ladder):
    noise = {i: torch.randn(1, 4, 4 * 2 ** (3 - i), 8 * 2 ** (3 - i)) for i in (1, 2, 3)}
    signal = Descent(ladder, None, (1, 4, 8)).signal(["prior_sample"] * 3, lambda i, _: noise[i])
    expected = ladder.generate((32, 64), lambda i, _: noise[i])
    torch.testing.assert_close(signal, expected)


@torch.no_grad()
def test_kl_is_that_of_normal_distributions(ladder, encoded):
    descent = Descent(ladder, encoded, (2, 2, 3), with_kl=True)
    descent.signal(["mean"] * 3)
    patches = ladder.decode(encoded, ["mean"] * 3, no_noise, with_kl=True).kl
    for level, (kl, patch) in enumerate(zip(descent.kl, patches, strict=True), 1):
        assert kl.shape == (2, 16 // 2**level, 24 // 2**level)
        torch.testing.assert_close(kl.sum(dim=(1, 2)), patch)
    top = ladder.top_down[-1].stochastic
    q, p = Normal.from_parameters(top.posterior(encoded[-1])), top.prior_given(None)
    torch.testing.assert_close(descent.kl[-1], kl_divergence(q, p).sum(dim=1))


def test_means_draw_no_noise():
    with pytest.raises(AssertionError, match="level 2 draws noise"):
        no_noise(2, torch.Size((1, 2, 3, 4)))
