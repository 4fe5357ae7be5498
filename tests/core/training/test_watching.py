import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_hdn.core import checkpoint
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NoiseConfig
from napari_hdn.core.events import Notice, ResidualsChecked, TrainingStep
from napari_hdn.core.noise.poisson_gaussian import PoissonGaussian
from napari_hdn.core.noise.refined import Refined
from napari_hdn.core.training.refinement import NoiseWatch, Rise
from napari_hdn.core.training.start import train
from napari_hdn.core.training.variants import variant_config
from napari_hdn.core.training.watching import is_structured
from simulated import counts, run_to_end, scene


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return ImageStack(
        np.concatenate([counts(rng, scene(rng, 96)) for _ in range(5)]), "SYX", "cells"
    )


@pytest.fixture
def rising(monkeypatch):
    """Every step is looked at, and from step 4 on the bottom level seems to rise."""
    monkeypatch.setattr("napari_hdn.core.training.trainer.WATCH_EVERY", 1)
    monkeypatch.setattr(
        NoiseWatch, "rise", lambda self: Rise(0.01, 0.07) if self.steps[-1] >= 4 else None
    )
    monkeypatch.setattr(NoiseWatch, "at_its_least", property(lambda self: self.steps[-1] == 3))


def warnings_of(events):
    return [e.text for e in events if isinstance(e, Notice) and "copy noise" in e.text]


def with_sigma(config, sigma, **changes):
    noise = NoiseConfig(source="gaussian", sigma=sigma, **changes)
    return config.model_copy(update={"noise": noise, "steps": 8, "batch_size": 4})


def test_a_noise_model_that_is_too_small_is_scaled_and_training_goes_on(
    images, tiny_config, rising, monkeypatch
):
    monkeypatch.setattr(
        NoiseWatch, "rise", lambda self: Rise(0.01, 0.07) if self.steps[-1] == 4 else None
    )
    end, events = run_to_end([images], with_sigma(tiny_config, 9.0))
    model = end.model.noise_model
    assert isinstance(model, Refined) and end.step == 8 and not end.stopped
    # about 13 counts of noise against 9: twice the variance, the bound
    assert float(model.scale[0]) == pytest.approx(2.0, rel=0.15)
    (text,) = warnings_of(events)
    assert "Step 4" in text and "0.010 to 0.070" in text and "scaled by" in text
    assert any(isinstance(e, ResidualsChecked) for e in events)
    assert end.model.summary.residuals is not None


def test_where_nothing_helps_training_ends_with_the_model_of_before(
    images, tiny_config, rising, tmp_path
):
    """The estimate agrees with the images; the network copies noise all the same."""
    seen = {}
    config = tiny_config.model_copy(update={"steps": 12, "batch_size": 4})
    end, events = run_to_end([images], config, folder=tmp_path / "m")
    (text,) = warnings_of(events)
    assert "not larger" in text
    assert end.step == 4 and not end.stopped
    notices = [e.text for e in events if isinstance(e, Notice)]
    assert any("ended at step 4" in t and "that of step 3" in t for t in notices)
    # the weights of step 3, but for batch-norm statistics
    short = config.model_copy(update={"steps": 12})
    for event in train([images], short):
        if isinstance(event, TrainingStep):
            seen[event.step] = event
    assert max(seen) == 4


def test_a_resumed_training_still_knows_the_weights_of_before(
    images, tiny_config, monkeypatch, tmp_path
):
    monkeypatch.setattr("napari_hdn.core.training.trainer.WATCH_EVERY", 1)
    monkeypatch.setattr(
        NoiseWatch, "rise", lambda self: Rise(0.01, 0.07) if self.steps[-1] >= 7 else None
    )
    monkeypatch.setattr(NoiseWatch, "at_its_least", property(lambda self: self.steps[-1] == 3))
    config = tiny_config.model_copy(update={"steps": 5, "batch_size": 4})
    run_to_end([images], config, folder=tmp_path / "m")
    again = config.model_copy(update={"steps": 20})
    end, events = run_to_end([images], again, folder=tmp_path / "m", resume=True)
    notices = [e.text for e in events if isinstance(e, Notice)]
    assert end.step == 7 and any("that of step 3" in t for t in notices)


def test_without_held_out_images_the_training_images_are_watched(images, tiny_config, rising):
    config = tiny_config.model_copy(update={"steps": 12, "validation_fraction": 0.0})
    _, events = run_to_end([images], config)
    assert len(warnings_of(events)) == 1


