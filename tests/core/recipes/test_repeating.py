"""Trainings and restorations repeated from their recipes, bit for bit."""

import numpy as np
import pytest
import torch

from napari_hdn.core import checkpoint
from napari_hdn.core.axes import ImageStack
from napari_hdn.core.config import NoiseConfig, RestorationConfig
from napari_hdn.core.errors import RecipeError
from napari_hdn.core.events import (
    Notice,
    PlaneRestored,
    RestorationFinished,
    Saved,
    Stop,
    TrainingFinished,
    TrainingStep,
)
from napari_hdn.core.noise.base import noise_model_to_json
from napari_hdn.core.recipes.making import RestorationRecipes, finished, recipe_of_model, to_text
from napari_hdn.core.recipes.repeating import (
    processes_here,
    repeat_training,
    repeated_config,
    restoration_remark,
)
from napari_hdn.core.recipes.schema import Recipe
from napari_hdn.core.restoring.restoration import restore
from napari_hdn.core.training.start import train
from napari_hdn.core.training.variants import variant_config
from simulated import run_to_end


def repeated(recipe, stacks, folder, **choices):
    """The model that a recipe makes again, read from its text, and what was said."""
    recipe = Recipe.model_validate_json(to_text(recipe))
    every = list(repeat_training(recipe, stacks, folder, **choices))
    assert isinstance(every[-1], TrainingFinished)
    return every[-1].model, [e.text for e in every if isinstance(e, Notice)]


def assert_same(a, b, texts):
    for (name, x), y in zip(
        a.network.state_dict().items(), b.network.state_dict().values(), strict=True
    ):
        assert torch.equal(x, y), name
    assert noise_model_to_json(a.noise_model) == noise_model_to_json(b.noise_model)
    assert a.normalisation == b.normalisation and a.config == b.config
    assert [p.last_step for p in a.summary.parts] == [p.last_step for p in b.summary.parts]
    assert any("identical to the recorded ones, bit for bit" in t for t in texts)


def test_minutes_stopped_and_continued_twice(stack, tiny_config, tmp_path):
    config = tiny_config.model_copy(update={"steps": None, "minutes": 0.03})
    stop, long = Stop(), config.model_copy(update={"minutes": 10})
    for event in train([stack], long, folder=tmp_path / "m", stop=stop):
        if isinstance(event, TrainingStep) and event.step >= 5:
            stop.request()
    assert event.stopped
    run_to_end([stack], config, folder=tmp_path / "m", resume=True)
    more = tiny_config.model_copy(update={"steps": 7})
    end, _ = run_to_end([stack], more, folder=tmp_path / "m", resume=True)
    first, second, third = end.model.summary.parts
    assert (first.ended, second.ended, third.ended) == ("stopped", "complete", "complete")
    assert first.first_step == 0 and first.last_step == second.first_step
    assert third.last_step == third.first_step + 7 == end.step and third.schedule == ()
    assert len(first.images) == 1 and second.images == third.images == ()
    again, texts = repeated(recipe_of_model(end.model), [[stack]] * 3, tmp_path / "again")
    assert_same(end.model, again, texts)
    assert [p.schedule for p in again.summary.parts] == [
        p.schedule for p in end.model.summary.parts
    ]


def test_what_a_crash_cut_off_and_was_continued(stack, tiny_config, tmp_path, monkeypatch):
    config = tiny_config.model_copy(update={"steps": 12})
    monkeypatch.setattr("napari_hdn.core.events.RateLimit.ready", lambda self: True)
    for event in train([stack], config, folder=tmp_path / "m"):
        if isinstance(event, Saved) and event.step == 5:
            break  # the process is killed
    cut = checkpoint.load(tmp_path / "m")
    assert cut.summary.parts[-1].ended == "cut" and cut.summary.stopped
    with pytest.raises(RecipeError, match="was cut off"):
        repeated(recipe_of_model(cut), [[stack]], tmp_path / "n")
    end, _ = run_to_end([stack], config, folder=tmp_path / "m", resume=True)
    again, texts = repeated(recipe_of_model(end.model), [[stack]] * 2, tmp_path / "again")
    assert_same(end.model, again, texts)


