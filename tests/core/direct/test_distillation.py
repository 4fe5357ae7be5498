import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from napari_hdn.core.axes import ImageStack
from napari_hdn.core.direct import distillation
from napari_hdn.core.direct.distillation import distil
from napari_hdn.core.direct.events import (
    DistillationFinished,
    DistillationProgress,
    DistillationStarted,
    DistillationValidated,
)
from napari_hdn.core.direct.folder import load
from napari_hdn.core.errors import (
    ConfigurationError,
    ImageError,
    MemoryShortError,
    OutputError,
    StoppedEarly,
    TrainingError,
)
from napari_hdn.core.events import Notice, Stop
from napari_hdn.core.identity import fingerprint
from simulated import simulate

BLUR = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


def run(*args, **kwargs) -> tuple[DistillationFinished, list]:
    events = list(distil(*args, **kwargs))
    assert isinstance(events[-1], DistillationFinished)
    return events[-1], events


def of_kind(events, kind):
    return [e for e in events if isinstance(e, kind)]


def test_what_a_linear_teacher_does_is_learned(model, stack, quick, linear):
    config = quick.model_copy(update={"steps": 400, "learning_rate": 1e-2})
    finished, events = run(model, [stack], config)
    unseen = torch.from_numpy(simulate((64, 48), seed=7))
    image = model.normalisation.apply(unseen, model.noise_model.curve())
    right = torch.from_numpy(convolve(image.numpy(), BLUR, mode="mirror"))
    with torch.no_grad():
        made = finished.student.network(image[None, None])[0, 0]
    inner = (slice(4, -4), slice(4, -4))
    left = float(((made - right)[inner] ** 2).mean() / ((image - right)[inner] ** 2).mean())
    assert left < 0.02
    agreement = [e.agreement_db for e in of_kind(events, DistillationValidated)]
    assert agreement[-1] > agreement[0] + 5


def test_mean_and_median_of_a_skewed_posterior(model, stack, quick, skewed):
    """Three of ten samples are 1 higher, whatever the image: mean + 0.3, median + 0."""
    steps = {"steps": 250, "learning_rate": 1e-2, "batch_size": 8}
    offsets = {}
    for learns, samples in (("mean", 16), ("median", 8)):
        config = quick.model_copy(update={**steps, "learns": learns, "samples": samples})
        finished, _ = run(model, [stack], config)
        curve = model.noise_model.curve()
        image = model.normalisation.apply(torch.from_numpy(simulate((64, 64), seed=5)), curve)
        with torch.no_grad():
            made = finished.student.network(image[None, None])[0, 0]
        offsets[learns] = float((made - image).median())
    assert offsets["mean"] == pytest.approx(0.3, abs=0.06)
    assert offsets["median"] == pytest.approx(0.0, abs=0.06)


def test_the_events_tell_how_far_it_is_and_what_was_made(model, stack, quick, tmp_path):
    finished, events = run(model, [stack], quick, folder=tmp_path / "mean")
    (started,) = of_kind(events, DistillationStarted)
    assert started.held_out == 1 and started.megapixels == pytest.approx(4 * 64 * 48 / 1e6)
    assert started.teacher_parameters == model.parameters
    progress = of_kind(events, DistillationProgress)
    assert [p.fraction for p in progress] == sorted(p.fraction for p in progress)
    assert progress[0].fraction >= 0 and progress[-1].fraction <= 1
    made = finished.student.summary
    assert (finished.step, made.steps, finished.stopped) == (5, 5, False)
    assert made.teacher_weights == fingerprint(model) and made.levels_off == ()
    assert made.data == ("cells TYX 5 x 64 x 48 float32",)
    last = of_kind(events, DistillationValidated)[-1]
    assert (made.marks.loss_db, made.marks.agreement_db) == (last.loss_db, last.agreement_db)
    again = load(finished.folder)
    assert again.summary == made and finished.folder == tmp_path / "mean"


def test_the_same_seed_teaches_the_same_network(model, stack, quick):
    def weights(seed):
        config = quick.model_copy(update={"seed": seed})
        network = run(model, [stack], config)[0].student.network
        return torch.cat([p.flatten() for p in network.parameters()]).detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_teacher_stays_as_it_was(model, stack, quick):
    before = fingerprint(model)
    run(model, [stack], quick)
    assert fingerprint(model) == before
    assert not model.network.training


@pytest.mark.parametrize(("given", "trained", "expected"), [((1,), (), (1,)), (None, (1,), (1,))])
def test_levels_that_are_off_are_recorded(model, stack, quick, given, trained, expected):
    network = model.config.network.model_copy(update={"deactivated_levels": trained})
    model.config = model.config.model_copy(update={"network": network})
    model.network.config = network
    config = quick.model_copy(update={"deactivated_levels": given, "steps": 1})
    finished, _ = run(model, [stack], config)
    assert finished.student.summary.levels_off == expected


