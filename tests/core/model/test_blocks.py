import pytest
import torch
from torch.nn import functional

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model.blocks import (
    Gate,
    ResidualBlock,
    activate,
    drop_channels,
    soft_clamp,
    through_gate,
)


def test_fast_elu_is_elu():
    x = torch.linspace(-20, 20, 4001)
    torch.testing.assert_close(activate(x, "elu"), functional.elu(x), atol=1e-6, rtol=0)


def test_fast_elu_has_the_gradient_of_elu():
    x = torch.linspace(-5, 5, 1000, requires_grad=True)  # without exactly 0
    (mine,) = torch.autograd.grad(activate(x, "elu").sum(), x)
    (theirs,) = torch.autograd.grad(functional.elu(x).sum(), x)
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_dropout_drops_whole_channels_and_keeps_the_mean():
    rng = torch.Generator().manual_seed(0)
    out = drop_channels(torch.ones(200, 50, 2, 3), 0.2, rng)
    per_channel = out.flatten(2)
    assert (per_channel == per_channel[..., :1]).all()
    assert out.unique().tolist() == pytest.approx([0.0, 1.25])
    assert float(out.mean()) == pytest.approx(1.0, abs=0.02)


def test_no_generator_means_no_dropout():
    x = torch.randn(2, 3, 4, 4)
    assert drop_channels(x, 0.5, None) is x


def test_soft_clamp_is_bounded_and_keeps_small_values():
    x = torch.tensor([-1e4, -0.01, 0.0, 0.01, 1e4])
    y = soft_clamp(x, 10.0)
    assert float(y.abs().max()) <= 10
    torch.testing.assert_close(y[1:4], x[1:4], atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("gated", [True, False])
def test_block_is_written_out(gated):
    torch.manual_seed(0)
    config = NetworkConfig(channels=4, latent_channels=2, activation="relu", gated=gated)
    block = ResidualBlock(config).eval()
    x = torch.randn(1, 4, 5, 7)
    h = x
    for norm, conv in zip(block.norms, block.convs, strict=True):
        h = conv(functional.relu(norm(h)))
    if gated:
        both = block.gate(h)
        h = functional.relu(both[:, :4]) * torch.sigmoid(both[:, 4:])
    torch.testing.assert_close(block(x, None), x + h)


@pytest.mark.parametrize("kind", ["elu", "silu", "relu"])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_gradients_of_the_gate_are_those_of_its_formula(kind, layout):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64)
    stacked = torch.randn(2, 6, 4, 5, generator=rng, dtype=torch.float64)
    grad = torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64).contiguous(
        memory_format=layout
    )
    leaves = [t.contiguous(memory_format=layout).requires_grad_() for t in (x, stacked)]
    value, opening = leaves[1].chunk(2, dim=1)
    expected = leaves[0] + activate(value, kind) * torch.sigmoid(opening)
    gated = Gate.apply(*leaves, kind)
    torch.testing.assert_close(gated, expected)
    for mine, theirs in zip(
        torch.autograd.grad(gated, leaves, grad),
        torch.autograd.grad(expected, leaves, grad),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
    mixed = through_gate(x.float(), stacked, kind)
    torch.testing.assert_close(mixed, expected.detach(), rtol=1e-5, atol=1e-5)
    if kind != "relu":  # which has none at 0
        assert torch.autograd.gradcheck(lambda *t: Gate.apply(*t, kind), leaves)
