import numpy as np
import pytest
import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig
from napari_hdn.core.devices import choose
from napari_hdn.core.errors import ConfigurationError
from napari_hdn.core.events import Notice, Stop, TrainingFinished, TrainingStep
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.training.preparation import prepare_variant
from napari_hdn.core.training.start import train
from napari_hdn.core.training.variants import (
    base_name,
    check_fits,
    origin_of,
    suggested_name,
    switched_off,
    variant_config,
    variant_name,
)
from simulated import run_to_end, simulate

THREE = NetworkConfig(levels=3, blocks=1, channels=8, latent_channels=4)


@pytest.fixture
def config(tiny_config):
    return tiny_config.model_copy(update={"network": THREE})


@pytest.fixture
def parent(stack, config, tmp_path):
    end, _ = run_to_end([stack], config, folder=tmp_path / "cells")
    return end.model


def state_of(model):
    return {k: v.clone() for k, v in model.network.state_dict().items()}


def assert_same(a, b):
    for (name, x), y in zip(a.items(), b.values(), strict=True):
        assert torch.equal(x, y), name


def few(model, off, **changes):
    return variant_config(model, off, **{"steps": 3, **changes})


def test_a_variant_begins_with_exactly_its_parents_weights(stack, parent):
    run = prepare_variant([stack], few(parent, (1,)), parent, choose("cpu"), Stop())
    assert_same(parent.network.state_dict(), run.network.state_dict())
    assert_same(parent.network.state_dict(), run.averaged.network.state_dict())
    assert run.normalisation == parent.normalisation
    assert run.network.config.deactivated_levels == (1,)


def test_a_variant_that_learns_nothing_ends_with_its_parents_weights(stack, parent):
    before = state_of(parent)
    still = few(parent, (1,), learning_rate=1e-30)
    end, _ = run_to_end([stack], still, start=parent)
    trained = dict(end.model.network.named_parameters())
    for name, value in parent.network.named_parameters():
        assert torch.equal(value, trained[name]), name
    assert_same(before, parent.network.state_dict())


def test_training_a_variant_leaves_its_parent_as_it_was(stack, parent):
    before = state_of(parent)
    likelihood = parent.noise_model.variance_curve(np.array([120.0, 200.0]))
    end, _ = run_to_end([stack], few(parent, (1,)), start=parent)
    assert_same(before, parent.network.state_dict())
    assert not torch.equal(before["last.weight"], end.model.network.state_dict()["last.weight"])
    assert parent.config.network.deactivated_levels == ()
    now = parent.noise_model.variance_curve(np.array([120.0, 200.0]))
    np.testing.assert_array_equal(likelihood, now)


def test_parent_and_variant_hold_out_the_same_patches_and_train_on_others(stack, parent, config):
    device = choose("cpu")
    variant = prepare_variant([stack], few(parent, (1,)), parent, device, Stop())
    again = prepare_variant(
        [stack], few(parent, (1,), scratch=True), parent, device, Stop(), scratch=True
    )
    assert torch.equal(variant.validation[0], again.validation[0])
    assert variant.draw == config.steps and again.draw == 0
    first, own = again.patches.batch(again.draw)[0], variant.patches.batch(variant.draw)[0]
    assert not torch.equal(first, own)


def test_from_scratch_the_weights_are_random_and_all_else_is_the_parents(stack, parent):
    config = few(parent, (1,), scratch=True)
    run = prepare_variant([stack], config, parent, choose("cpu"), Stop(), scratch=True)
    assert not torch.equal(run.network.last.weight, parent.network.last.weight)
    assert run.normalisation == parent.normalisation
    assert run.origin.begun == "scratch" and run.origin.steps_before == 0


@pytest.mark.parametrize("rule", ["prior", "posterior"])
def test_what_a_level_that_is_off_pays(stack, parent, rule):
    end, events = run_to_end([stack], few(parent, (1,), deactivation=rule), start=parent)
    last = [e for e in events if isinstance(e, TrainingStep)][-1]
    off, *on = last.kl_per_level
    assert all(kl > 0 for kl in on)
    assert off == 0 if rule == "prior" else off > 0
    assert end.model.config.network.deactivation == rule
    assert np.isfinite(end.model.restore(stack.array[0], "YX").mean).all()


