"""The command as its user runs it, with a network so tiny that a training takes a second."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.api import (
    NetworkConfig,
    NoiseConfig,
    PlaneRestored,
    TrainingConfig,
    TrainingStep,
)
from napari_hdn.cli import choices, demo, jobs, main
from napari_hdn.cli.terminal import Progress, duration, stop_on_interrupt
from napari_hdn.core.errors import OutputError

TINY = TrainingConfig(
    network=NetworkConfig(levels=3, channels=8, latent_channels=4),
    minutes=None,
    steps=4,
    patch_px=16,
    batch_size=4,
    precision="float32",
    device="cpu",
)


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.json"
    path.write_text(TINY.model_dump_json())
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, trained by the command."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.json").write_text(TINY.model_dump_json())
    rng = np.random.default_rng(3)
    tifffile.imwrite(folder / "a.tif", rng.poisson(40, (5, 64, 48)).astype(np.uint16))
    images, config = str(folder / "a.tif"), str(folder / "tiny.json")
    command = ["train", images, "--config", config, "--noise", "sigma=6"]
    assert main([*command, "--out", str(folder / "model")]) == 0
    return folder / "model"


def _weights(folder: Path) -> dict[str, np.ndarray]:
    state = api.load_model(folder).network.state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


def _interrupted_after(events: Iterator, kind: type, count: int) -> Iterator:
    """Press Ctrl-C when ``count`` events of a kind have come."""
    for event in events:
        yield event
        count -= isinstance(event, kind)
        if isinstance(event, kind) and count == 0:
            signal.raise_signal(signal.SIGINT)


def iter_raising(error: Exception) -> Iterator:
    raise error
    yield


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
            api, "train", lambda *a, **k: _interrupted_after(real(*a, **k), TrainingStep, 1)
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
            api, "train", lambda *a, **k: _interrupted_after(real(*a, **k), TrainingStep, 1)
        )
        assert main([*command, str(broken)]) == 130
    assert "Stopped after" in capsys.readouterr().out
    stopped = api.load_model(broken)
    assert stopped.summary.stopped
    assert stopped.summary.steps < 6
    assert main(["train", str(noisy_tif), "--resume", "--out", str(broken)]) == 0
    assert api.load_model(broken).summary.steps == 6
    expected = _weights(whole)
    for name, value in _weights(broken).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_resume_with_more_steps_goes_on(noisy_tif, tiny, tmp_path):
    out = str(tmp_path / "m")
    assert main(["train", str(noisy_tif), "--config", tiny, "--out", out]) == 0
    assert main(["train", str(noisy_tif), "--resume", "--out", out, "--steps", "7"]) == 0
    assert api.load_model(out).summary.steps == 7


def test_restore_writes_ome_tiffs_and_numbers_them(model, tmp_path, capsys):
    size = {"X": 0.1, "Y": 0.1}
    image = np.random.default_rng(0).poisson(40, (2, 3, 50, 40)).astype(np.uint16)
    api.write_ome_tiff(tmp_path / "in.ome.tif", image, "TZYX", pixel_size_um=size)
    out = tmp_path / "deep" / "out"
    command = ["restore", str(model), str(tmp_path / "in.ome.tif"), "--out", str(out), "--std"]
    assert main([*command, "--samples", "4"]) == 0
    assert main([*command, "--samples", "4"]) == 0
    assert sorted(os.listdir(out)) == [
        "in_hdn-mean-2.ome.tif",
        "in_hdn-mean.ome.tif",
        "in_hdn-std-2.ome.tif",
        "in_hdn-std.ome.tif",
    ]
    mean, std = api.open_images([out / "in_hdn-mean.ome.tif", out / "in_hdn-std.ome.tif"])
    assert (mean.axes, mean.array.shape, mean.array.dtype) == ("TZYX", image.shape, np.float32)
    assert mean.pixel_size_um == pytest.approx(size)
    restored = api.load_model(model).restore(image, "TZYX", samples=4, std=True)
    np.testing.assert_array_equal(mean.array, restored.mean)
    np.testing.assert_array_equal(std.array, restored.std)
    assert "Wrote" in capsys.readouterr().out


def test_restore_one_channel_in_the_input_type(model, tmp_path):
    image = np.random.default_rng(0).poisson(40, (3, 2, 40, 48)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "c.ome.tif", image, metadata={"axes": "TCYX"})
    options = ["--channel", "1", "--dtype", "input", "--out", str(tmp_path)]
    assert main(["restore", str(model), str(tmp_path / "c.ome.tif"), *options]) == 0
    (stack,) = api.open_images([tmp_path / "c_hdn-mean.ome.tif"])
    assert (stack.axes, stack.array.shape, stack.array.dtype) == ("TYX", (3, 40, 48), np.uint8)
    restored = api.load_model(model).restore(image, "TCYX", channel=1).mean
    np.testing.assert_array_equal(stack.array, np.rint(restored))


def test_clipping_is_told(model, tmp_path, capsys, monkeypatch):
    tifffile.imwrite(tmp_path / "c.tif", np.full((40, 48), 40, np.uint8))
    plane = PlaneRestored((), np.full((40, 48), 300, np.float32), None)
    monkeypatch.setattr(api, "restore", lambda *a, **k: iter([plane]))
    command = ["restore", str(model), str(tmp_path / "c.tif"), "--out", str(tmp_path)]
    assert main([*command, "--dtype", "input"]) == 0
    assert "1,920 of 1,920 restored pixels lay outside 0..255" in capsys.readouterr().out


def test_stopped_restoration_keeps_complete_planes(model, tmp_path, monkeypatch, capsys):
    image = np.random.default_rng(0).poisson(40, (4, 40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    real = api.restore
    monkeypatch.setattr(
        api, "restore", lambda *a, **k: _interrupted_after(real(*a, **k), PlaneRestored, 2)
    )
    out = tmp_path / "out"
    assert main(["restore", str(model), str(tmp_path / "c.tif"), "--out", str(out)]) == 130
    assert os.listdir(out) == ["c_hdn-mean-partial.ome.tif"]
    (stack,) = api.open_images(out.iterdir())
    restored = api.load_model(model).restore(image, "TYX").mean
    np.testing.assert_array_equal(stack.array, restored[:2])
    assert "Stopped at image 1 of 1" in capsys.readouterr().out


def test_an_error_late_in_a_restoration_keeps_the_planes_before_it(model, tmp_path, capsys):
    image = np.random.default_rng(0).normal(40, 6, (3, 40, 48)).astype(np.float32)
    image[2, 5, 5] = np.nan
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    out = tmp_path / "out"
    command = ["restore", str(model), str(tmp_path / "c.tif"), "--out", str(out), "--std"]
    assert main([*command, "--samples", "3"]) == 2
    kept = {"c_hdn-mean-partial.ome.tif", "c_hdn-std-partial.ome.tif"}
    assert set(os.listdir(out)) == kept
    error = capsys.readouterr().err
    assert "NaN" in error
    assert error.count("\n") == 1
    assert all(f"2 of 3 planes were done and are in {out / name}" in error for name in kept)
    restored = api.load_model(model).restore(image[:2], "TYX", samples=3, std=True)
    np.testing.assert_array_equal(
        tifffile.imread(out / "c_hdn-mean-partial.ome.tif"), restored.mean
    )


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried\nto allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
    ],
)
def test_too_little_memory_gets_one_line(
    model, noisy_tif, tiny, tmp_path, monkeypatch, capsys, error
):
    real = api.restore

    def fails(*args, **kwargs):
        for event in real(*args, **kwargs):
            yield event
            if isinstance(event, PlaneRestored):
                raise error

    monkeypatch.setattr(api, "restore", fails)
    monkeypatch.setattr(api, "train", lambda *_, **__: iter_raising(error))
    out = str(tmp_path / "r")
    assert main(["restore", str(model), str(noisy_tif), "--out", out]) == 2
    said = capsys.readouterr().err
    assert "not enough memory; choose a smaller --tile" in said
    assert "1 of 3 planes were done" in said
    assert said.count("\n") == 1
    assert main(["train", str(noisy_tif), "--config", tiny]) == 2
    assert "smaller --patch" in capsys.readouterr().err
    assert list(api.models_folder().iterdir()) == []


def test_other_runtime_errors_are_bugs_and_shown_whole(noisy_tif, tiny, monkeypatch):
    monkeypatch.setattr(api, "train", lambda *_, **__: iter_raising(RuntimeError("shapes")))
    with pytest.raises(RuntimeError, match="shapes"):
        main(["train", str(noisy_tif), "--config", tiny])


def test_restored_twice_into_the_folder_of_the_images(model, noisy_tif, capsys):
    folder = noisy_tif.parent
    command = ["restore", str(model), str(folder), "--out", str(folder)]
    assert main(command) == 0
    assert "Left out" not in capsys.readouterr().out
    assert main(command) == 0
    assert "Left out cells_hdn-mean.ome.tif" in capsys.readouterr().out
    assert {p.name for p in folder.glob("*.tif")} == {
        "cells.tif",
        "cells_hdn-mean.ome.tif",
        "cells_hdn-mean-2.ome.tif",
    }


def test_series_of_a_file_get_names_of_their_own(model, tmp_path):
    image = np.random.default_rng(0).poisson(40, (2, 40, 48)).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "f.ome.tif", ome=True) as file:
        for part in image:
            file.write(part, metadata={"axes": "YX"})
    out = tmp_path / "out"
    assert main(["restore", str(model), str(tmp_path / "f.ome.tif"), "--out", str(out)]) == 0
    restored = api.load_model(model).restore(image[1], "YX").mean
    assert sorted(os.listdir(out)) == ["f-0_hdn-mean.ome.tif", "f-1_hdn-mean.ome.tif"]
    np.testing.assert_array_equal(tifffile.imread(out / "f-1_hdn-mean.ome.tif"), restored)


def test_float_images_are_restored_and_left_alone(model, tmp_path):
    image = np.random.default_rng(0).normal(40, 6, (2, 40, 48)).astype(np.float32)
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    before = (tmp_path / "c.tif").read_bytes()
    out = tmp_path / "out"
    assert main(["restore", str(model), str(tmp_path / "c.tif"), "--out", str(out)]) == 0
    assert (tmp_path / "c.tif").read_bytes() == before
    restored = api.load_model(model).restore(image, "TYX").mean
    np.testing.assert_array_equal(tifffile.imread(out / "c_hdn-mean.ome.tif"), restored)


def test_levels_off(model, tmp_path):
    image = np.random.default_rng(0).poisson(40, (2, 40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cells.tif", image, photometric="minisblack")
    command = ["restore", str(model), str(tmp_path / "cells.tif"), "--out", str(tmp_path / "r")]
    assert main([*command, "--off", "1,2"]) == 0
    assert main(command) == 0
    off, on = (tmp_path / "r" / f"cells_hdn-mean{n}.ome.tif" for n in ("", "-2"))
    restored = api.load_model(model).restore(image, "TYX", deactivated_levels=(1, 2))
    np.testing.assert_array_equal(tifffile.imread(off), restored.mean)
    assert np.abs(tifffile.imread(on) - restored.mean).max() > 0


def test_images_out_of_range_are_restored_with_a_warning(model, tmp_path, capsys):
    bright = np.random.default_rng(0).poisson(4000, (40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", bright)
    assert main(["restore", str(model), str(tmp_path / "c.tif"), "--out", str(tmp_path)]) == 0
    assert "Warning: c.tif runs from" in capsys.readouterr().out


MISTAKES = [
    ("train", "No image was named"),
    ("train missing.tif", "no file or folder missing.tif"),
    ("train empty", "no TIFF images"),
    ("train rgb.tif", "RGB"),
    ("train truncated.tif", "truncated"),
    ("train labels.tif", "grey values"),
    ("train damaged.tif --config TINY --out m", "plane 1"),
    ("train nan.tif --out m", "NaN"),
    ("train inf.tif --out m", "infinite"),
    ("train constant.tif --out m", "constant"),
    ("train small.tif --out m", "20 x 20"),
    ("train good.tif --axes TQX", "contain 'Q'"),
    ("train good.tif --axes YX", "3 axes"),
    ("train good.tif --channel 4", "channel 4 does not exist"),
    ("train good.tif --noise sigma=x", "sigma=x is not a number"),
    ("train good.tif --noise sigma=-1", "greater than 0"),
    ("train good.tif --noise nothing.json", "no file nothing.json"),
    ("train good.tif --noise rgb.tif --out m", "not a noise model"),
    ("train good.tif --preset slow", "no preset 'slow'"),
    ("train good.tif --steps 2 --minutes 1", "not both"),
    ("train good.tif --out a --name b", "not both"),
    ("train good.tif --minutes 0", "minutes"),
    ("train good.tif --patch 50 --out m", "not a multiple of 16"),
    ("train good.tif --resume", "which model"),
    ("train good.tif --resume --out missing", "no model folder missing"),
    ("train good.tif --resume --out newer", "written by a newer napari-hdn (9.9"),
    ("train good.tif --resume --out noresume", "resume.ckpt is missing"),
    ("train good.tif --config newer", "of a newer napari-hdn"),
    ("train good.tif --config MODEL --preset fast", "not both"),
    ("train good.tif --out .", "not empty"),
    ("train good.tif --out good.tif", "cannot be saved to good.tif"),
    ("train good.tif --config rgb.tif", "no config of a training"),
    ("train good.tif --device tpu", "tpu"),
    ("restore missing good.tif --out r", "no model folder missing"),
    ("restore empty good.tif --out r", "config.json is missing"),
    ("restore newer good.tif --out r", "written by a newer napari-hdn (9.9"),
    ("restore noweights good.tif --out r", "weights.safetensors is missing"),
    ("restore cutweights good.tif --out r", "weights.safetensors of model cutweights is damaged"),
    ("restore badconfig good.tif --out r", "config.json of model badconfig is damaged"),
    ("restore badnoise good.tif --out r", "noise_model.json of model badnoise is damaged"),
    ("restore MODEL damaged.tif --out r", "plane 1"),
    ("restore MODEL good.tif", "--out"),
    ("restore MODEL missing.tif --out r", "no file or folder"),
    ("restore MODEL nan.tif --out r", "NaN"),
    ("restore MODEL good.tif --out good.tif", "is a file"),
    ("restore MODEL good.tif --out r --std --samples 2", "at least 3 samples"),
    ("restore MODEL good.tif --out r --off 3", "levels 1"),
    ("restore MODEL good.tif --out r --off a", "--off takes"),
    ("demo --minutes 0", "minutes"),
    ("demo --minutes 1 --steps 1", "not both"),
    ("demo --out good.tif/d --steps 1", "good.tif"),
    ("paint good.tif", "paint"),
]


@pytest.fixture
def bad_input(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of everything that cannot be used; the current one."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    good = np.random.default_rng(0).poisson(40, (3, 96, 80)).astype(np.uint16)
    tifffile.imwrite("good.tif", good, photometric="minisblack")
    tifffile.imwrite("rgb.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    tifffile.imwrite("labels.tif", np.zeros((64, 64), bool))
    Path("truncated.tif").write_bytes(Path("good.tif").read_bytes()[:9000])
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        bad = good[0].astype(np.float32)
        bad[3, 4] = value
        tifffile.imwrite(f"{name}.tif", bad)
    tifffile.imwrite("constant.tif", np.full((96, 96), 7, np.uint16))
    tifffile.imwrite("small.tif", good[0, :20, :20])
    tifffile.imwrite("damaged.tif", good, photometric="minisblack", compression="zlib")
    data = bytearray(Path("damaged.tif").read_bytes())
    with tifffile.TiffFile("damaged.tif") as file:
        for page in file.pages:
            data[page.dataoffsets[0] : page.dataoffsets[0] + 60] = bytes(60)
    Path("damaged.tif").write_bytes(data)
    for name in ("newer", "noweights", "cutweights", "badconfig", "badnoise", "noresume"):
        shutil.copytree(model, name)
    newer = json.loads(Path("newer/config.json").read_text())
    newer |= {"schema_version": 99, "version": "9.9"}
    newer["training"]["invention"] = 3
    Path("newer/config.json").write_text(json.dumps(newer))
    Path("noweights/weights.safetensors").unlink()
    Path("cutweights/weights.safetensors").write_bytes(b"\x00" * 1000)
    Path("badconfig/config.json").write_text("{")
    Path("badnoise/noise_model.json").write_text("[]")
    Path("noresume/resume.ckpt").unlink()
    return tmp_path


@pytest.mark.parametrize(("typed", "says"), MISTAKES)
def test_mistakes_get_one_line_and_exit_code_2(typed, says, bad_input, model, tiny, capsys):
    before = sorted(os.listdir())
    assert main(_words(typed, model, tiny)) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("napari-hdn: ")
    assert error.count("\n") == 1
    assert sorted(os.listdir()) == before
    assert not api.models_folder().exists() or not any(api.models_folder().iterdir())


def _words(typed: str, model: Path, tiny: str) -> list[str]:
    return [{"MODEL": str(model), "TINY": tiny}.get(word, word) for word in typed.split()]


def test_mistakes_get_one_line_in_a_process_of_their_own(bad_input, model, tiny):
    """Where nothing catches warnings, logs, and what libraries write past Python."""
    driver = """
