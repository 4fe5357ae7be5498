"""The command trust, as its user runs it."""

import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.api import TrustProgress
from napari_hdn.cli import main
from napari_hdn.io.metadata import ImageMetadata

SIZE = {"Y": 0.1, "X": 0.1}


@pytest.fixture(autouse=True)
def _small_control(monkeypatch):
    monkeypatch.setattr("napari_hdn.core.trust.control.SIDE_PX", 64)


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :80]
    signal = 40 + 20 * np.sin(y / 9) * np.cos(x / 7)
    return rng.poisson(signal, (4, 96, 80)).astype(np.uint16)


@pytest.fixture
def cells(tmp_path, frames):
    api.write_ome_tiff(tmp_path / "cells.ome.tif", frames, "TYX", metadata=ImageMetadata(SIZE))
    return str(tmp_path / "cells.ome.tif")


def names(number=""):
    endings = {"report": ".html", "numbers": ".json", "map": ".ome.tif", "parts": ".ome.tif"}
    endings["recipe"] = ".json"
    return {f"cells_hdn-trust-{n}{number}{e}" for n, e in endings.items()}


def test_what_is_written_is_what_the_api_finds(model, frames, cells, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    command = ["trust", str(model), cells, "--out", str(out), "--samples", "4", "--index", "2"]
    assert main([*command, "--repeats", cells, "--deactivate", "1", "--seed", "3"]) == 0
    assert set(os.listdir(out)) == names()
    *_, finished = api.judge_restoration(
        api.load_model(model),
        frames[2],
        repeats=api.ImageStack(frames, "TYX", name="cells.ome.tif"),
        samples=4,
        off=(1,),
        seed=3,
        name="cells.ome.tif",
    )
    expected = finished.judgement
    (trust,) = api.open_images([out / "cells_hdn-trust-map.ome.tif"])
    np.testing.assert_array_equal(trust.array, expected.trust.trust)
    assert trust.pixel_size_um == pytest.approx(SIZE)
    numbers = json.loads((out / "cells_hdn-trust-numbers.json").read_text())
    assert numbers["plane"] == {"T": 2} and numbers["levels_off"] == [1]
    assert numbers["calibration"] == json.loads(json.dumps(expected.spread.to_json()))
    told = " ".join(capsys.readouterr().out.split())
    assert " ".join(expected.spread.in_words().split()) in told
    assert told.count("Wrote ") == 5
    assert "T 2" in (out / "cells_hdn-trust-report.html").read_text(encoding="utf-8")
    assert main(command) == 0
    assert set(os.listdir(out)) == names() | names("-2")


def test_a_second_frame_and_a_region(model, frames, tmp_path, capsys):
    for k in (0, 1):
        tifffile.imwrite(tmp_path / f"{'ab'[k]}.tif", frames[k], photometric="minisblack")
    out = tmp_path / "out"
    command = ["trust", str(model), str(tmp_path / "a.tif"), "--samples", "4", "--out", str(out)]
    options = ["--region", "16:80,8:72", "--second-frame", str(tmp_path / "b.tif")]
    assert main([*command, *options]) == 0
    numbers = json.loads((out / "a_hdn-trust-numbers.json").read_text())
    assert numbers["region"] == [16, 80, 8, 72] and numbers["shape"] == [64, 64]
    assert numbers["calibration"]["source"] == "second_frame"


def test_of_a_large_plane_the_middle_is_judged(model, tmp_path, monkeypatch, capsys, frames):
    monkeypatch.setattr("napari_hdn.cli.trust.MOST_PX", 64)
    tifffile.imwrite(tmp_path / "a.tif", frames[0], photometric="minisblack")
    command = ["trust", str(model), str(tmp_path / "a.tif"), "--out", str(tmp_path / "out")]
    assert main([*command, "--samples", "4"]) == 0
    assert "judging the middle 64 x 64 pixels" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "out" / "a_hdn-trust-numbers.json").read_text())
    assert numbers["region"] == [16, 80, 8, 72]


def test_ctrl_c_keeps_what_is_done(model, cells, tmp_path, monkeypatch, capsys):
    judge = api.judge_restoration

    def interrupted(*args, **kwargs):
        for event in judge(*args, **kwargs):
            yield event
            if isinstance(event, TrustProgress) and "pure noise" in event.doing:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(api, "judge_restoration", interrupted)
    out = tmp_path / "out"
    command = ["trust", str(model), cells, "--samples", "12", "--out", str(out)]
    assert main(command) == 130
    assert set(os.listdir(out)) == names()
    assert "not done: control" in capsys.readouterr().out
    numbers = json.loads((out / "cells_hdn-trust-numbers.json").read_text())
    assert numbers["not_done"] == ["control"] and numbers["prior"] is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--samples", "1"], "1 sample cannot tell"),
        (["--repeats", "CELLS", "--second-frame", "CELLS"], "not both"),
        (["--second-frame", "CELLS"], "has 4. Several frames of one scene are --repeats"),
        (["--repeats", "ONE"], "1 frame"),
        (["--second-frame", "SMALL"], "is 40 x 40 pixels"),
        (["--region", "0:20,0:20"], "too few to judge"),
        (["--deactivate", "3"], "has to stay on"),
        (["--seed", "-1"], "--seed takes"),
    ],
)
def test_mistakes_are_told_in_a_line(model, cells, frames, tmp_path, capsys, options, words):
    tifffile.imwrite(tmp_path / "one.tif", frames[0], photometric="minisblack")
    tifffile.imwrite(tmp_path / "small.tif", frames[0, :40, :40], photometric="minisblack")
    files = {"CELLS": cells, "ONE": str(tmp_path / "one.tif"), "SMALL": str(tmp_path / "small.tif")}
    options = [files.get(o, o) for o in options]
    command = ["trust", str(model), cells, "--index", "0", "--out", str(tmp_path / "out")]
    assert main([*command, *options]) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def no_judging(monkeypatch):
    """Fails where the work begins."""

    def judge(*args, **kwargs):
        raise AssertionError("judged before it was known whether it can be written")

    monkeypatch.setattr(api, "judge_restoration", judge)


@pytest.mark.parametrize("out", ["/proc/x", "FILE/deep"])
def test_where_nothing_can_be_written_nothing_is_judged(
    model, cells, tmp_path, capsys, out, no_judging
):
    (tmp_path / "file").write_text("kept")
    out = out.replace("FILE", str(tmp_path / "file"))
    assert main(["trust", str(model), cells, "--index", "0", "--out", out]) != 0
    told = capsys.readouterr().err
    assert f"A trust report cannot be saved to {out}: " in told and "another folder" in told
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk_is_told_before_judging(
    model, cells, tmp_path, capsys, monkeypatch, no_judging
):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    out = tmp_path / "new" / "out"
    assert main(["trust", str(model), cells, "--index", "0", "--out", str(out)]) != 0
    assert "only 1.00 MB are free" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_plane_is_refused(model, tmp_path, capsys, value):
    flat = np.full((96, 96), value, np.uint16)
    tifffile.imwrite(tmp_path / "flat.tif", flat, photometric="minisblack")
    command = ["trust", str(model), str(tmp_path / "flat.tif"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert f"are {value} counts" in capsys.readouterr().err