def test_blurred_noise_of_a_given_model_is_no_reason_to_end(tiny_config, rising):
    rng = np.random.default_rng(4)
    noise = gaussian_filter(rng.normal(size=(3, 128, 128)), (0, 0.8, 0.8))
    noisy = (100 + 20 * noise / noise.std()).astype(np.float32)
    config = with_sigma(tiny_config, 20.0)
    end, events = run_to_end([ImageStack(noisy, "SYX", "blurred")], config)
    (text,) = warnings_of(events)
    assert "as it should be" in text and end.step == 8
    assert not isinstance(end.model.noise_model, Refined)


def test_the_user_may_forbid_it(images, tiny_config, rising):
    end, events = run_to_end([images], with_sigma(tiny_config, 9.0, refine=False))
    (text,) = warnings_of(events)
    assert "left as it is" in text and end.step == 8
    assert not isinstance(end.model.noise_model, Refined)


def test_stripes_in_the_bottom_level_are_as_it_should_be(tiny_config, rising):
    rng = np.random.default_rng(3)
    noisy = np.concatenate([counts(rng, scene(rng, 96)) for _ in range(3)])
    noisy += np.repeat(rng.normal(0, 20, (3, 96, 12)), 8, axis=2).astype(np.float32)
    config = tiny_config.model_copy(update={"steps": 8})
    end, events = run_to_end([ImageStack(noisy, "SYX", "stripes")], config)
    (text,) = warnings_of(events)
    assert "switch the lowest levels off" in text and end.step == 8
    assert is_structured(end.model.noise_model)
    assert not is_structured(PoissonGaussian([1.0], [0.0], [1.0]))


@pytest.mark.parametrize("rule", ["prior", "posterior"])
def test_a_variant_watches_its_lowest_level_that_is_on(tiny_config, monkeypatch, tmp_path, rule):
    monkeypatch.setattr("napari_hdn.core.training.trainer.WATCH_EVERY", 1)
    rng = np.random.default_rng(3)
    noisy = np.concatenate([counts(rng, scene(rng, 96)) for _ in range(3)])
    noisy += np.repeat(rng.normal(0, 20, (3, 96, 12)), 8, axis=2).astype(np.float32)
    stripes = ImageStack(noisy, "SYX", "stripes")
    network = tiny_config.network.model_copy(update={"batch_norm": False})
    parent, _ = run_to_end([stripes], tiny_config.model_copy(update={"network": network}))
    monkeypatch.setattr(
        NoiseWatch, "rise", lambda self: Rise(0.01, 0.07) if self.steps[-1] >= 4 else None
    )
    config = variant_config(parent.model, (1,), deactivation=rule, steps=6)
    end, events = run_to_end([stripes], config, start=parent.model, folder=tmp_path / "v")
    (text,) = warnings_of(events)
    assert "the KL of level 2, the lowest that is on, rose" in text
    assert "With level 1 off it moves up: look at level 2 again" in text
    watch = checkpoint.load_resume(tmp_path / "v")["watch"]
    losses = parent.model.summary.last_losses
    assert losses.part == "validation"
    assert watch["inherited"] == pytest.approx(sum(losses.kl_per_level))
    last = end.model.summary.last_losses.kl_per_level
    assert watch["kl"][-1] == pytest.approx(last[1])
    assert last[0] != pytest.approx(last[1])


def test_a_stopped_run_goes_on_with_the_refined_model(images, tiny_config, rising, tmp_path):
    config = with_sigma(tiny_config, 9.0).model_copy(update={"steps": 4})
    first, _ = run_to_end([images], config, folder=tmp_path / "m")
    assert isinstance(first.model.noise_model, Refined)
    again, events = run_to_end(
        [images], config.model_copy(update={"steps": 5}), folder=tmp_path / "m", resume=True
    )
    model = again.model.noise_model
    assert isinstance(model, Refined)
    torch.testing.assert_close(model.scale, first.model.noise_model.scale)
    assert not any("scaled by" in text for text in warnings_of(events)), "once is enough"


def test_bootstrap_is_done_once_and_told(images, tiny_config, monkeypatch):
    monkeypatch.setattr("napari_hdn.core.training.trainer.WATCH_EVERY", 1)
    noise = NoiseConfig(bootstrap=True, curves="shared")
    config = tiny_config.model_copy(update={"steps": 8, "noise": noise, "batch_size": 4})
    end, events = run_to_end([images], config)
    told = [e.text for e in events if isinstance(e, Notice) and "network's help" in e.text]
    assert len(told) == 1 and "Step 4" in told[0]
    model = end.model.noise_model
    assert isinstance(model, Refined), "an untrained network's samples give another shape"
    assert model.units is not None
    s = np.linspace(150, 280, 20)
    ratio = model.variance_curve(s) / model.units.variance_curve(s)
    assert 0.78 < ratio.min() < ratio.max() < 1.27 and np.ptp(ratio) > 0.05