import json, os, sys, tempfile
from napari_hdn.cli import main
results = []
for words in json.load(sys.stdin):
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            code = main(words)
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
        file.seek(0)
        results.append([code, file.read().decode()])
print("RESULTS" + json.dumps(results))
"""
    commands = [_words(typed, model, tiny) for typed, _ in MISTAKES]
    done = subprocess.run(
        [sys.executable, "-c", driver],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = json.loads(done.stdout.rpartition("RESULTS")[2])
    for (typed, says), (code, error) in zip(MISTAKES, results, strict=True):
        assert code == 2, typed
        assert says in error, typed
        assert error.count("\n") == 1, typed


def test_a_folder_that_cannot_be_written_is_found_before_training(
    noisy_tif, tiny, capsys, monkeypatch
):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(jobs.tempfile, "TemporaryFile", refuse)
    assert main(["train", str(noisy_tif), "--config", tiny]) == 2
    printed = capsys.readouterr()
    assert "Permission denied" in printed.err
    assert "Reading the images" not in printed.out


def test_a_model_that_its_folder_has_no_room_for_is_saved_elsewhere(
    noisy_tif, tiny, tmp_path, capsys, monkeypatch
):
    from napari_hdn.core import checkpoint

    real = checkpoint.save

    def save(model, folder):
        if folder == tmp_path / "full":
            raise OutputError("The disk is full.")
        return real(model, folder)

    monkeypatch.setattr(checkpoint, "save", save)
    out = str(tmp_path / "full")
    assert main(["train", str(noisy_tif), "--config", tiny, "--out", out]) == 2
    rescued = api.models_folder() / "full"
    assert str(rescued) in capsys.readouterr().err
    assert api.load_model(rescued).summary.steps == 4


def test_second_interrupt_aborts(noisy_tif, tiny, tmp_path, monkeypatch, capsys):
    def twice(*_, **__):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(api, "train", twice)
    out = tmp_path / "m"
    assert main(["train", str(noisy_tif), "--config", tiny, "--out", str(out)]) == 130
    assert "aborted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    assert not out.exists()


def test_demo_writes_everything_and_counts_decibels(tmp_path, capsys):
    out = tmp_path / "demo"
    config = TINY.model_copy(update={"steps": 2})
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        results = demo.run_demo(out, config, progress, stop, show=False)
    assert [r.title for r in results] == [
        "noisy",
        "restored, all levels",
        "restored, without levels 1, 2",
    ]
    names = {p.name for p in out.iterdir()}
    assert {
        "model",
        "before-after-std.png",
        "cells-with-stripes.ome.tif",
        "cells-with-stripes-truth.ome.tif",
        "cells-with-stripes_hdn-mean.ome.tif",
        "cells-with-stripes_hdn-without-1-2-mean.ome.tif",
        "cells-with-stripes_hdn-without-1-2-std.ome.tif",
    } == names
    assert f"{results[2].psnr:5.2f} dB" in capsys.readouterr().out
    sample = api.cells_with_stripes()
    assert demo.psnr(sample, sample.truth[None] + 5) == pytest.approx(
        20 * np.log10(np.ptp(sample.truth) / 5), abs=1e-3
    )


@pytest.mark.parametrize("planes", [1, 12])
def test_interrupted_demo_keeps_what_there_is_and_shows_nothing(
    tmp_path, monkeypatch, planes: int, capsys
):
    real, seen = api.restore, []

    def interrupted(*args, **kwargs):
        for event in real(*args, **kwargs):
            yield event
            seen.append(isinstance(event, PlaneRestored))
            if seen[-1] and sum(seen) == planes:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(api, "restore", interrupted)
    monkeypatch.setattr(demo, "_show", lambda *_: pytest.fail("napari was opened"))
    config = TINY.model_copy(update={"steps": 1})
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        results = demo.run_demo(tmp_path / "demo", config, progress, stop, show=True)
        assert stop.requested
    assert len(results) == 1 + planes // 10
    names = {p.name for p in (tmp_path / "demo").glob("*_hdn*")}
    if planes == 1:
        assert names == {"cells-with-stripes_hdn-mean-partial.ome.tif"}
    else:
        assert "cells-with-stripes_hdn-without-1-2-std-partial.ome.tif" in names
    assert "Press Ctrl-C again" in capsys.readouterr().out


def test_a_demo_whose_training_was_stopped_is_restored_all_the_same(tmp_path, monkeypatch):
    real = api.train
    monkeypatch.setattr(
        api, "train", lambda *a, **k: _interrupted_after(real(*a, **k), TrainingStep, 1)
    )
    with Progress() as progress, stop_on_interrupt(progress) as stop:
        results = demo.run_demo(tmp_path / "demo", TINY, progress, stop, show=False)
    assert stop.requested
    assert len(results) == 3


def test_display_is_found_by_its_variables(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not demo.has_display()
    monkeypatch.setenv("DISPLAY", ":1")
    assert demo.has_display()


def test_progress_rewrites_its_line_in_a_terminal_only():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(stream) as progress:
            progress.update(0.25, "step 1", 125)
            progress.update(0.5, "step 2", 8)
            progress.say("done")
    assert terminal.getvalue().count("\r") == 3
    assert "\r█████░░░░░░░░░░░░░░░  25%  2:05 min left  step 1\x1b[K" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[Kdone\n")
    assert file.getvalue() == " 25%  2:05 min left  step 1\ndone\n"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00 min"), (12_000, "3 h 20 min")]
)
def test_duration(seconds: float, said: str):
    assert duration(seconds) == said


def test_python_dash_m_is_the_same():
    command = [sys.executable, "-m", "napari_hdn", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    import napari_hdn

    assert done.stdout.strip() == napari_hdn.__version__
    command = [sys.executable, "-m", "napari_hdn", "train", "missing.tif"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "napari-hdn: There is no file or folder missing.tif.\n"
