"""The command train, as its user runs it."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from commands import TINY, interrupted_after, weights
from napari_hdn import api
from napari_hdn.api import (
    NoiseConfig,
    TrainingStep,
)
from napari_hdn.cli import choices, main


def test_train_writes_a_model_and_tells_about_it(noisy_tif, tiny, tmp_path, capsys):
    out = tmp_path / "model"
    assert main(["train", str(noisy_tif), "--config", tiny, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "Trained after 4 steps" in printed.out
    assert f"Model: {out}" in printed.out
    assert "\r" not in printed.out
    loaded = api.load_model(out)
    assert loaded.summary.steps == 4
    assert loaded.summary.data[0].startswith("cells.tif TYX 3 x 64 x 48")
    assert loaded.can_continue


def test_without_out_the_model_is_named_after_the_image(noisy_tif, tiny):
    for name in ("cells", "cells-2"):
        assert main(["train", str(noisy_tif), "--config", tiny, "--steps", "1"]) == 0
        assert (api.models_folder() / name / "weights.safetensors").is_file()
    assert main(["train", str(noisy_tif), "--config", tiny, "--steps", "1", "--name", "x"]) == 0
    assert main(["restore", "x", str(noisy_tif), "--out", str(noisy_tif.parent / "r")]) == 0


def test_the_folder_of_a_training_that_saved_nothing_is_removed(tiny, tmp_path, capsys):
    nan = np.full((3, 64, 48), np.nan, np.float32)
    tifffile.imwrite(tmp_path / "nan.tif", nan, photometric="minisblack")
    assert main(["train", str(tmp_path / "nan.tif"), "--config", tiny]) == 2
    assert "NaN" in capsys.readouterr().err
    assert list(api.models_folder().iterdir()) == []


def test_a_model_is_found_beside_a_folder_of_its_name(noisy_tif, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cells").mkdir()
    command = ["train", "cells.tif", "--name", "cells"]
    assert main([*command, "--config", tiny]) == 0
    assert main([*command, "--resume", "--steps", "1"]) == 0
    assert main(["restore", "cells", "cells.tif", "--out", "r"]) == 0


def test_a_training_that_begins_meanwhile_gets_another_folder(noisy_tif, tiny, monkeypatch):
    """Both are given a folder before either has saved a model."""
    command = ["train", str(noisy_tif), "--config", tiny, "--steps", "1"]
    real = api.train

    def another_first(*args, **kwargs):
        monkeypatch.setattr(api, "train", real)
        assert main(command) == 0
        return real(*args, **kwargs)

    monkeypatch.setattr(api, "train", another_first)
    assert main(command) == 0
    assert {f.name for f in api.list_models()} == {"cells", "cells-2"}


def test_options_reach_the_config(noisy_tif, tiny, tmp_path):
    options = [
        "--steps",
        "2",
        "--seed",
        "7",
        "--noise",
        "sigma=12.5",
        "--patch",
        "24",
        "--rotations",
        "--device",
        "cpu",
    ]
    out = tmp_path / "m"
    assert main(["train", str(noisy_tif), "--config", tiny, "--out", str(out), *options]) == 0
    config = api.load_model(out).config
    assert (config.steps, config.seed, config.patch_px, config.rotations) == (2, 7, 24, True)
    assert config.noise.sigma == 12.5
    noise_file = out / "noise_model.json"
    again = ["--noise", str(noise_file), "--out", str(tmp_path / "n"), "--steps", "1"]
    assert main(["train", str(noisy_tif), "--config", tiny, *again]) == 0
    assert (tmp_path / "n" / "noise_model.json").read_text() == noise_file.read_text()


def test_an_earlier_config_keeps_its_noise_and_device(noisy_tif, tmp_path):
    earlier = TINY.model_copy(
        update={"steps": 1, "noise": NoiseConfig(source="gaussian", sigma=12.5), "seed": 5}
    )
    (tmp_path / "earlier.json").write_text(earlier.model_dump_json())
    command = ["train", str(noisy_tif), "--config", str(tmp_path / "earlier.json"), "--out"]
    assert main([*command, str(tmp_path / "m")]) == 0
    assert api.load_model(tmp_path / "m").config == earlier
    assert main([*command, str(tmp_path / "n"), "--noise", "auto"]) == 0
    assert api.load_model(tmp_path / "n").config.noise == NoiseConfig()


def test_device_is_changed_only_when_given():
    changes = choices.new_training(None, None, {})
    assert (changes.device, changes.preset) == ("auto", "fast")


def test_resume_refuses_what_it_would_ignore(model, capsys):
    command = ["train", str(model.parent / "a.tif"), "--resume", "--out", str(model)]
    for option in (["--noise", "auto"], ["--patch", "32"], ["--rotations"], ["--seed", "0"]):
        assert main([*command, *option]) == 2
        assert f"leave out {option[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_the_hint_to_go_on_goes_on(tiny, tmp_path, monkeypatch, capsys, platform: str):
    """Typed as it is told, also where a name needs quotes and the axes had to be said."""
    image = np.random.default_rng(0).poisson(40, (3, 2, 64, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "my cells.tif", image, photometric="minisblack")
    real = api.train
    command = ["train", str(tmp_path / "my cells.tif"), "--config", tiny, "--noise", "sigma=6"]
    command += ["--axes", "TCYX", "--channel", "1", "--out", str(tmp_path / "my model")]
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "train", lambda *a, **k: interrupted_after(real(*a, **k), TrainingStep, 1)
        )
        patch.setattr(sys, "platform", platform)
        assert main(command) == 130
    (hint,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("To go on: "))
    assert ('"' if platform == "win32" else "'") in hint
    typed = shlex.split(hint.removeprefix("To go on: napari-hdn "))
    assert typed[-4:] == ["--axes", "TCYX", "--channel", "1"]
    assert main(typed) == 0
    resumed = capsys.readouterr().out
    assert "differ" not in resumed
    assert api.load_model(tmp_path / "my model").summary.steps == 4


def test_stop_keeps_a_model_and_resume_ends_as_if_unbroken(
    noisy_tif, tiny, tmp_path, capsys, monkeypatch
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = ["train", str(noisy_tif), "--config", tiny, "--steps", "6", "--out"]
    assert main([*command, str(whole)]) == 0
    real = api.train
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "train", lambda *a, **k: interrupted_after(real(*a, **k), TrainingStep, 1)
        )
        assert main([*command, str(broken)]) == 130
    assert "Stopped after" in capsys.readouterr().out
    stopped = api.load_model(broken)
    assert stopped.summary.stopped
    assert stopped.summary.steps < 6
    assert main(["train", str(noisy_tif), "--resume", "--out", str(broken)]) == 0
    assert api.load_model(broken).summary.steps == 6
    expected = weights(whole)
    for name, value in weights(broken).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_resume_with_more_steps_goes_on(noisy_tif, tiny, tmp_path):
    out = str(tmp_path / "m")
    assert main(["train", str(noisy_tif), "--config", tiny, "--out", out]) == 0
    assert main(["train", str(noisy_tif), "--resume", "--out", out, "--steps", "7"]) == 0
    assert api.load_model(out).summary.steps == 7


def test_levels_off_from_scratch(noisy_tif, tiny):
    command = ["train", str(noisy_tif), "--config", tiny, "--deactivate", "1"]
    assert main([*command, "--rule", "posterior"]) == 0
    trained = api.load_model(api.models_folder() / "cells HDN2-3")
    network = trained.config.network
    assert (network.deactivated_levels, network.deactivation) == ((1,), "posterior")
    assert trained.summary.history[-1].kl_per_level[0] > 0
    assert trained.summary.origin is None


def test_a_variant_of_a_model(model, capsys):
    images = str(model.parent / "a.tif")
    command = ["train", images, "--from", str(model), "--deactivate", "1,2"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "differ" not in printed.out + printed.err
    parent, made = api.load_model(model), api.load_model(api.models_folder() / "model HDN3-3")
    assert made.summary.steps == 100
    assert made.config.network.deactivated_levels == (1, 2)
    assert made.summary.history[-1].kl_per_level[:2] == (0, 0)
    assert made.summary.family == parent.summary.family
    assert (made.summary.origin.parent, made.summary.origin.begun) == ("model", "warm")
    noise = [(f / "noise_model.json").read_text() for f in (model, made.folder)]
    assert noise[0] == noise[1]
    assert made.normalisation == parent.normalisation
    # a variant of the variant, by its name among the saved models
    again = ["train", images, "--from", "model HDN3-3", "--deactivate", "1", "--steps", "1"]
    for name in ("model HDN2-3", "model HDN2-3-2"):
        assert main(again) == 0
        assert api.load_model(api.models_folder() / name).summary.steps == 1
    assert "Level 2 was off in model HDN3-3 and is on again" in capsys.readouterr().out
    found = [(r.name, r.levels_off) for r in api.variants_of(model)]
    assert found == [
        ("model", ()),
        ("model HDN2-3", (1,)),
        ("model HDN2-3-2", (1,)),
        ("model HDN3-3", (1, 2)),
    ]


def test_a_variant_from_scratch_takes_as_many_steps_and_other_weights(model, tmp_path):
    command = ["train", str(model.parent / "a.tif"), "--from", str(model), "--deactivate", "2"]
    assert main([*command, "--scratch", "--rule", "posterior", "--out", str(tmp_path / "v")]) == 0
    made = api.load_model(tmp_path / "v")
    assert made.summary.steps == api.load_model(model).summary.steps
    assert made.summary.origin.begun == "scratch"
    assert made.config.network.deactivation == "posterior"
    assert made.config.learns == "all"
    still = ["--steps", "1", "--name", "named"]
    assert main([*command, *still]) == 0
    named = api.read_variant(api.models_folder() / "named")
    assert (named.levels_off, named.begun, named.steps) == ((2,), "warm", 1)
    assert api.load_model(named.folder).config.learns == "below"
    assert main([*command, "--steps", "1", "--whole", "--name", "all of it"]) == 0
    assert api.load_model(api.models_folder() / "all of it").config.learns == "all"


def test_the_settings_of_a_variant_serve_a_new_training(model, tmp_path):
    images = str(model.parent / "a.tif")
    variant = ["train", images, "--from", str(model), "--deactivate", "1", "--steps", "1"]
    assert main([*variant, "--out", str(tmp_path / "v")]) == 0
    new = ["train", images, "--config", str(tmp_path / "v"), "--steps", "1"]
    assert main([*new, "--out", str(tmp_path / "new")]) == 0
    config = api.load_model(tmp_path / "new").config
    assert config.learns == "all" and config.network.deactivated_levels == (1,)
    assert main([*new, "--deactivate", "none", "--out", str(tmp_path / "all")]) == 0
    assert api.load_model(tmp_path / "all").config.network.deactivated_levels == ()


def test_without_levels_a_variant_keeps_its_models(model, tmp_path):
    images = str(model.parent / "a.tif")
    first = ["train", images, "--from", str(model), "--deactivate", "1", "--steps", "1"]
    assert main([*first, "--out", str(tmp_path / "a")]) == 0
    assert main(["train", images, "--from", str(tmp_path / "a"), "--steps", "1"]) == 0
    assert api.load_model(api.models_folder() / "model HDN2-3").summary.origin.parent == "a"


def test_a_stopped_variant_goes_on_by_the_hint(model, capsys, monkeypatch, tmp_path):
    out = str(tmp_path / "my variant")
    command = ["train", str(model.parent / "a.tif"), "--from", str(model), "--deactivate", "1"]
    command += ["--steps", "5"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    real = api.train
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "train", lambda *a, **k: interrupted_after(real(*a, **k), TrainingStep, 1)
        )
        assert main([*command, "--out", out]) == 130
    (hint,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("To go on: "))
    assert main(shlex.split(hint.removeprefix("To go on: napari-hdn "))) == 0
    expected = weights(tmp_path / "whole")
    for name, value in weights(Path(out)).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_variant_refuses_what_it_would_ignore(model, capsys):
    command = ["train", str(model.parent / "a.tif"), "--from", str(model), "--deactivate", "1"]
    options = [["--noise", "auto"], ["--patch", "32"], ["--preset", "fast"], ["--seed", "0"]]
    for option in (*options, ["--config", str(model)], ["--rotations"], ["--bootstrap"]):
        assert main([*command, *option]) == 2
        assert f"leave out {option[0]}" in capsys.readouterr().err
