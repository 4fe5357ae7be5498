"""Gradients of a batch in parts."""

import numpy as np
import pytest
import torch

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.devices import Device
from napari_hdn.core.errors import MemoryShortError
from napari_hdn.core.events import Notice, TrainingFinished
from napari_hdn.core.training.gradients import Gradients
from napari_hdn.core.training.objective import Losses, Objective
from napari_hdn.core.training.start import train
from simulated import simulate

CPU = Device("cpu", "CPU", False)


class PerPatch(torch.nn.Module):
    """Losses that are means over patches."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 2, 16 * 16).reshape(16, 16))

    def forward(self, counts, image, rng):
        per_patch = ((counts * self.weight).mean(dim=(1, 2, 3)) - image) ** 2
        kl = per_patch.detach()[None].repeat(2, 1)
        return Losses(per_patch.mean(), per_patch.detach().mean(), kl.mean(dim=1))


@pytest.mark.parametrize("parts", [2, 3, 4, 7])
def test_parts_add_up_to_the_whole(parts):
    objective, rng = PerPatch(), torch.Generator()
    counts = torch.randn((7, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    image = torch.arange(7)
    expected = objective(counts, image, rng)
    expected.loss.backward()
    gradient = objective.weight.grad.clone()
    objective.weight.grad = None
    losses = Gradients(objective, lambda x: x.backward(), CPU, parts).add(counts, image, rng)
    torch.testing.assert_close(objective.weight.grad, gradient)
    torch.testing.assert_close(losses.loss.detach(), expected.loss.detach())
    torch.testing.assert_close(losses.reconstruction, expected.reconstruction)
    torch.testing.assert_close(losses.kl, expected.kl)


class Short:
    """Memory for so many patches at a time."""

    def __init__(self, patches):
        self.patches, self.forward, self.seen = patches, Objective.forward, []

    def __call__(self, objective, counts, *args, **kwargs):
        self.seen.append(len(counts))
        if torch.is_grad_enabled() and len(counts) > self.patches:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.forward(objective, counts, *args, **kwargs)


def trained(config, short, monkeypatch):
    monkeypatch.setattr(Objective, "forward", lambda self, *a, **k: short(self, *a, **k))
    config = config.model_copy(update={"batch_size": 8, "validation_fraction": 0.0})
    return list(train([ImageStack(simulate(), "TYX")], config))


def test_training_goes_on_with_fewer_patches_at_a_time(tiny_config, monkeypatch):
    short = Short(2)
    events = trained(tiny_config, short, monkeypatch)
    told = [e.text for e in events if isinstance(e, Notice) and "at a time" in e.text]
    assert [t.split("going on with ")[1] for t in told] == ["4 at a time.", "2 at a time."]
    assert short.seen[:3] == [8, 4, 2]
    last = events[-1]
    assert isinstance(last, TrainingFinished) and last.step == 6
    assert all(np.isfinite(v.numpy()).all() for v in last.model.network.state_dict().values())


def test_where_not_even_one_patch_fits_it_ends_with_words(tiny_config, monkeypatch):
    with pytest.raises(MemoryShortError, match=r"not enough memory on CPU .* smaller patches"):
        trained(tiny_config, Short(0), monkeypatch)


def test_other_errors_are_not_hidden(tiny_config, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        trained(tiny_config, broken, monkeypatch)
