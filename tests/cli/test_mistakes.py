"""What bad input gets: one line and exit code 2."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from commands import TINY
from napari_hdn import api
from napari_hdn.api import NetworkConfig
from napari_hdn.cli import jobs, main
from napari_hdn.core.errors import OutputError

MISTAKES = [
    ("train", "No image was named"),
    ("train missing.tif", "no file or folder missing.tif"),
    ("train empty", "has no images"),
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
    ("train good.tif --config TINY --deactivate 3", "Level 3 is the top"),
    ("train good.tif --config TINY --deactivate 0", "Level 0 cannot be switched off"),
    ("train good.tif --config TINY --deactivate 1,9", "Level 9 cannot be switched off"),
    ("train good.tif --config TINY --deactivate one", "--deactivate takes level numbers"),
    ("train good.tif --config flat.json --deactivate 1", "one level only"),
    ("train good.tif --rule prior", "say with --deactivate which levels"),
    ("train good.tif --deactivate 1 --rule both", "both"),
    ("train good.tif --deactivate 1 --scratch", "--scratch says how a variant begins"),
    ("train good.tif --deactivate 1 --whole", "--whole says what of a trained model"),
    ("train good.tif --from missing --deactivate 1", "no model folder missing"),
    ("train good.tif --from empty --deactivate 1", "config.json is missing"),
    ("train good.tif --from newer --deactivate 1", "written by a newer napari-hdn"),
    ("train good.tif --from cutweights --deactivate 1", "model cutweights is damaged"),
    ("train good.tif --from MODEL --deactivate 3", "Level 3 is the top"),
    ("train good.tif --from MODEL --deactivate 9", "Level 9 cannot be switched off"),
    ("train good.tif --from MODEL --deactivate x", "--deactivate takes level numbers"),
    ("train good.tif --from MODEL --deactivate 1 --noise auto", "leave out --noise"),
    ("train good.tif --from MODEL --deactivate 1 --steps 1 --minutes 1", "not both"),
    ("train good.tif --from MODEL --deactivate 1 --channel 4", "channel 4 does not exist"),
    (
        "train two.tif --axes TCYX --channel 1 --from one_channel --deactivate 1",
        "on channel 0, and",
    ),
    ("train good.tif --from MODEL --deactivate 1 --axes YX", "3 axes"),
    ("train tiny.tif --from MODEL --deactivate 1 --out m", "12 x 12 pixels, less than a patch"),
    ("train nan.tif --from MODEL --deactivate 1", "NaN"),
    ("train missing.tif --from MODEL --deactivate 1", "no file or folder"),
    ("train good.tif --from MODEL --deactivate 1 --out .", "not empty"),
    ("train good.tif --from MODEL --resume --out MODEL", "not both"),
    ("train good.tif --resume --out MODEL --deactivate 1", "leave out --deactivate"),
    ("calibrate", "No image was named"),
    ("calibrate missing.tif --out n.json", "no file or folder missing.tif"),
    ("calibrate nan.tif --out n.json", "NaN"),
    ("calibrate constant.tif --out n.json", "constant"),
    ("calibrate saturated.tif --out n.json", "saturated at 255"),
    ("calibrate one.tif --source repeats --out n.json", "two frames or more along T or S; one.tif"),
    ("calibrate one.tif small.tif --source repeats --out n.json", "must have the same shape"),
    ("calibrate one.tif --source series --out n.json", "two frames or more"),
    ("calibrate moving.tif --source repeats --out n.json", "of 4 frames of moving.tif only 0"),
    ("calibrate good.tif --source pair --out n.json", "Choose the clean image"),
    ("calibrate one.tif --clean small.tif --out n.json", "20 x 20 pixels, one.tif 96 x 80"),
    ("calibrate good.tif --clean empty --out n.json", "has no images"),
    ("calibrate one.tif --source images --model gmm --out n.json", "counts whose signal is known"),
    ("calibrate good.tif --source file --out n.json", "Choose the noise model file"),
    ("calibrate good.tif --file missing.json --out n.json", "missing.json cannot be read"),
    ("calibrate good.tif --file rgb.tif --out n.json", "not a noise model"),
    ("calibrate good.tif --file keys.npz --out n.json", "min_sigma"),
    ("calibrate good.tif --file objects.npz --out n.json", "objects.npz"),
    ("calibrate good.tif --background 1,2 --out n.json", "--background takes"),
    ("calibrate good.tif --background 0:90,60:99 --out n.json", "outside the image"),
    ("calibrate good.tif --out good.tif", "ends in neither"),
    ("calibrate good.tif --out keys.npz --model gmm", "exists already"),
    ("calibrate one.tif --out n.npz", "add --model gmm"),
    ("calibrate small.tif --out n.json", "could not be estimated"),
    ("train good.tif --noise keys.npz --out m", "min_sigma"),
    ("train good.tif --noise objects.npz --out m", "objects.npz"),
    ("restore missing good.tif --out r", "no model folder missing"),
    ("restore empty good.tif --out r", "config.json is missing"),
    ("restore newer good.tif --out r", "written by a newer napari-hdn (9.9"),
    ("restore noweights good.tif --out r", "weights.safetensors is missing"),
    ("restore cutweights good.tif --out r", "weights.safetensors of model cutweights is damaged"),
    ("restore badconfig good.tif --out r", "config.json of model badconfig is damaged"),
    ("restore badnoise good.tif --out r", "noise_model.json of model badnoise is damaged"),
    ("restore MODEL good.tif", "--out"),
    ("restore MODEL missing.tif --out r", "no file or folder"),
    ("restore MODEL nan.tif --out r", "NaN"),
    ("restore MODEL good.tif --out good.tif", "is a file"),
    ("restore MODEL good.tif --out r --std --samples 2", "at least 3 samples"),
    ("restore MODEL good.tif --out r --deactivate 3", "levels 1"),
    ("restore MODEL good.tif --out r --deactivate 0", "levels 1"),
    ("restore MODEL good.tif --out r --deactivate a", "--deactivate takes"),
    ("restore MODEL good.tif --out r --off a", "--deactivate takes"),
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
    tifffile.imwrite("one.tif", good[0])
    moving = np.random.default_rng(1).poisson(40, (4, 12, 10)).repeat(8, 1).repeat(8, 2)
    tifffile.imwrite("moving.tif", (10 * moving).astype(np.uint16), photometric="minisblack")
    saturated = np.minimum(good.astype(int) * 8, 255).astype(np.uint8)
    tifffile.imwrite("saturated.tif", saturated, photometric="minisblack")
    np.savez("keys.npz", trained_weight=np.zeros((9, 2)), min_signal=0, max_signal=9)
    np.savez("objects.npz", trained_weight=np.array([{}, 1], dtype=object), min_signal=0)
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
    tifffile.imwrite("tiny.tif", good[0, :12, :12])
    tifffile.imwrite("two.tif", np.stack([good, good], axis=1), photometric="minisblack")
    one_channel = json.loads((model / "config.json").read_text())
    one_channel["training"]["channel"] = 0
    shutil.copytree(model, "one_channel")
    Path("one_channel/config.json").write_text(json.dumps(one_channel))
    flat = TINY.model_copy(update={"network": NetworkConfig(levels=1, top_prior="standard")})
    Path("flat.json").write_text(flat.model_dump_json())
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
        timeout=240,
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
