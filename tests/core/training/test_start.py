import time

import numpy as np
import pytest
import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NetworkConfig, NoiseConfig
from napari_hdn.core.errors import (
    ConfigurationError,
    HDNError,
    ImageError,
    MemoryShortError,
    OutputError,
    StoppedEarly,
)
from napari_hdn.core.events import (
    Notice,
    Preview,
    PreviewRequest,
    Saved,
    Stop,
    TrainingFinished,
    TrainingStarted,
    TrainingStep,
    Validation,
)
from napari_hdn.core.training.start import train
from simulated import TINY, counts, run_to_end, scene, simulate


def weights(model):
    return model.network.state_dict()


def assert_same_weights(a, b):
    for (name, x), y in zip(weights(a).items(), weights(b).values(), strict=True):
        assert torch.equal(x, y), name


def stopping_after(steps, stack, config, folder, **kwargs):
    stop = Stop()
    for event in train([stack], config, folder=folder, stop=stop, **kwargs):
        if isinstance(event, TrainingStep) and event.step >= steps:
            stop.request()
    assert isinstance(event, TrainingFinished) and event.stopped
    return event


@pytest.fixture
def every_step(monkeypatch):
    """Events without rate limit, so that a test can stop at a step."""
    monkeypatch.setattr("napari_hdn.core.events.RateLimit.ready", lambda self: True)


def test_events_tell_the_whole_story(stack, tiny_config, tmp_path):
    end, events = run_to_end([stack], tiny_config, folder=tmp_path / "m")
    assert isinstance(events[0], Notice)
    (started,) = [e for e in events if isinstance(e, TrainingStarted)]
    assert started.training_planes == 3 and started.validation_planes == 1
    assert started.parameters == end.model.parameters and "Poisson-Gaussian" in started.noise_model
    last = [e for e in events if isinstance(e, TrainingStep)][-1]
    assert last.step == 6 and last.fraction == 1 and len(last.kl_per_level) == 2
    validation = [e for e in events if isinstance(e, Validation)][-1]
    assert validation.loss == pytest.approx(validation.reconstruction + validation.kl)
    assert isinstance(events[-2], Saved) and end.folder == tmp_path / "m"
    assert end.step == 6 and not end.stopped
    assert end.model.summary.steps == 6 and "cells TYX 4 x 64 x 64" in end.model.summary.data[0]


def test_a_stopped_and_continued_run_is_the_unbroken_one(stack, tiny_config, tmp_path, every_step):
    config = tiny_config.model_copy(update={"steps": 12})
    whole, _ = run_to_end([stack], config, folder=tmp_path / "whole")
    part = stopping_after(5, stack, config, tmp_path / "part")
    assert part.step == 5 and part.model.summary.stopped
    rest, _ = run_to_end([stack], config, folder=tmp_path / "part", resume=True)
    assert rest.step == 12
    assert_same_weights(whole.model, rest.model)
    a, b = (checkpoint.load_resume(tmp_path / n) for n in ("whole", "part"))
    for name, value in a["network"].items():
        assert torch.equal(value, b["network"][name])


def test_the_same_seed_gives_the_same_weights_and_another_does_not(stack, tiny_config):
    (a, _), (b, _) = (run_to_end([stack], tiny_config) for _ in range(2))
    assert_same_weights(a.model, b.model)
    c, _ = run_to_end([stack], tiny_config.model_copy(update={"seed": 5}))
    assert not torch.equal(weights(a.model)["last.weight"], weights(c.model)["last.weight"])


def test_a_finished_training_gets_its_budget_once_more(stack, tiny_config, tmp_path):
    run_to_end([stack], tiny_config, folder=tmp_path / "m")
    more, events = run_to_end([stack], tiny_config, folder=tmp_path / "m", resume=True)
    assert more.step == 12
    (started,) = [e for e in events if isinstance(e, TrainingStarted)]
    assert started.first_step == 6
    assert next(r.step for r in more.model.summary.history) <= 6


def test_a_stopped_model_can_be_used_at_once(stack, tiny_config, tmp_path, every_step):
    end = stopping_after(1, stack, tiny_config, tmp_path / "m")
    model = checkpoint.load(tmp_path / "m")
    assert model.can_continue
    assert_same_weights(model, end.model)
    restored = model.restore(stack.array[0], "YX")
    assert np.isfinite(restored.mean).all()


def test_stop_before_the_first_step_leaves_nothing(stack, tiny_config, tmp_path):
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedEarly, match="nothing to keep"):
        run_to_end([stack], tiny_config, folder=tmp_path / "m", stop=stop)
    assert not (tmp_path / "m").exists()


