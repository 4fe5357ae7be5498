"""The network for prediction against the plain one."""

import itertools

import pytest
import torch
from torch import nn

from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.model import fused
from napari_hdn.core.model.blocks import Merge, ResidualBlock
from napari_hdn.core.model.fused import FusedBlock, FusedMerge, for_prediction
from napari_hdn.core.model.ladder import Ladder, generator_noise
from simulated import TINY

CPU = torch.device("cpu")


def lively(module: nn.Module) -> nn.Module:
    """In evaluation mode, with batch-norm statistics and weights that are not those of the start."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for m in module.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.3, generator=rng)
                m.running_var.uniform_(0.5, 2, generator=rng)
                m.weight.uniform_(0.5, 1.5, generator=rng)
                m.bias.normal_(0, 0.3, generator=rng)
    return module.eval()


def ladder(**changes) -> Ladder:
    torch.manual_seed(0)
    return lively(Ladder(NetworkConfig(**{**TINY.model_dump(), **changes})))


def both(network, choices, *, batch=1, size=(48, 40), dtype=torch.float32):
    """Signals of the plain network and of its copy for prediction."""
    image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(1))
    signals = []
    for net, type_ in ((network, torch.float32), (for_prediction(network, CPU, dtype), dtype)):
        rng = torch.Generator().manual_seed(2)
        with torch.inference_mode(), torch.autocast("cpu", type_, enabled=type_ != torch.float32):
            features = [f.expand(batch, -1, -1, -1) for f in net.encode(image)]
            signals.append(net.decode(features, choices, generator_noise(rng)).signal)
    return signals


def assert_same(plain, fast, share=1e-4):
    assert fast.dtype == torch.float32
    assert float((plain - fast).abs().max()) <= share * float(plain.max() - plain.min())


OPTIONS = [
    dict(zip(("activation", "batch_norm", "gated"), v, strict=True))
    for v in itertools.product(("elu", "silu", "relu"), (True, False), (True, False))
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("trunk", ["full", "half"])
def test_every_kind_of_block_gives_the_same_signal(options, trunk):
    network = ladder(**options, trunk=trunk)
    assert_same(*both(network, network.choices("sample"), batch=2))


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(
    "choice", ["sample", "antithetic", "mean", "prior_sample", "prior_mean", "given"]
)
def test_every_choice_gives_the_same_signal(choice, skip):
    network = ladder(generative_skip=skip, blocks=2)
    choices = ["sample"] * network.config.levels
    if choice == "given":
        z = network.config.latent_channels
        choices[0] = torch.randn(1, z, 24, 20, generator=torch.Generator().manual_seed(4))
    else:
        choices[0] = choice
    assert_same(*both(network, choices))


@pytest.mark.parametrize("deactivation", ["prior", "posterior"])
def test_levels_trained_without_the_image_give_the_same_signal(deactivation):
    network = ladder(deactivated_levels=(1,), deactivation=deactivation)
    assert_same(*both(network, network.choices("sample", sampled_off=True), batch=3))


def test_the_prior_alone_generates_the_same():
    network = ladder()
    with torch.inference_mode():
        images = [
            net.generate((32, 32), generator_noise(torch.Generator().manual_seed(2)), batch=2)
            for net in (network, for_prediction(network, CPU, torch.float32))
        ]
    assert_same(*images)


@pytest.mark.parametrize("activation", ["elu", "silu"])
def test_bfloat16_errs_no_more_than_the_plain_network_in_it(activation):
    network = ladder(activation=activation, blocks=2, channels=16)
    choices = network.choices("mean")
    exact, fast = both(network, choices, size=(128, 128), dtype=torch.bfloat16)
    image = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        plain = network.decode(network.encode(image), choices, generator_noise(torch.Generator()))

    def error(signal):
        return float((signal - exact).square().mean().sqrt())

    assert 0 < error(fast) < 1.2 * error(plain.signal)


def test_weights_are_held_in_the_precision_of_the_convolutions():
    fast = for_prediction(ladder(), CPU, torch.bfloat16)
    kinds = {p.dtype for m in fast.modules() if isinstance(m, nn.Conv2d) for p in m.parameters()}
    assert kinds == {torch.bfloat16}
    assert fast.final[0].norm.weight.dtype == torch.float32
    assert not any(p.requires_grad for p in fast.parameters())


def test_the_network_it_was_made_of_stays_as_it_was():
    network = ladder()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    for_prediction(network, CPU, torch.bfloat16)
    after = network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert isinstance(network.final[0], ResidualBlock)
    assert not isinstance(network.final[0], FusedBlock)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("height", [16, 37, 64])
def test_bands_of_rows_are_the_whole(monkeypatch, height, in_place):
    monkeypatch.setattr(fused, "BAND_BYTES", 1)
    monkeypatch.setattr(fused, "LEAST_ROWS", 5)
    torch.manual_seed(0)
    block = lively(ResidualBlock(TINY))
    x = torch.randn(2, TINY.channels, height, 24).to(memory_format=torch.channels_last)
    plans = list(fused.plan_bands(x))
    assert len(plans) == 2 and len(plans[0][1]) == round(height / 5)
    with torch.inference_mode():
        expected, given = block(x, None), x.clone()
        got = FusedBlock(block)(given, in_place=in_place)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert (got.data_ptr() == given.data_ptr()) == in_place
    assert in_place or torch.equal(given, x)


def test_bands_cover_every_row_once():
    x = torch.empty(1, 64, 1000, 4096, dtype=torch.bfloat16, device="meta")
    assert list(fused.plan_bands(x)) == [
        (slice(None), [slice(0, 1000)])
    ]  # a GPU's cache is its own
    small = torch.empty(3, 4, 1000, 8)
    assert list(fused.plan_bands(small)) == [(slice(None), [slice(0, 1000)])]
    large = torch.empty(1, 64, 1000, 1024)
    ((images, bands),) = fused.plan_bands(large)
    assert images == slice(0, 1)
    assert [b.start for b in bands] == [0, *[b.stop for b in bands[:-1]]] and bands[-1].stop == 1000
    assert min(b.stop - b.start for b in bands) >= fused.LEAST_ROWS - 1


@pytest.mark.parametrize("shared", [True, False])
def test_a_merge_leaves_what_it_is_given(shared):
    torch.manual_seed(0)
    merge = lively(Merge(TINY))
    a = torch.randn(1 if shared else 3, TINY.channels, 8, 8).expand(3, -1, -1, -1)
    b = torch.randn(3, TINY.channels, 8, 8)
    kept = a.clone(), b.clone()
    with torch.inference_mode():
        torch.testing.assert_close(FusedMerge(merge)(a, b), merge(a, b, None), rtol=1e-4, atol=1e-4)
    assert torch.equal(a, kept[0]) and torch.equal(b, kept[1])


def test_a_torch_without_fused_convolutions_gives_the_same(monkeypatch):
    monkeypatch.setattr(fused, "onednn_fuses", lambda: False)
    network = ladder(activation="silu")
    assert_same(*both(network, network.choices("sample")))


@pytest.mark.parametrize("wrong", [RuntimeError, AttributeError, TypeError, None])
def test_a_fused_convolution_that_is_missing_or_wrong_is_not_used(monkeypatch, wrong):
    def convolution(x, *arguments):
        if wrong is not None:
            raise wrong
        return torch.zeros_like(x)

    class Ops:
        _convolution_pointwise = staticmethod(convolution)

    monkeypatch.setattr(torch.ops, "mkldnn", Ops, raising=False)
    fused.onednn_fuses.cache_clear()
    try:
        assert fused.onednn_fuses() is False
    finally:
        fused.onednn_fuses.cache_clear()


def test_whether_convolutions_fuse_does_not_hang_on_who_asks_first():
    fused.onednn_fuses.cache_clear()
    outside = fused.onednn_fuses()
    fused.onednn_fuses.cache_clear()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert fused.onednn_fuses() == outside
