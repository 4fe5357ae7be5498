"""Batch-norm over a shared batch is batch-norm over the whole one. Threads stand for processes."""

import threading

import pytest
import torch
from torch import nn

from napari_hdn.core.training.shared_norm import SharedBatchNorm, share_statistics

CPU = torch.device("cpu")


class Meeting:
    """The mean over threads that all come with a tensor."""

    def __init__(self, count):
        self.barrier, self.seen = threading.Barrier(count, timeout=60), {}

    def __call__(self, tensor):
        self.seen[threading.get_ident()] = tensor.clone()
        self.barrier.wait()
        mean = torch.stack(list(self.seen.values())).mean(dim=0)
        self.barrier.wait()
        return mean


def small_network():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.BatchNorm2d(4))
    nn.init.uniform_(net[1].weight, 0.5, 2)
    nn.init.normal_(net[1].bias)
    return net


def loss_of(net, x):
    return (net(x) ** 3 * torch.linspace(-1, 1, 4)[:, None, None]).mean()


@pytest.mark.parametrize("offset", [0.0, 300.0], ids=["centred", "far from zero"])
def test_two_halves_are_the_whole(offset):
    x = offset + torch.randn((6, 1, 9, 8), generator=torch.Generator().manual_seed(0))
    whole = small_network()
    loss = loss_of(whole, x)
    loss.backward()
    meeting, halves, losses = Meeting(2), [small_network() for _ in range(2)], [None, None]

    def work(k):
        share_statistics(halves[k], meeting, 2, CPU)
        losses[k] = loss_of(halves[k], x[3 * k : 3 * k + 3])
        losses[k].backward()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(halves[0][1], SharedBatchNorm)
    torch.testing.assert_close(sum(losses) / 2, loss)
    for name, expected in whole.named_parameters():
        mean = sum(dict(half.named_parameters())[name].grad for half in halves) / 2
        torch.testing.assert_close(mean, expected.grad, rtol=2e-3, atol=2e-5, msg=name)
    for half in halves:
        for (name, expected), found in zip(
            whole.state_dict().items(), half.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(found, expected, msg=name)


def test_it_keeps_the_tensors_and_rests_in_evaluation():
    net = small_network()
    before = {id(t) for t in [*net.parameters(), *net.buffers()]}
    expected = net.eval()(torch.ones(2, 1, 5, 5))

    def nobody(tensor):
        raise AssertionError("no other process is asked in evaluation")

    share_statistics(net, nobody, 2, CPU)
    assert {id(t) for t in [*net.parameters(), *net.buffers()]} == before
    assert not net[1].training
    torch.testing.assert_close(net(torch.ones(2, 1, 5, 5)), expected)