def test_what_ends_a_training_leaves_the_model(stack, tiny_config, tmp_path, monkeypatch):
    calls = []
    real = torch.optim.Adamax.step

    def short_of_memory(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *args, **kwargs)

    monkeypatch.setattr("torch.optim.Adamax.step", short_of_memory)
    with pytest.raises(MemoryShortError, match=r"not enough memory on CPU .* 2 patches of 16 x 16"):
        run_to_end([stack], tiny_config, folder=tmp_path / "m")
    model = checkpoint.load(tmp_path / "m")
    assert model.summary.steps == 3 and model.summary.stopped and model.can_continue


def test_budgets_do_not_grow_by_continuing(stack, tiny_config, tmp_path):
    folder = tmp_path / "m"
    run_to_end([stack], tiny_config, folder=folder)
    for total in (12, 18, 24):
        end, _ = run_to_end([stack], checkpoint.load(folder).config, folder=folder, resume=True)
        assert end.step == total
    assert checkpoint.load(folder).config.steps == 6


def test_continuing_keeps_the_channel(tiny_config, tmp_path):
    two = np.stack([simulate(), np.full((4, 64, 64), 9.0)], axis=1)
    stack = ImageStack(two, "TCYX", "cells")
    one = tiny_config.model_copy(update={"channel": 0})
    run_to_end([stack], one, folder=tmp_path / "m")
    end, events = run_to_end([stack], tiny_config, folder=tmp_path / "m", resume=True)
    assert end.model.summary.data == ("cells TCYX 4 x 2 x 64 x 64 float64 channel 0",)
    assert not [e for e in events if isinstance(e, Notice) and "differ" in e.text]


def test_continuing_on_other_images_that_were_scaled_apart(tiny_config, tmp_path):
    rng = np.random.default_rng(0)
    apart = np.concatenate([k * counts(rng, scene(rng)) for k in (1.0, 2.0, 4.0)])
    config = tiny_config.model_copy(update={"patch_px": 32})
    run_to_end([ImageStack(apart, "SYX", "a")], config, folder=tmp_path / "m")
    more = np.concatenate([k * counts(rng, scene(rng)) for k in (3.0, 1.0, 2.0, 4.0)])
    end, events = run_to_end(
        [ImageStack(more, "SYX", "b")], config, folder=tmp_path / "m", resume=True
    )
    texts = [e.text for e in events if isinstance(e, Notice)]
    assert any("the 4 images here get curves of their own" in t for t in texts)
    scales = torch.tensor([3.0, 1.0, 2.0, 4.0]).reshape(4, 1, 1, 1)
    variance = end.model.noise_model.variance(220 * scales, torch.arange(4)) / scales**2
    np.testing.assert_allclose(variance, 4 * 60 + 9, rtol=0.1)


def test_minutes_end_a_training(stack, tiny_config):
    config = tiny_config.model_copy(update={"steps": None, "minutes": 0.05})
    begin = time.monotonic()
    end, events = run_to_end([stack], config)
    assert end.step > 0 and time.monotonic() - begin >= 3.0
    steps = [e for e in events if isinstance(e, TrainingStep)]
    assert steps[0].remaining_s <= 3.0 and steps[-1].fraction == 1.0


def test_preview_is_the_piece_that_was_asked_for(stack, tiny_config, every_step):
    piece = stack.plane((0,))[10:43, 5:30]
    request = PreviewRequest(piece, tag="here")
    end, events = run_to_end([stack], tiny_config, preview=lambda: request)
    previews = [e for e in events if isinstance(e, Preview)]
    assert previews and previews[-1].tag == "here" and previews[-1].image.shape == (33, 25)
    final = end.model.restore(piece, "YX", samples=1, precision="auto").mean
    np.testing.assert_allclose(previews[-1].image, final, rtol=1e-4)


def test_no_preview_where_nothing_is_in_view(stack, tiny_config, every_step):
    _, events = run_to_end([stack], tiny_config, preview=lambda: None)
    assert not any(isinstance(e, Preview) for e in events)


@pytest.mark.parametrize(
    "network",
    [
        TINY.model_copy(update={"likelihood": "gaussian"}),
        NetworkConfig(levels=1, blocks=1, channels=8, latent_channels=4, top_prior="standard"),
        TINY.model_copy(update={"trunk": "half", "gated": False, "batch_norm": False}),
        TINY.model_copy(update={"deactivated_levels": (1,), "generative_skip": False}),
    ],
    ids=["HVAE", "DivNoising", "half", "HDN2"],
)
def test_the_methods_that_are_configurations(stack, tiny_config, network, tmp_path):
    end, _ = run_to_end(
        [stack], tiny_config.model_copy(update={"network": network}), folder=tmp_path / "m"
    )
    model = checkpoint.load(tmp_path / "m")
    assert_same_weights(model, end.model)
    assert np.isfinite(model.restore(stack.array[0], "YX").mean).all()


