import pytest
import torch

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model.ladder import Ladder, generator_noise
from napari_hdn.core.model.stochastic import Normal, kl_divergence
from napari_hdn.core.presets import PRESETS
from simulated import TINY, network


def count(config: NetworkConfig) -> int:
    return sum(p.numel() for p in Ladder(config).parameters())


def noise(seed=0):
    return generator_noise(torch.Generator().manual_seed(seed))


def test_paper_preset_has_exactly_the_published_parameters():
    assert count(PRESETS["paper"].network) == 7_301_697


def test_three_levels_for_digits_have_the_published_parameters():
    paper = PRESETS["paper"].network
    assert count(paper.model_copy(update={"levels": 3})) == 3_785_985


def test_paper_network_runs_at_64_px():
    ladder = Ladder(PRESETS["paper"].network).eval()
    with torch.no_grad():
        features = ladder.encode(torch.randn(1, 1, 64, 64))
        decoded = ladder.decode(features, ladder.choices(), noise())
    assert [tuple(z.shape[1:]) for z in decoded.latents] == [
        (32, 64 >> i, 64 >> i) for i in range(1, 7)
    ]
    assert decoded.signal.shape == (1, 1, 64, 64)


@pytest.mark.parametrize("trunk", ["full", "half"])
@pytest.mark.parametrize("size", [(16, 16), (16, 64), (48, 20)])
def test_any_size_and_aspect(trunk, size):
    ladder = network(TINY.model_copy(update={"trunk": trunk}))
    with torch.no_grad():
        features = ladder.encode(torch.randn(2, 1, *size))
        decoded = ladder.decode(features, ladder.choices(), noise())
    assert decoded.signal.shape == (2, 1, *size)
    assert [tuple(z.shape[-2:]) for z in decoded.latents] == [
        (size[0] >> i, size[1] >> i) for i in (1, 2)
    ]


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        network().encode(torch.randn(1, 1, 16, 18))


def test_antithetic_partners_have_the_posterior_mean_in_their_middle():
    ladder = network(NetworkConfig(levels=1, blocks=1, channels=8, latent_channels=4))
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        features = ladder.encode(image)
        z = {
            choice: ladder.decode(features, [choice], noise(3)).latents[0]
            for choice in ("sample", "antithetic", "mean")
        }
    torch.testing.assert_close((z["sample"] + z["antithetic"]) / 2, z["mean"], atol=1e-6, rtol=1e-6)
    assert float((z["sample"] - z["antithetic"]).std()) > 0.1


def test_given_latents_reproduce_the_image_they_came_from():
    ladder = network()
    with torch.no_grad():
        features = ladder.encode(torch.randn(1, 1, 16, 16))
        first = ladder.decode(features, ladder.choices(), noise(1))
        again = ladder.decode(None, list(first.latents), noise(2), top_size=(1, 4, 4))
    torch.testing.assert_close(first.signal, again.signal, atol=1e-6, rtol=1e-6)


def test_deactivated_level_does_not_look_at_its_features():
    ladder = network(TINY.model_copy(update={"deactivated_levels": (1,)}))
    with torch.no_grad():
        features = list(ladder.encode(torch.randn(1, 1, 16, 16)))
        a = ladder.decode(features, ladder.choices("mean"), noise(), with_kl=True)
        features[0] = torch.full_like(features[0], torch.nan)
        b = ladder.decode(features, ladder.choices("mean"), noise(), with_kl=True)
    assert torch.equal(a.signal, b.signal)
    assert float(a.kl[0]) == 0 and float(a.kl[1]) > 0


@pytest.mark.parametrize("rule", ["prior", "posterior"])
def test_what_a_level_that_is_off_takes_is_written_out(rule):
    ladder = network(TINY.model_copy(update={"deactivated_levels": (1,), "deactivation": rule}))
    level, top = ladder.top_down[0], ladder.top_down[1]
    with torch.no_grad():
        features = ladder.encode(torch.randn(2, 1, 16, 16))
        decoded = ladder.decode(features, ladder.choices("mean"), noise(), with_kl=True)
        above = top.blocks(top.stochastic.out(decoded.latents[1]), None)
        q = Normal.from_parameters(level.stochastic.posterior(above))
        p = level.stochastic.prior_given(above)
    taken, paid = (q.mean, kl_divergence(q, p)) if rule == "posterior" else (p.mean, None)
    torch.testing.assert_close(decoded.latents[0], taken)
    expected = torch.zeros(2) if paid is None else paid.sum((1, 2, 3))
    torch.testing.assert_close(decoded.kl[0], expected)


def test_choices_of_levels_that_are_off():
    off = {"deactivated_levels": (1,), "deactivation": "posterior"}
    ladder = network(NetworkConfig(levels=4, channels=8, latent_channels=2, **off))
    assert ladder.choices("mean", (2,)) == ("unmerged_mean", "prior_mean", "mean", "mean")
    drawn = ladder.choices("sample", (2, 1), sampled_off=True)
    assert drawn == ("unmerged_sample", "prior_sample", "sample", "sample")


def test_the_top_cannot_be_blind():
    with pytest.raises(ValueError, match="top level"):
        network().decode(None, ["mean", "unmerged_mean"], noise(), top_size=(1, 4, 4))


def test_kl_of_a_level_is_written_out():
    """Top level of a network with a standard prior, as in DivNoising: KL against N(0, 1)."""
    config = NetworkConfig(levels=1, blocks=1, channels=8, latent_channels=4, top_prior="standard")
    ladder = network(config)
    with torch.no_grad():
        features = ladder.encode(torch.randn(2, 1, 16, 16))
        mean, log_variance = ladder.top_down[0].stochastic.posterior(features[0]).chunk(2, 1)
        log_variance = 10 * torch.tanh(log_variance / 10)
        expected = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum((1, 2, 3))
        decoded = ladder.decode(features, ["sample"], noise(), with_kl=True)
    torch.testing.assert_close(decoded.kl[0], expected)
    assert "top_prior" not in ladder.top_down[0].stochastic.state_dict()


def test_prior_mean_everywhere_is_the_same_for_every_image():
    ladder = network()
    with torch.no_grad():
        signals = [
            ladder.decode(
                ladder.encode(torch.randn(1, 1, 16, 16)), ["prior_mean"] * 2, noise(k)
            ).signal
            for k in range(2)
        ]
    assert torch.equal(*signals)


def test_generate_crops_to_the_size_asked_for():
    ladder = network()
    with torch.no_grad():
        image = ladder.generate((17, 30), noise(5), batch=2)
    assert image.shape == (2, 1, 17, 30)
    assert float((image[0] - image[1]).abs().max()) > 1e-4


def test_posterior_without_features_is_refused():
    with pytest.raises(ValueError, match="Level 2 asks for the posterior"):
        network().decode(None, ["sample", "sample"], noise(), top_size=(1, 4, 4))


def test_encoding_and_decoding_leave_no_state_behind():
    ladder = network()
    before = {k: v.clone() for k, v in ladder.state_dict().items()}
    attributes = set(vars(ladder))
    with torch.no_grad():
        small = torch.randn(1, 1, 16, 16)
        first = ladder.decode(ladder.encode(small), ladder.choices("mean"), noise()).signal
        ladder.decode(ladder.encode(torch.randn(3, 1, 32, 64)), ladder.choices(), noise())
        second = ladder.decode(ladder.encode(small), ladder.choices("mean"), noise()).signal
    assert torch.equal(first, second)
    assert set(vars(ladder)) == attributes
    assert all(torch.equal(v, before[k]) for k, v in ladder.state_dict().items())
