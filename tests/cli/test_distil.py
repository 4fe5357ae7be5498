"""The command distil, as its user runs it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from commands import interrupted_after
from napari_hdn import api
from napari_hdn.api import DistillationProgress
from napari_hdn.cli import main


@pytest.fixture
def teacher(model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model, tmp_path / "teacher")


@pytest.fixture
def images(tmp_path: Path) -> str:
    counts = np.random.default_rng(3).poisson(40, (5, 80, 72)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", counts)
    return str(tmp_path / "a.tif")


def test_a_direct_network_lies_with_its_model_and_restores(teacher, images, capsys):
    command = ["distil", str(teacher), images, "--steps", "3", "--axes", "TYX"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "Taught after 3 steps" in said and "dB lost (by an antithetic pair of the model" in said
    assert "It gives no uncertainty." in said and "pieces held out: 1" in said
    assert main([*command, "--median", "--off", "1"]) == 0
    assert main(command) == 0
    place = teacher / "direct"
    assert sorted(os.listdir(place)) == ["mean", "mean-2", "median-without-1"]
    model = api.load_model(teacher)
    newest = api.choose_direct(model, ())
    assert newest.folder == place / "mean-2"
    assert api.choose_direct(model, (1,), "median").config.samples == 2
    (stack,) = api.open_images([images], axes="TYX")
    events = api.restore_direct(model, newest, stack, api.RestorationConfig(device="cpu"))
    planes = [e.planes["mean"] for e in events if isinstance(e, api.PlaneRestored)]
    assert len(planes) == 5 and all(np.isfinite(p).all() for p in planes)
    # three steps have taken next to nothing away yet
    np.testing.assert_allclose(planes[2], np.asarray(stack.array[2]), atol=8)


def test_another_folder_and_a_renamed_model(teacher, images, tmp_path):
    out = tmp_path / "elsewhere"
    assert main(["distil", str(teacher), images, "--steps", "1", "--out", str(out)]) == 0
    assert sorted(os.listdir(out)) == ["direct.json", "direct.safetensors", "recipe.json"]
    assert not (teacher / "direct").exists()
    teacher.rename(tmp_path / "renamed")
    model = api.load_model(tmp_path / "renamed")
    (stack,) = api.open_images([images])
    student = api.load_direct(out)
    *_, finished = api.restore_direct(model, student, stack, api.RestorationConfig(device="cpu"))
    assert finished.planes == 5
    before = (out / "direct.json").read_bytes()
    assert main(["distil", str(teacher.parent / "renamed"), images, "--out", str(out)]) == 2
    assert (out / "direct.json").read_bytes() == before


def test_ctrl_c_keeps_what_has_learned(teacher, images, monkeypatch, capsys):
    real = api.distil
    monkeypatch.setattr(
        api, "distil", lambda *a, **k: interrupted_after(real(*a, **k), DistillationProgress, 12)
    )
    assert main(["distil", str(teacher), images, "--steps", "100000"]) == 130
    assert "Stopped after" in capsys.readouterr().out
    made = json.loads((teacher / "direct" / "mean" / "direct.json").read_text())
    assert made["summary"]["stopped"] and made["summary"]["steps"] >= 1


def test_mistakes_leave_no_folder_behind(teacher, images, tmp_path, capsys):
    small = np.random.default_rng(0).poisson(40, (20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "small.tif", small)
    for command, message in [
        ([str(tmp_path / "small.tif")], "less than a patch of 64 x 64"),
        ([images, "--off", "3"], "level 3 has to stay on"),
        ([images, "--steps", "3", "--minutes", "2"], "either minutes or steps"),
        ([images, "--off", "one"], "takes level numbers"),
    ]:
        assert main(["distil", str(teacher), *command]) == 2
        assert message in capsys.readouterr().err
    assert not (teacher / "direct").exists() or os.listdir(teacher / "direct") == []