@pytest.mark.slow
def test_training_denoises(tiny_config):
    """Restored counts are much nearer to the truth than the noisy ones: at least 8 dB."""
    stack = ImageStack(simulate((8, 96, 96)), "TYX")
    config = tiny_config.model_copy(
        update={
            "steps": 400, "batch_size": 8, "patch_px": 32, "warmup_steps": 20,
            "network": TINY.model_copy(update={"channels": 16, "dropout": 0.0}),
        }
    )  # fmt: skip
    end, _ = run_to_end([stack], config)
    y, x = np.mgrid[:96, :96]
    truth = (60 + 50 * np.sin(x / 11) * np.cos(y / 13)) * 2 + 100
    restored = end.model.restore(stack.array[0], "YX").mean
    noisy, left = (np.mean((image - truth) ** 2) for image in (stack.array[0], restored))
    assert 10 * np.log10(noisy / left) > 8


def test_bad_steps_are_refused_and_told(stack, tiny_config, monkeypatch):
    """Every gradient infinite: fall back, halve, and give up with a reason, never with NaN weights."""
    real = torch.nn.utils.clip_grad_norm_

    def infinite(parameters, *args, **kwargs):
        return real(parameters, *args, **kwargs) * float("inf")

    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", infinite)
    config = tiny_config.model_copy(update={"steps": 100})
    texts = []
    with pytest.raises(HDNError, match="noise model may not fit"):
        for event in train([stack], config):
            if isinstance(event, Notice):
                texts.append(event.text)
    assert any("half the learning rate" in t for t in texts)


def test_bad_images_are_refused_before_anything_is_written(tiny_config, tmp_path):
    nan = simulate()
    nan[1, 2, 3] = np.nan
    for array, message in [
        (nan, "cells, plane 1: 1 of 4096 pixels are NaN"),
        (np.full((2, 64, 64), 7.0), "constant: every pixel is 7"),
        (simulate((2, 12, 64)), "64 x 12 pixels, less than a patch"),
    ]:
        with pytest.raises(ImageError, match=message):
            list(train([ImageStack(array, "TYX", "cells")], tiny_config, folder=tmp_path / "m"))
    with pytest.raises(ImageError, match="no image"):
        list(train([], tiny_config, folder=tmp_path / "m"))
    assert not (tmp_path / "m").exists()


def test_an_existing_folder_is_never_overwritten(stack, tiny_config, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists and is not empty"):
        list(train([stack], tiny_config, folder=tmp_path / "m"))
    with pytest.raises(ConfigurationError, match="give the folder"):
        list(train([stack], tiny_config, resume=True))


def test_a_full_disk_does_not_end_training_nor_lose_the_model(
    stack, tiny_config, tmp_path, monkeypatch
):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    end, events = run_to_end([stack], tiny_config, folder=tmp_path / "m")
    assert end.folder is None and end.step == 6
    assert any("No space left" in e.text for e in events if isinstance(e, Notice))
    assert np.isfinite(end.model.restore(stack.array[0], "YX").mean).all()


def test_one_channel_only(tiny_config):
    two = np.stack([simulate(), np.full((4, 64, 64), 9.0)], axis=1)
    config = tiny_config.model_copy(update={"channel": 0})
    end, _ = run_to_end([ImageStack(two, "TCYX", "cells")], config)
    assert end.model.summary.data_low > 50


def test_a_given_sigma_is_the_noise_model(stack, tiny_config):
    config = tiny_config.model_copy(update={"noise": NoiseConfig(source="gaussian", sigma=14)})
    end, _ = run_to_end([stack], config)
    assert end.model.noise_model.describe() == "Gaussian noise, sigma 14 counts"
    assert not end.model.normalisation.stabilised


def test_images_larger_than_memory_are_read_by_the_crop(tiny_config, monkeypatch):
    monkeypatch.setattr("napari_hdn.core.training.patches.IN_MEMORY_BYTES", 0)
    lazily, _ = run_to_end([ImageStack(simulate(), "TYX")], tiny_config)
    monkeypatch.undo()
    held, _ = run_to_end([ImageStack(simulate(), "TYX")], tiny_config)
    assert_same_weights(lazily.model, held.model)