def test_memory_that_was_short_then(stack, tiny_config, tmp_path, monkeypatch):
    real, calls = torch.Tensor.backward, []

    def short_once(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("torch.Tensor.backward", short_once)
        end, _ = run_to_end([stack], tiny_config, folder=tmp_path / "m")
    assert end.model.summary.parts[0].split_batches == ((2, 2),)
    again, texts = repeated(recipe_of_model(end.model), [[stack]], tmp_path / "again")
    assert_same(end.model, again, texts)


def test_a_noise_model_from_a_file_is_in_the_recipe(stack, tiny_config, tiny_model, tmp_path):
    tiny_model.save(tmp_path / "other")
    file = tmp_path / "other" / "noise_model.json"
    noise = NoiseConfig(source="file", path=file)
    config = tiny_config.model_copy(update={"noise": noise})
    end, _ = run_to_end([stack], config, folder=tmp_path / "m")
    file.unlink()
    again, texts = repeated(recipe_of_model(end.model), [[stack]], tmp_path / "again")
    assert_same(end.model, again, texts)


def test_a_variant_needs_its_parent(stack, tiny_config, tmp_path):
    parent, _ = run_to_end([stack], tiny_config, folder=tmp_path / "parent")
    config = variant_config(parent.model, (1,), steps=4)
    end, _ = run_to_end([stack], config, folder=tmp_path / "v", start=parent.model)
    recipe = recipe_of_model(end.model)
    with pytest.raises(RecipeError, match=r"variant of parent, .* --model"):
        repeated(recipe, [[stack]], tmp_path / "n")
    again, texts = repeated(recipe, [[stack]], tmp_path / "again", start=parent.model)
    assert_same(end.model, again, texts)


def test_other_versions_are_named_and_other_weights_told(stack, tiny_config, tmp_path):
    end, _ = run_to_end([stack], tiny_config, folder=tmp_path / "m")
    recipe = recipe_of_model(end.model)
    (part,) = recipe.training.parts
    older = part.environment.model_copy(update={"torch": "1.0", "threads": 64})
    parts = (part.model_copy(update={"environment": older}),)
    training = recipe.training.model_copy(update={"parts": parts})
    model = recipe.model.model_copy(update={"sha256": "0" * 64})
    changed = recipe.model_copy(update={"training": training, "model": model})
    every = [
        e.text for e in repeat_training(changed, [[stack]], tmp_path / "n") if isinstance(e, Notice)
    ]
    assert any(f"torch 1.0 -> {torch.__version__}; threads 64 -> 1" in t for t in every)
    assert any("differ from the recorded ones" in t and "000000000000" in t for t in every)


def test_as_many_processes_as_there_were_where_they_have_room(
    stack, tiny_config, tmp_path, monkeypatch
):
    end, _ = run_to_end([stack], tiny_config, folder=tmp_path / "m")
    recipe = recipe_of_model(end.model)
    (part,) = recipe.training.parts

    def by(*processes):
        parts = tuple(
            part.model_copy(
                update={"environment": part.environment.model_copy(update={"processes": n})}
            )
            for n in processes
        )
        training = recipe.training.model_copy(update={"parts": parts})
        return processes_here(recipe.model_copy(update={"training": training}))

    monkeypatch.setattr("napari_hdn.core.recipes.repeating.cores_here", lambda: 4)
    assert [by(1), by(4), by(5), by(2, 2), by(2, 1)] == [1, 4, 1, 2, 1]


def test_models_of_earlier_versions_cannot_be_repeated(tiny_model, stack, tmp_path):
    recipe = recipe_of_model(tiny_model)
    with pytest.raises(RecipeError, match="did not yet record"):
        repeated(recipe, [], tmp_path / "m")


@pytest.mark.parametrize("choices", [{}, {"outputs": ("mean", "std"), "samples": 3, "flips": True}])
def test_a_restoration_takes_its_tiles_again(tiny_model, stack, monkeypatch, choices):
    free = {"bytes": 8e7}
    monkeypatch.setattr("napari_hdn.core.devices.Device.free_bytes", lambda self: free["bytes"])
    config = RestorationConfig(device="cpu", precision="float32", **choices)
    whole = ImageStack(np.tile(stack.array[:1], (1, 6, 4)), "TYX", "large")

    def run(config):
        *events, end = restore(tiny_model, whole, config)
        assert isinstance(end, RestorationFinished)
        parts = [e.planes for e in events if isinstance(e, PlaneRestored)]
        return {k: np.concatenate([p[k] for p in parts]) for k in config.outputs}, end

    made, end = run(config)
    assert end.tiles.side_px is not None and 64 <= end.tiles.side_px < 256
    recipe = finished(RestorationRecipes(tiny_model, config).of(whole), end)
    recipe = Recipe.model_validate_json(to_text(recipe))
    free["bytes"] = 1e12
    assert restoration_remark(recipe) == ""
    again, end_again = run(repeated_config(recipe, whole))
    assert end_again.tiles == end.tiles
    for product, image in made.items():
        np.testing.assert_array_equal(image, again[product])
    _, end_other = run(config)
    assert end_other.tiles.side_px is None


def test_whole_planes_stay_whole(tiny_model, stack, monkeypatch):
    config = RestorationConfig(device="cpu", precision="float32")
    *_, end = restore(tiny_model, stack, config)
    assert end.tiles.side_px is None and not end.tiles.changed
    recipe = finished(RestorationRecipes(tiny_model, config).of(stack), end)
    monkeypatch.setattr("napari_hdn.core.devices.Device.free_bytes", lambda self: 1e5)
    again = repeated_config(recipe, stack)
    assert again.batch_size == end.tiles.samples_at_a_time
    one, two = (
        [e.planes["mean"] for e in restore(tiny_model, stack, c) if isinstance(e, PlaneRestored)]
        for c in (config.model_copy(update={"tile_px": 256}), again)
    )
    np.testing.assert_array_equal(one, two)


def test_memory_that_ran_short_is_told(tiny_model, stack):
    config = RestorationConfig(device="cpu", precision="float32")
    *_, end = restore(tiny_model, stack, config)
    recipe = finished(RestorationRecipes(tiny_model, config).of(stack), end)
    tiles = end.tiles.model_copy(update={"changed": True})
    changed = recipe.restoration.model_copy(update={"tiles": tiles})
    text = restoration_remark(recipe.model_copy(update={"restoration": changed}))
    assert text.startswith("Memory ran short in the middle")