def test_a_stopped_and_continued_variant_is_the_unbroken_one(stack, parent, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_hdn.core.events.RateLimit.ready", lambda self: True)
    config = few(parent, (1,), steps=7)
    whole, _ = run_to_end([stack], config, start=parent, folder=tmp_path / "whole")
    stop = Stop()
    for event in train([stack], config, start=parent, folder=tmp_path / "part", stop=stop):
        if isinstance(event, TrainingStep) and event.step >= 3:
            stop.request()
    assert isinstance(event, TrainingFinished) and event.stopped and event.step == 3
    rest, _ = run_to_end([stack], config, folder=tmp_path / "part", resume=True)
    assert rest.step == 7
    assert_same(whole.model.network.state_dict(), rest.model.network.state_dict())
    summary = checkpoint.load(tmp_path / "part").summary
    assert summary.origin == whole.model.summary.origin
    assert summary.family == parent.summary.family


def test_the_noise_model_is_the_parents_as_it_is_now(stack, parent):
    """Refined meanwhile, and whatever the config would make."""
    parent.noise_model = Refined(parent.noise_model, [1.5])
    end, events = run_to_end([stack], few(parent, (1,)), start=parent)
    assert isinstance(end.model.noise_model, Refined)
    assert float(end.model.noise_model.scale) == 1.5
    assert not any("differ" in e.text for e in events if isinstance(e, Notice))


def test_other_images_are_told(parent):
    other = ImageStack(simulate((3, 64, 64), seed=8), "TYX", "others")
    _, events = run_to_end([other], few(parent, (1,)), start=parent)
    (text,) = [e.text for e in events if isinstance(e, Notice) and "differ" in e.text]
    assert "cells was trained on" in text


def test_a_family_stays_together(stack, parent, tmp_path):
    first, _ = run_to_end([stack], few(parent, (1,)), start=parent, folder=tmp_path / "b")
    second, _ = run_to_end([stack], few(first.model, (1, 2)), start=first.model)
    families = {m.summary.family for m in (parent, first.model, second.model)}
    assert len(families) == 1
    other, _ = run_to_end([stack], parent.config)
    assert other.model.summary.family not in families and parent.summary.origin is None
    origin = second.model.summary.origin
    assert (origin.base, origin.parent, origin.begun) == ("cells", "b", "warm")
    assert origin.steps_before == 6 + 3 and second.model.summary.steps_in_all == 12
    assert origin.parent_created == first.model.summary.created
    assert suggested_name(second.model, (2,)) == "cells without 2"
    assert suggested_name(parent, (1, 2)) == "cells HDN3-3"


def test_how_long_a_variant_trains(parent):
    assert variant_config(parent, (1,)).steps == 100
    assert variant_config(parent, (1,), scratch=True).steps == 6
    longer = parent.summary.model_copy(update={"steps": 4000})
    parent.summary = longer.model_copy(update={"origin": origin_of(parent, scratch=False)})
    assert variant_config(parent, (1,)).steps == 4006 // 4
    assert variant_config(parent, (1,), scratch=True).steps == 4006
    minutes = variant_config(parent, (1,), minutes=3)
    assert (minutes.minutes, minutes.steps) == (3, None)


def test_the_config_of_a_variant_is_its_parents(parent, config):
    made = variant_config(parent, (2, 1), deactivation="posterior", steps=6, device="auto")
    network = THREE.model_copy(update={"deactivated_levels": (1, 2), "deactivation": "posterior"})
    same = {"network": network, "device": "auto", "learns": "below"}
    assert made == config.model_copy(update=same)
    assert variant_config(parent, (1,), learns="all").learns == "all"
    assert variant_config(parent, (1,), scratch=True).learns == "all"
    assert variant_config(parent, ()).learns == "all"
    bootstrapped = config.noise.model_copy(update={"bootstrap": True})
    parent.config = config.model_copy(update={"noise": bootstrapped})
    assert not variant_config(parent, (1,)).noise.bootstrap, "it was done"


@pytest.mark.parametrize(
    ("off", "message"),
    [((3,), "Level 3 is the top"), ((0,), "Level 0 cannot"), ((1, 9), "Level 9 cannot")],
)
def test_levels_that_cannot_be_off(parent, off, message):
    with pytest.raises(ConfigurationError, match=message):
        variant_config(parent, off)


def test_one_level_stays_on():
    with pytest.raises(ConfigurationError, match="one level only"):
        switched_off(NetworkConfig(levels=1), (1,))


def test_another_network_or_channel_is_refused(stack, parent, tmp_path):
    wider = few(parent, (1,)).model_copy(
        update={"network": THREE.model_copy(update={"latent_channels": 6})}
    )
    folder = tmp_path / "new"
    with pytest.raises(
        ConfigurationError, match="cells has latent channels 4, the settings ask for 6"
    ):
        run_to_end([stack], wider, start=parent, folder=folder)
    parent.config = parent.config.model_copy(update={"channel": 0})
    two = ImageStack(np.stack([simulate()] * 2, axis=1), "TCYX", "two")
    with pytest.raises(ConfigurationError, match=r"channel 0, .* not of channel 1 of two"):
        run_to_end([two], few(parent, (1,), channel=1), start=parent, folder=folder)
    with pytest.raises(ConfigurationError, match="not both"):
        run_to_end([stack], wider, start=parent, folder=parent.folder, resume=True)
    assert not folder.exists()


def test_a_level_that_is_on_again_is_told(stack, parent):
    config = few(parent, (1, 2))
    parent.config = config
    assert check_fits(parent, few(parent, (1, 2)), [stack], False) == []
    (text,) = check_fits(parent, few(parent, (1,)), [stack], False)
    assert "Level 2 was off in cells and is on again" in text
    assert check_fits(parent, few(parent, (1,)), [stack], True) == []


@pytest.mark.parametrize(
    ("levels", "off", "name"),
    [
        (4, (), "cells"),
        (4, (1,), "cells HDN2-4"),
        (4, (2, 1), "cells HDN3-4"),
        (6, (1, 2, 3), "cells HDN4-6"),
        (4, (2, 3), "cells without 2,3"),
        (4, (2,), "cells without 2"),
    ],
)
def test_names(levels, off, name):
    assert variant_name("cells", levels, off) == name
    assert base_name(name) == base_name(f"{name}-2" if off else name) == "cells"


def test_long_names_keep_what_tells_them_apart():
    name = variant_name("x" * 200, 4, (1,))
    assert len(name) == 120 and name.endswith(" HDN2-4")


@pytest.mark.parametrize("name", ["HDN3-4", "cells-2", "cells without drug", "without 2,3"])
def test_names_that_are_a_users_own(name):
    assert base_name(name) == name


def test_a_level_that_is_on_again_makes_the_whole_network_learn(stack, parent):
    without = run_to_end([stack], few(parent, (1, 2)), start=parent)[0].model
    again = few(without, (1,))
    assert again.learns == "all"
    end = run_to_end([stack], again, start=without)[0].model
    moved = [n for n, p in end.network.named_parameters() if n.startswith("top_down.1.merge")]
    old, new = without.network.state_dict(), end.network.state_dict()
    assert moved and any(not torch.equal(old[n], new[n]) for n in moved)
    with pytest.raises(ConfigurationError, match=r"Level 2 of .* never learned"):
        few(without, (1,), learns="below")


def test_from_scratch_nothing_can_learn_below_alone(stack, parent):
    config = few(parent, (1,))
    with pytest.raises(ConfigurationError, match="From scratch the whole network"):
        run_to_end([stack], config, start=parent, scratch=True)
    with pytest.raises(ConfigurationError, match="Only a variant of a trained model"):
        run_to_end([stack], config)
