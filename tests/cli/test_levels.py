"""The command levels, as its user runs it."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from commands import interrupted_after
from napari_hdn import api
from napari_hdn.api import InspectionProgress
from napari_hdn.cli import level_report, main
from napari_hdn.cli.inspection import DRAWN_PX
from napari_hdn.core.artefacts import structure_of_background
from napari_hdn.core.levels.advice import Advice
from napari_hdn.core.levels.decomposition import Decomposition
from napari_hdn.core.levels.inspection import Inspection
from napari_hdn.core.levels.scores import LevelScores
from napari_hdn.io.metadata import ImageMetadata

SIZE = {"Y": 0.1, "X": 0.1}
FILES = {
    "contributions": ".ome.tif",
    "mean": ".ome.tif",
    "samples": ".png",
    "scores": ".json",
    "report": ".txt",
    "recipe": ".json",
}


@pytest.fixture
def striped() -> np.ndarray:
    """(T, Y, X) counts with lines along x."""
    rng = np.random.default_rng(0)
    lines = np.repeat(rng.normal(0, 12, (3, 96, 10)), 8, axis=2)
    return np.clip(rng.poisson(40, (3, 96, 80)) + lines, 0, None).astype(np.uint16)


@pytest.fixture
def striped_tif(tmp_path: Path, striped: np.ndarray) -> Path:
    api.write_ome_tiff(tmp_path / "cells.ome.tif", striped, "TYX", metadata=ImageMetadata(SIZE))
    return tmp_path / "cells.ome.tif"


def names(stem: str = "cells", number: str = "") -> set[str]:
    return {f"{stem}_hdn-levels-{name}{number}{end}" for name, end in FILES.items()}


def found(model: Path, counts: np.ndarray, boxes=None) -> Inspection:
    *_, finished = api.inspect_levels(api.load_model(model), counts, boxes=boxes)
    return finished.inspection


def test_what_is_written_is_what_the_api_finds(model, striped, striped_tif, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    command = ["levels", str(model), str(striped_tif), "--out", str(out), "--samples", "2"]
    assert main(command) == 0
    assert set(os.listdir(out)) == names()
    expected = found(model, striped[0])
    parts = expected.decomposition
    written, mean = api.open_images(
        [out / f"cells_hdn-levels-{name}.ome.tif" for name in ("contributions", "mean")]
    )
    assert (written.axes, written.array.shape) == ("CYX", (4, 96, 80))
    assert written.pixel_size_um == mean.pixel_size_um == pytest.approx(SIZE)
    np.testing.assert_array_equal(written.array[:3], parts.contributions)
    np.testing.assert_array_equal(written.array[3], parts.remainder)
    restored = api.load_model(model).restore(striped[0], "YX", samples=1).mean
    np.testing.assert_array_equal(mean.array, parts.image)
    np.testing.assert_allclose(mean.array, restored, atol=0.02 * float(np.ptp(restored)))
    scores = json.loads((out / "cells_hdn-levels-scores.json").read_text())
    assert {key: scores[key] for key in expected.to_json()} == json.loads(
        json.dumps(expected.to_json())
    )
    assert scores["image"] == "cells.ome.tif" and scores["plane"] == {"T": 0}
    assert scores["region"] == [0, 96, 0, 80] and scores["axes"] == "TYX"
    assert scores["pixel_size_um"] == pytest.approx(SIZE)
    report = (out / "cells_hdn-levels-report.txt").read_text(encoding="utf-8")
    told = capsys.readouterr().out
    assert report in told
    assert "Looking at cells.ome.tif, T 0 of 3 T (--index)" in told
    assert told.count("Wrote ") == 6
    assert main(command) == 0
    assert set(os.listdir(out)) == names() | names(number="-2")


def test_the_grid_has_a_row_a_level_and_both_origins(model, striped, striped_tif, tmp_path):
    out = tmp_path / "out"
    options = ["--out", str(out), "--samples", "2", "--seed", "3", "--index", "1"]
    assert main(["levels", str(model), str(striped_tif), *options]) == 0
    trained = api.load_model(model)
    groups = {}
    for origin, title in (("image", "from this image"), ("prior", "from the prior")):
        *_, images = api.draw_levels(trained, striped[1], origin=origin, samples=2, seed=3)
        groups[title] = images[::-1]
    expected = api.grid_png(groups, ["level 3", "level 2", "level 1"])
    assert (out / "cells_hdn-levels-samples.png").read_bytes() == expected
    with Image.open(out / "cells_hdn-levels-samples.png") as picture:
        assert picture.width > 4 * 2 * 80 and picture.height > 3 * 2 * 96


def test_a_region_with_its_background(model, striped, striped_tif, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--region", "16:80,8:72", "--background", "20:60,10:50", "--index", "2"]
    command = ["levels", str(model), str(striped_tif), *options, "--out", str(out)]
    assert main([*command, "--samples", "1"]) == 0
    expected = found(model, striped[2, 16:80, 8:72], [(4, 44, 2, 42)])
    contributions = tifffile.imread(out / "cells_hdn-levels-contributions.ome.tif")
    np.testing.assert_array_equal(contributions[:3], expected.decomposition.contributions)
    scores = json.loads((out / "cells_hdn-levels-scores.json").read_text())
    assert scores["noise"]["source"] == "region"
    assert scores["levels"] == json.loads(json.dumps(expected.to_json()["levels"]))
    assert scores["region"] == [16, 80, 8, 72] and scores["plane"] == {"T": 2}
    assert scores["background"] == [[20, 60, 10, 50]]
    assert "cells.ome.tif, T 2, y 16 to 80, x 8 to 72: 64 x 64 px" in capsys.readouterr().out


def test_one_channel_of_several(model, striped, tmp_path):
    image = np.stack([striped, striped[::-1]], axis=1)  # TCYX
    tifffile.imwrite(tmp_path / "c.ome.tif", image, metadata={"axes": "TCYX"})
    out = tmp_path / "out"
    command = ["levels", str(model), str(tmp_path / "c.ome.tif"), "--out", str(out)]
    assert main([*command, "--channel", "1", "--index", "1", "--samples", "1"]) == 0
    contributions = tifffile.imread(out / "c_hdn-levels-contributions.ome.tif")
    expected = found(model, striped[1]).decomposition
    np.testing.assert_array_equal(contributions[:3], expected.contributions)
    scores = json.loads((out / "c_hdn-levels-scores.json").read_text())
    assert scores["channel"] == 1 and scores["plane"] == {"T": 1}


def test_large_planes_are_drawn_in_their_middle(model, tmp_path, monkeypatch):
    asked = []

    def drawn(_, counts, **choices):
        asked.append((counts, choices))
        yield np.zeros((3, choices["samples"], 32, 32), np.float32)

    monkeypatch.setattr(api, "draw_levels", drawn)
    image = np.random.default_rng(0).poisson(40, (64, 601)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "wide.tif", image)
    command = ["levels", str(model), str(tmp_path / "wide.tif"), "--out", str(tmp_path)]
    assert main(command) == 0
    assert [c["origin"] for _, c in asked] == ["image", "prior"]
    for counts, choices in asked:
        assert choices["samples"] == 6 and counts.shape == (64, DRAWN_PX)
        np.testing.assert_array_equal(counts, image[:, 44 : 44 + DRAWN_PX])


def test_a_stop_before_the_levels_are_known_writes_nothing(
    model, striped_tif, tmp_path, monkeypatch, capsys
):
    real = api.inspect_levels
    monkeypatch.setattr(
        api,
        "inspect_levels",
        lambda *a, **k: interrupted_after(real(*a, **k), InspectionProgress, 2),
    )
    out = tmp_path / "out"
    assert main(["levels", str(model), str(striped_tif), "--out", str(out)]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not out.exists()


def test_a_stop_while_drawing_keeps_what_is_whole(
    model, striped_tif, tmp_path, monkeypatch, capsys
):
    real = api.draw_levels
    monkeypatch.setattr(
        api, "draw_levels", lambda *a, **k: interrupted_after(real(*a, **k), float, 2)
    )
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "out"
    assert main(["levels", str(model), str(striped_tif), "--out", str(out)]) == 130
    assert set(os.listdir(out)) == names() - {"cells_hdn-levels-samples.png"}
    assert "cells_hdn-levels-samples.png was not drawn" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_aborts(model, striped_tif, tmp_path, monkeypatch, capsys):
    def twice(*_, **__):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield

    monkeypatch.setattr(api, "inspect_levels", twice)
    out = tmp_path / "out"
    assert main(["levels", str(model), str(striped_tif), "--out", str(out)]) == 130
    assert "aborted" in capsys.readouterr().err
    assert not out.exists()


def test_other_intensities_get_a_warning(model, striped, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "bright.tif", striped[0] * 100)
    command = ["levels", str(model), str(tmp_path / "bright.tif"), "--out", str(tmp_path)]
    assert main([*command, "--samples", "1"]) == 0
    assert "Warning: bright.tif runs from" in capsys.readouterr().out


def score(level, **fields):
    numbers = {"share": 0.25, "kl": 0.0123, "rms": 3.0, "dark": 0.1, "everywhere": 0.1, "s1": 0.05,
               "s2": 0.1, "s3": -0.4, "verdict": "structure"}  # fmt: skip
    return LevelScores(level, **(numbers | fields))


def test_the_report_in_words():
    rng = np.random.default_rng(0)
    lines = np.repeat(rng.normal(0, 12, (96, 10)), 8, axis=1) + 100
    advice = Advice((1, 2), "artefact", "high", 0.9, 0.2, 5.0, ("Level 1: it is noise.",))
    inspection = Inspection(
        "day1",
        lines,
        Decomposition(np.zeros((3, 96, 80)), lines, lines, (0, 0, 0)),
        structure_of_background([lines]),
        (score(1, s1=1.04, s2=0.9, s3=12.34, verdict="artefact"), score(2, s2=None), score(3)),
        advice,
    )
    report = level_report.report(inspection, "cells.tif, T 3", 0.13)
    assert report[0] == "Levels of day1 on cells.tif, T 3: 96 x 80 px (y, x)"
    assert report[1].startswith("  Noise is correlated along x over")
    assert not any("level inspector" in line for line in report)
    rows = [line.split() for line in report if line[:6].strip().isdigit()]
    assert [row[0] for row in rows] == ["3", "2", "1"]
    assert " ".join(rows[0]) == "3 8-16 px, 1.04-2.08 µm 25.0 % 0.0123 0.05 0.10 -0.4"
    assert " ".join(rows[1]) == "2 4-8 px, 0.52-1.04 µm 25.0 % 0.0123 0.05 -0.4"
    assert " ".join(rows[2]) == "1 2-4 px, 0.26-0.52 µm 25.0 % 0.0123 1.04 0.90 +12.3"
    assert "Advice: Switch levels 1-2 off (clear)." in report
    assert "  - Level 1: it is noise." in report
    assert report[-1].endswith("--deactivate 1,2")
    assert max(map(len, report)) <= 100
    plain = level_report.report(inspection, "cells.tif")
    assert not any("µm" in line for line in plain)


MISTAKES = [
    ("missing good.tif", "no model folder missing"),
    ("empty good.tif", "config.json is missing"),
    ("flat good.tif", "flat has a single latent level"),
    ("MODEL missing.tif", "no file or folder missing.tif"),
    ("MODEL rgb.tif", "RGB"),
    ("MODEL nan.tif", "1 of 7680 pixels are NaN"),
    ("MODEL small.tif", "20 x 30 pixels is too small"),
    ("MODEL images", "not the 2 of images"),
    ("MODEL two.tif --axes TCYX", "two.tif has 2 channels; say which to look at"),
    ("MODEL two.tif --axes TCYX --channel 2", "channel 2 does not exist"),
    ("MODEL good.tif --axes YX", "3 axes"),
    ("MODEL good.tif --index 3", "no plane 3; its planes are T 0 to 2"),
    ("MODEL good.tif --index=-1", "no plane -1"),
    ("MODEL good.tif --index 0,1", "no plane 0,1"),
    ("MODEL good.tif --index first", "'first' is not"),
    ("MODEL nan.tif --index 0", "single plane; leave out --index"),
    ("MODEL good.tif --region 1,2", "--region takes a region as"),
    ("MODEL good.tif --region 0:90,60:99", "lies outside good.tif of 96 x 80 px"),
    ("MODEL good.tif --region 40:40,0:80", "holds no pixels"),
    ("MODEL good.tif --region 0:20,0:80", "20 x 80 pixels is too small"),
    ("MODEL good.tif --background 0:90", "--background takes a region as"),
    ("MODEL good.tif --background 0:90,60:99", "lies outside good.tif of 96 x 80 px"),
    ("MODEL good.tif --region 0:64,0:64 --background 60:80,0:32", "lies outside the --region"),
    ("MODEL good.tif --background 0:8,0:32", "too small to judge noise"),
    ("MODEL good.tif --samples 0", "--samples takes 1 to 24"),
    ("MODEL good.tif --device tpu", "tpu"),
    ("MODEL good.tif --out good.tif", "is a file"),
]


@pytest.fixture
def bad_input(tmp_path: Path, model: Path, striped, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "images"):
        Path(folder).mkdir()
    tifffile.imwrite("good.tif", striped, photometric="minisblack")
    tifffile.imwrite("rgb.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    tifffile.imwrite("small.tif", striped[0, :20, :30])
    for number in range(2):
        tifffile.imwrite(f"images/{number}.tif", striped[number])
    tifffile.imwrite("two.tif", np.stack([striped, striped], axis=1), photometric="minisblack")
    nan = striped[0].astype(np.float32)
    nan[3, 4] = np.nan
    tifffile.imwrite("nan.tif", nan)
    trained = api.load_model(model)
    network = trained.config.network.model_copy(update={"levels": 1})
    trained.config = trained.config.model_copy(update={"network": network})
    trained.network = type(trained.network)(network)
    trained.save(tmp_path / "flat")
    return tmp_path


@pytest.mark.parametrize(("typed", "says"), MISTAKES)
def test_mistakes_get_one_line_and_exit_code_2(typed, says, bad_input, model, capsys):
    before = sorted(os.listdir())
    words = ["levels", *(str(model) if word == "MODEL" else word for word in typed.split())]
    assert main(words if "--out" in words else [*words, "--out", "r"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("napari-hdn: ") and error.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_too_little_memory_gets_one_line(model, striped_tif, tmp_path, monkeypatch, capsys):
    def fails(*_, **__):
        raise RuntimeError("CUDA out of memory. Tried\nto allocate 20.00 GiB")
        yield

    monkeypatch.setattr(api, "draw_levels", fails)
    out = tmp_path / "out"
    assert main(["levels", str(model), str(striped_tif), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "choose a smaller --region" in error and error.count("\n") == 1
    assert set(os.listdir(out)) == names() - {"cells_hdn-levels-samples.png"}


def test_a_full_disk_leaves_nothing_half(model, striped_tif, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    out = tmp_path / "out"
    assert main(["levels", str(model), str(striped_tif), "--out", str(out)]) == 2
    assert "scores.json could not be written: the disk is full" in capsys.readouterr().err
    assert set(os.listdir(out)) == {
        f"cells_hdn-levels-{name}.ome.tif" for name in ("contributions", "mean")
    }
