import math

import pytest
import torch

from napari_hdn.core.model.ladder import generator_noise
from napari_hdn.core.training.optimisation import (
    GUARD_FORGIVES,
    Averaged,
    BatchNormMemory,
    StepGuard,
    learning_rate,
    make_optimizer,
    recompute_batch_norm,
    together,
)
from simulated import network


def test_schedule_warms_up_and_falls_to_zero(tiny_config):
    config = tiny_config.model_copy(update={"warmup_steps": 10, "learning_rate": 1.0})
    assert learning_rate(config, 0.0, 0, 1.0) == pytest.approx(0.1)
    assert learning_rate(config, 0.0, 99, 1.0) == 1.0
    assert learning_rate(config, 0.5, 99, 1.0) == pytest.approx(0.5)
    assert learning_rate(config, 0.25, 99, 0.5) == pytest.approx(0.25 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(config, 1.0, 99, 1.0) == pytest.approx(0.0)


def test_guard_refuses_what_is_far_from_usual():
    guard = StepGuard()
    assert [guard.judge(1.0, 5.0) for _ in range(40)] == ["apply"] * 40
    assert guard.judge(1.0, 49.0) == "apply"
    assert guard.judge(1.0, 51.0) == "skip"
    assert guard.judge(math.nan, 1.0) == "skip"
    assert guard.judge(1.0, 5.0) == "apply"  # strikes count in a row only
    assert [guard.judge(1.0, math.inf) for _ in range(3)] == ["skip", "skip", "fall_back"]
    assert guard.judge(1.0, 500.0) == "apply"  # what is usual is learned anew


def test_guard_continues_from_its_state():
    a, b = StepGuard(), StepGuard()
    for k in range(50):
        a.judge(1.0, 1.0 + k % 3)
    a.judge(1.0, 1e6)
    b.load(a.state())
    assert b.state() == a.state()
    assert b.judge(1.0, 1e6) == a.judge(1.0, 1e6) == "skip"
    assert b.judge(1.0, 1e6) == a.judge(1.0, 1e6) == "fall_back"


def test_average_is_the_exponential_one():
    net = network()
    averaged = Averaged(net, 0.9)
    weight, mean = net.last.weight, net.bottom_up[0][1].norms[0].running_mean
    expected_weight, expected_mean = weight.detach().clone(), mean.clone()
    for step in range(200):
        with torch.no_grad():
            weight.normal_()
            mean.normal_()
        averaged.update(net, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected_weight = decay * expected_weight + (1 - decay) * weight.detach()
        expected_mean = decay * expected_mean + (1 - decay) * mean
    torch.testing.assert_close(averaged.network.last.weight.detach(), expected_weight)
    torch.testing.assert_close(
        averaged.network.bottom_up[0][1].norms[0].running_mean, expected_mean
    )


def test_recomputed_batch_norm_is_that_of_the_batches():
    net = network()
    batches = [
        torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(k)) for k in range(3)
    ]
    recompute_batch_norm(net, batches, torch.Generator().manual_seed(0))
    first = net.first_block.norms[0]
    with torch.no_grad():
        inputs = [net.first(b) for b in batches]
    mean = torch.stack([x.mean(dim=(0, 2, 3)) for x in inputs]).mean(0)
    variance = torch.stack([x.var(dim=(0, 2, 3)) for x in inputs]).mean(0)
    torch.testing.assert_close(first.running_mean, mean)
    torch.testing.assert_close(first.running_var, variance)
    assert first.momentum == 0.1 and not first.training


def test_without_batch_norm_nothing_is_recomputed():
    net = network(network().config.model_copy(update={"batch_norm": False}))
    recompute_batch_norm(net, iter(()), torch.Generator())
    decoded = net.decode(net.encode(torch.zeros(1, 1, 8, 8)), ["mean"] * 2, generator_noise(None))
    assert torch.isfinite(decoded.signal).all()


def test_guard_forgives_after_many_good_steps():
    guard = StepGuard()
    for _ in range(2):
        for _ in range(3):
            guard.judge(math.nan, 1.0)
    assert guard.fall_backs == 2 and guard.rate_scale == 0.25
    for _ in range(GUARD_FORGIVES):
        guard.judge(1.0, 1.0)
    assert guard.fall_backs == 1 and guard.rate_scale == 0.5
    for _ in range(2 * GUARD_FORGIVES):
        guard.judge(1.0, 1.0)
    assert guard.fall_backs == 0 and guard.rate_scale == 1.0


def test_batch_norm_forgets_a_bad_forward_pass():
    ladder = network().train()
    memory = BatchNormMemory(ladder)
    before = {k: v.clone() for k, v in ladder.state_dict().items()}
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        features = ladder.encode(torch.full((2, 1, 16, 16), torch.inf))
        ladder.decode(features, ladder.choices("sample"), generator_noise(rng))
    spoiled = ladder.state_dict()
    assert any(not torch.isfinite(v).all() for v in spoiled.values())
    memory.restore()
    for name, value in ladder.state_dict().items():  # how many batches there were, too
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_apples_gpus_get_no_foreach(tiny_config, monkeypatch):
    assert together(torch.device("mps")) is None and together(torch.device("cuda")) is True
    optimizer = make_optimizer(tiny_config, network().parameters())
    assert optimizer.defaults["foreach"] is True
