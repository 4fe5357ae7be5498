"""What learns below: the latents that stay on hold what they held."""

import pytest
import torch

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model.held import hold_above
from napari_hdn.core.model.ladder import Ladder
from napari_hdn.core.training.variants import variant_config
from simulated import network, run_to_end

FOUR = NetworkConfig(levels=4, blocks=1, channels=8, latent_channels=4)


@pytest.mark.parametrize("rule", ["prior", "posterior"])
@pytest.mark.parametrize("off", [(1,), (1, 2), (2,), (1, 2, 3)])
def test_every_parameter_that_learns_gets_a_gradient_and_no_other(off, rule):
    """From the reconstruction alone; where the rule is the prior, off levels' posteriors get none."""
    ladder = network(
        FOUR.model_copy(update={"deactivated_levels": off, "deactivation": rule})
    ).train()
    hold_above(ladder)
    image = torch.randn(2, 1, 32, 32)
    decoded = ladder.decode(ladder.encode(image), ladder.choices("mean"), None)
    decoded.signal.square().mean().backward()
    for name, parameter in ladder.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
    moving = {n for n, p in ladder.named_parameters() if p.requires_grad and p.grad is not None}
    highest = max(off)
    assert any(n.startswith(f"top_down.{highest}.blocks") for n in moving)
    assert not any(n.startswith(("first", "bottom_up")) for n in moving)
    for level in set(ladder.levels) - set(off):
        assert not any(n.startswith(f"top_down.{level - 1}.stochastic") for n in moving)
        assert not any(n.startswith(f"top_down.{level - 1}.merge") for n in moving)
    for level in off:
        own = {"prior": "prior", "posterior": "posterior"}[rule]
        assert any(n.startswith(f"top_down.{level - 1}.stochastic.{own}") for n in moving)


def test_training_below_leaves_what_is_above_exactly_as_it_was(stack, tiny_config):
    config = tiny_config.model_copy(update={"network": FOUR.model_copy(update={"levels": 3})})
    parent = run_to_end([stack], config)[0].model
    below = variant_config(parent, (1,), steps=6)
    assert below.learns == "below"
    child = run_to_end([stack], below, start=parent)[0].model
    all_of_it = variant_config(parent, (1,), steps=6, learns="all")
    other = run_to_end([stack], all_of_it, start=parent)[0].model
    image = torch.randn(1, 1, 32, 32)

    def look(ladder: Ladder):
        choices = ("prior_mean", "mean", "mean")
        with torch.no_grad():
            return ladder.decode(ladder.encode(image), choices, None)

    before, after, moved = (look(m.network) for m in (parent, child, other))
    for level in (2, 3):
        assert torch.equal(before.latents[level - 1], after.latents[level - 1])
        assert not torch.equal(before.latents[level - 1], moved.latents[level - 1])
    assert not torch.equal(before.signal, after.signal)


def test_what_is_held_drops_nothing():
    """Dropout above would show what learns other latents than those of prediction."""
    config = FOUR.model_copy(update={"deactivated_levels": (1, 2), "dropout": 0.5})
    ladder = network(config).train()
    hold_above(ladder)
    image = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        rng = torch.Generator().manual_seed(0)
        features = ladder.encode(image, rng)
        drawn = ladder.decode(features, ladder.choices("mean"), None, rng=rng)
        ladder.eval()
        expected = ladder.decode(ladder.encode(image), ladder.choices("mean"), None)
    for level in (3, 4):
        assert torch.equal(drawn.latents[level - 1], expected.latents[level - 1])
    assert not torch.equal(drawn.signal, expected.signal)
