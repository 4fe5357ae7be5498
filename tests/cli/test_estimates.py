"""The first line before the work, and alone."""

from pathlib import Path

import numpy as np
import tifffile

from napari_hdn import api
from napari_hdn.api import Estimate
from napari_hdn.cli import main
from napari_hdn.core.estimates.words import size


def test_restore_tells_first_what_it_will_take(model: Path, tmp_path: Path, capsys):
    command = ["restore", str(model), str(model.parent / "a.tif"), "--out", str(tmp_path / "out")]
    assert main([*command, "--estimate"]) == 0
    only = capsys.readouterr().out
    assert only.startswith("A few seconds, ") and "MB of memory, 61 kB on disk." in only
    assert not (tmp_path / "out").exists() and only.count("\n") == 1
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A few seconds, ") and lines[-1].startswith("Wrote ")


def test_workers_and_compressed_files(model: Path, tmp_path: Path, capsys):
    tifffile.imwrite(tmp_path / "wide.tif", np.zeros((2, 32, 1040), np.uint16))
    command = ["restore", str(model), str(tmp_path / "wide.tif"), "--out", str(tmp_path / "out")]
    pixels = 2 * 32 * 1040
    for more, told in (
        (["--format", "ome-zarr"], 4 * pixels * 4 / 3),  # with a pyramid
        (["--format", "ome-zarr", "--no-pyramid"], 4 * pixels),
        (["--workers", "1", "--dtype", "input"], 2 * pixels * 4 / 3),
    ):
        assert main([*command, *more, "--estimate"]) == 0
        assert f"memory, at most {size(told)} on disk." in capsys.readouterr().out
    assert main([*command, "--scheduler", "tcp://nowhere:1", "--estimate"]) == 0
    assert "on disk by one process like this; the workers" in capsys.readouterr().out


def test_of_many_files_some_tell_of_all(model: Path, tmp_path: Path, monkeypatch):
    for i in range(12):
        tifffile.imwrite(tmp_path / f"{i}.tif", np.zeros((64, 48), np.uint16))
    monkeypatch.setattr("napari_hdn.api.estimating.MOST_FILES", 5)
    opened = []

    def estimated(model, stacks, config, **kwargs):
        opened.append(len(stacks))
        return Estimate(8.0, 1e6, 4000.0)

    monkeypatch.setattr("napari_hdn.api.estimating.estimate_restoration", estimated)
    trained, config = api.load_model(model), api.RestorationConfig()
    told = api.estimate_files(trained, [tmp_path], config, tmp_path / "out")
    assert opened == [4] and told == Estimate(24.0, 1e6, 12_000.0)


def test_train_tells_steps_and_memory(tiny: str, model: Path, tmp_path: Path, capsys):
    command = ["train", str(model.parent / "a.tif"), "--config", tiny, "--noise", "sigma=6"]
    assert main([*command, "--out", str(tmp_path / "new"), "--estimate"]) == 0
    told = capsys.readouterr().out
    steps = api.load_model(model).config.steps
    assert f", {steps} steps, " in told and "of memory" in told
    assert not (tmp_path / "new").exists()


def test_a_disk_that_is_too_small_is_told(model: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(
        "napari_hdn.api.estimating.shutil.disk_usage", lambda p: type("Usage", (), {"free": 10})
    )
    images = str(model.parent / "a.tif")
    assert main(["restore", str(model), images, "--out", str(tmp_path), "--estimate"]) == 0
    assert (
        "Warning: The results need up to 61 kB on disk, but 0 kB are free"
        in capsys.readouterr().out
    )


def test_what_cannot_be_estimated_is_the_jobs_to_tell(model: Path, tmp_path: Path, capsys):
    command = ["restore", str(model), str(tmp_path / "none.tif"), "--out", str(tmp_path)]
    for more in ([], ["--estimate"]):
        assert main([*command, *more]) == 2
        assert "none.tif" in capsys.readouterr().err