def test_stop_keeps_what_has_learned(model, stack, quick, tmp_path):
    stop, events = Stop(), []
    config = quick.model_copy(update={"steps": 100_000})
    for event in distil(model, [stack], config, folder=tmp_path / "mean", stop=stop):
        events.append(event)
        if isinstance(event, DistillationProgress) and event.step >= 3:
            stop.request()
    finished = events[-1]
    assert finished.stopped and 3 <= finished.step < 1000
    again = load(tmp_path / "mean")
    assert again.summary.stopped and again.summary.steps == finished.step
    assert again.summary.marks is not None


def test_stop_before_the_first_step_keeps_nothing(model, stack, quick, tmp_path):
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedEarly):
        list(distil(model, [stack], quick, folder=tmp_path / "mean", stop=stop))
    assert not (tmp_path / "mean").exists()


def test_minutes_are_for_teaching_and_learning_together(model, stack, quick, monkeypatch):
    """A clock of one second a look: 40 % of the time for what the teacher makes."""
    now = iter(range(100_000))
    monkeypatch.setattr(distillation, "monotonic", lambda: float(next(now)))
    many = ImageStack(np.tile(simulate((5, 32, 32)), (40, 1, 1)), "TYX", "many")
    config = quick.model_copy(update={"minutes": 2.0, "steps": None})
    finished, events = run(model, [many], config)
    notices = [e.text for e in of_kind(events, Notice)]
    assert any("of 180 pieces in 40% of the time" in text for text in notices)
    assert not finished.stopped and finished.step > 5
    assert all(0 <= p.remaining_s <= 120 for p in of_kind(events, DistillationProgress))
    # on a computer of any other speed, the same pieces, steps and rates
    assert finished.taught.pieces < 180 - 16 and finished.taught.steps == finished.step
    now = iter(range(0, 10**9, 7))
    again, events = run(model, [many], config, repeated=finished.taught)
    taught, now_taught = (x.student.network.state_dict() for x in (finished, again))
    assert all(torch.equal(now_taught[name], value) for name, value in taught.items())
    assert again.taught == finished.taught and not again.stopped
    shares = [p.fraction for p in of_kind(events, DistillationProgress)]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1


def test_a_single_small_image_is_not_validated_and_that_is_told(model, quick):
    small = ImageStack(simulate((16, 16)), "YX", "cell")
    finished, events = run(model, [small], quick)
    assert finished.student.summary.marks is None
    assert any("too small to hold out" in e.text for e in of_kind(events, Notice))


def test_only_the_models_channel_is_learned_from(model, quick):
    both = np.stack([simulate((4, 32, 32)), np.full((4, 32, 32), np.nan, np.float32)], axis=1)
    model.config = model.config.model_copy(update={"channel": 0})
    finished, _ = run(model, [ImageStack(both, "TCYX", "two")], quick)
    assert finished.student.summary.data == ("two TCYX 4 x 2 x 32 x 32 float32 channel 0",)


def test_mistakes_are_told_before_anything_is_written(model, stack, quick, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").touch()
    for changes, images, folder, error, message in [
        ({}, [], None, ImageError, "no image to learn from"),
        ({"deactivated_levels": (2,)}, [stack], None, ConfigurationError, "level 2 has to stay on"),
        ({}, [stack], taken, OutputError, "not empty"),
    ]:
        with pytest.raises(error, match=message):
            list(distil(model, images, quick.model_copy(update=changes), folder=folder))
    assert [p.name for p in taken.iterdir()] == ["mine"]
    bad = simulate((4, 32, 32))
    bad[1, 3, 4] = np.nan
    with pytest.raises(ImageError, match=r"plane 1: 1 of .* pixels are NaN"):
        list(distil(model, [ImageStack(bad, "TYX", "bad")], quick, folder=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_loss_that_stays_infinite_ends_it(model, stack, quick, monkeypatch):
    monkeypatch.setattr(
        distillation.functional, "mse_loss", lambda made, target: made.sum() * float("nan")
    )
    config = quick.model_copy(update={"steps": 1000})
    with pytest.raises(TrainingError, match="stayed infinite or jumped at step 17"):
        list(distil(model, [stack], config))


def test_too_little_memory_is_told(model, stack, quick, monkeypatch):
    def short(self, piece):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")

    monkeypatch.setattr(distillation.Teacher, "lesson", short)
    with pytest.raises(MemoryShortError, match="not enough memory on CPU"):
        list(distil(model, [stack], quick))


def test_a_disk_that_is_full_at_the_end_keeps_it_in_memory(
    model, stack, quick, tmp_path, monkeypatch
):
    def full(state, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(distillation.folders, "save_file", full)
    finished, events = run(model, [stack], quick, folder=tmp_path / "mean")
    assert finished.folder is None and math.isfinite(finished.student.summary.marks.loss_db)
    assert any("No space left" in e.text and "in memory" in e.text for e in of_kind(events, Notice))
    assert not (tmp_path / "mean").exists()
