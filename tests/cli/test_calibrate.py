"""The command calibrate, as its user runs it."""

import errno
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.cli import main
from simulated import counts, scene


@pytest.fixture
def repeats(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frames = counts(rng, scene(rng, 128), frames=12).round().astype(np.uint16)
    tifffile.imwrite(tmp_path / "repeats.tif", frames, photometric="minisblack")
    return tmp_path / "repeats.tif"


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    frames = np.concatenate([counts(rng, scene(rng, 128)) for _ in range(3)])
    frames += np.repeat(rng.normal(0, 25, (3, 128, 16)), 8, axis=2)
    path = tmp_path / "striped.tif"
    tifffile.imwrite(path, frames.astype(np.float32), photometric="minisblack")
    return path


def test_it_writes_a_noise_model_and_says_what_to_think_of_it(repeats, tmp_path, capsys):
    out = tmp_path / "noise.json"
    assert main(["calibrate", str(repeats), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Source: repeats (the same scene repeats" in printed
    assert "✓ coverage" in printed and "✓ drift" in printed and f"Wrote {out}" in printed
    assert all(len(line) <= 100 for line in printed.splitlines() if not line.startswith("Wrote"))
    calibration = api.load_calibration(out)
    assert calibration.source == "repeats" and calibration.noise_model.kind == "poisson_gaussian"
    assert calibration.noise_model.gain[0] == pytest.approx(2, rel=0.05)


def test_without_out_it_is_named_after_the_image(repeats, capsys):
    for name in ("repeats.json", "repeats-2.json"):
        assert main(["calibrate", str(repeats), "--source", "images"]) == 0
        assert (api.noise_models_folder() / name).is_file()
    assert next(p.name for p in api.list_noise_models()) == "repeats-2.json"


def test_every_choice_arrives(repeats, tmp_path):
    out = tmp_path / "n.json"
    options = ["--source", "repeats", "--model", "gmm", "--components", "2", "--coefficients", "2"]
    options += ["--frames", "exclude", "--seed", "3", "--background", "0:32,0:40"]
    assert main(["calibrate", str(repeats), *options, "--out", str(out)]) == 0
    config = api.load_calibration(out).config
    assert (config.components, config.coefficients, config.frames, config.seed) == (
        2,
        2,
        "exclude",
        3,
    )
    assert config.background == ((0, 32, 0, 40),)
    assert json.loads(out.read_text())["kind"] == "gmm"


def test_clean_dark_and_other_images(repeats, tmp_path, capsys):
    frames = tifffile.imread(repeats).astype(np.float32)
    tifffile.imwrite(tmp_path / "noisy.tif", frames[0])
    tifffile.imwrite(tmp_path / "clean.tif", frames[1:].mean(axis=0))
    rng = np.random.default_rng(2)
    dark = rng.normal(100, 3, (4, 128, 128)).astype(np.float32)
    tifffile.imwrite(tmp_path / "dark.tif", dark, photometric="minisblack")
    flat = counts(rng, 40 + np.linspace(0, 60, 128)[None] + np.zeros((128, 128)), frames=8)
    tifffile.imwrite(tmp_path / "flat.tif", flat, photometric="minisblack")
    noisy, clean = str(tmp_path / "noisy.tif"), str(tmp_path / "clean.tif")
    assert main(["calibrate", noisy, "--clean", clean, "--out", str(tmp_path / "a.json")]) == 0
    assert "Source: pair" in capsys.readouterr().out
    command = ["calibrate", str(tmp_path / "flat.tif"), "--dark", str(tmp_path / "dark.tif")]
    assert main([*command, "--for", noisy, "--out", str(tmp_path / "b.json")]) == 0
    printed = capsys.readouterr().out
    words = " ".join(printed.split())
    assert "Source: flat field" in words and re.search(r"offset (100|99\.9\d) counts", words)


def test_a_file_is_judged_on_these_images(repeats, tmp_path, capsys):
    small = {"schema_version": 1, "kind": "gaussian", "sigma": 2.0}
    (tmp_path / "small.json").write_text(json.dumps(small))
    command = ["calibrate", str(repeats), "--file", str(tmp_path / "small.json")]
    assert main([*command, "--out", str(tmp_path / "n.json")]) == 0
    assert "✗ fit" in capsys.readouterr().out


def test_training_with_a_failed_noise_model_warns(striped, tiny, tmp_path, capsys, monkeypatch):
    out = tmp_path / "n.json"
    assert main(["calibrate", str(striped), "--out", str(out)]) == 0
    assert "✗ structure" in capsys.readouterr().out
    train = ["train", str(striped), "--config", tiny, "--steps", "1", "--noise", str(out)]
    assert main([*train, "--out", str(tmp_path / "m")]) == 0
    assert "failed 1 of its checks" in capsys.readouterr().out.replace("\n", " ")
    # at a terminal the user is asked
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert main([*train, "--out", str(tmp_path / "no")]) == 2
    assert len(asked) == 1 and not (tmp_path / "no").exists()
    assert main([*train, "--out", str(tmp_path / "yes"), "--anyway"]) == 0
    assert len(asked) == 1


def test_the_calibration_stays_with_the_trained_model(repeats, tiny, tmp_path):
    out = tmp_path / "n.json"
    assert main(["calibrate", str(repeats), "--out", str(out)]) == 0
    train = ["train", str(repeats), "--config", tiny, "--steps", "2", "--noise", str(out)]
    assert main([*train, "--bootstrap", "--out", str(tmp_path / "m")]) == 0
    model = api.load_model(tmp_path / "m")
    assert model.noise_model.calibration["source"] == "repeats" and model.config.noise.bootstrap
    assert model.summary.residuals is not None


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(repeats, tmp_path, capsys):
    (tmp_path / "taken").write_bytes(b"a file")
    out = tmp_path / "taken" / "n.json"
    assert main(["calibrate", str(repeats), "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert "n.json could not be written: Not a directory" in told.err and "coverage" not in told.out


def test_a_disk_that_is_full_at_the_end_loses_no_noise_model(
    repeats, tmp_path, monkeypatch, capsys
):
    real = Path.write_bytes

    def full(path, content):
        if path.parent == tmp_path / "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["calibrate", str(repeats), "--out", str(tmp_path / "full" / "n.json")]) == 2
    told = capsys.readouterr().err
    kept = api.noise_models_folder() / "n.json"
    assert "the disk is full; make room" in told and f"is in {kept} instead" in told
    assert api.load_calibration(kept).noise_model


def test_stopping_leaves_nothing(repeats, tmp_path, monkeypatch):
    def stopped(*_, stop, **__):
        stop.request()
        from napari_hdn.core.errors import StoppedEarly

        raise StoppedEarly("Stopped")
        yield

    monkeypatch.setattr(api, "calibrate", stopped)
    assert main(["calibrate", str(repeats), "--out", str(tmp_path / "n.json")]) == 130
    assert not (tmp_path / "n.json").exists()
