import contextlib

import pytest
import torch

from napari_hdn.core.direct.config import DirectNetworkConfig
from napari_hdn.core.direct.network import DirectNetwork, random_network


def alive(config: DirectNetworkConfig) -> DirectNetwork:
    """A network of which every weight has a say."""
    network = random_network(config, 0)
    for value in network.parameters():
        torch.nn.init.normal_(value, 0.0, 0.3, generator=torch.Generator().manual_seed(1))
    return network.eval()


@pytest.mark.parametrize(
    ("unshuffle", "widths"), [(1, (4,)), (2, (4, 6)), (2, (4, 4, 4)), (4, (5, 6))]
)
def test_size_stays_and_nothing_reaches_further_than_it_says(unshuffle, widths):
    config = DirectNetworkConfig(unshuffle=unshuffle, widths=widths)
    network = alive(config)
    side = 2 * config.reach_px + 4 * config.multiple
    side = -(-side // config.multiple) * config.multiple
    image = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    at = side // 2
    changed[0, 0, at, at] += 5
    with torch.no_grad():
        difference = (network(changed) - network(image)).abs()[0, 0]
    assert difference.shape == (side, side)
    ys, xs = torch.nonzero(difference, as_tuple=True)
    furthest = max(int((ys - at).abs().max()), int((xs - at).abs().max()))
    assert config.reach_px / 2 < furthest <= config.reach_px


def test_a_new_network_gives_the_image_itself():
    network = random_network(DirectNetworkConfig(widths=(8, 8)), 3)
    image = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(image), image)


def test_the_seed_decides_and_torchs_own_is_left_alone():
    before = torch.random.get_rng_state()
    a, b = (random_network(DirectNetworkConfig(widths=(4, 4)), s) for s in (1, 2))
    again = random_network(DirectNetworkConfig(widths=(4, 4)), 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(a.first.weight, again.first.weight)
    assert not torch.equal(a.first.weight, b.first.weight)


def test_once_is_a_pass_that_can_be_computed_with():
    network = alive(DirectNetworkConfig(unshuffle=2, widths=(4, 4)))
    image = torch.randn(16, 24, generator=torch.Generator().manual_seed(0))
    made = network.once(image, contextlib.nullcontext())
    with torch.no_grad():
        torch.testing.assert_close(made, network(image[None, None])[0, 0])
    made += 1  # a tensor of inference mode would refuse
