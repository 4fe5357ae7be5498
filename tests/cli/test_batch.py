"""Batches, as their user runs them: killed, stopped, gone on with."""

import logging
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr

from commands import interrupted_after
from napari_hdn import api
from napari_hdn.api import PlaneRestored
from napari_hdn.cli import main
from napari_hdn.io.batch.table import known_rows, read_rows

SLOWLY = """
import sys, time
from napari_hdn import api
from napari_hdn.cli import main
real = api.restore
def slowly(*args, **kwargs):
    for event in real(*args, **kwargs):
        if isinstance(event, api.PlaneRestored):
            time.sleep(0.2)
        yield event
api.restore = slowly
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def raw(tmp_path):
    """Four images, two of them of one name in two folders."""
    folder = tmp_path / "raw"
    rng = np.random.default_rng(0)
    for name in ("day 1/a", "day 1/b", "day 2/a", "day 2/c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = rng.poisson(40, (2, 32, 24)).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}.tif", image, photometric="minisblack")
    return folder


@pytest.fixture
def command(model, raw, tmp_path):
    return ["restore", str(model), str(raw / "**" / "*.tif"), "--out", str(tmp_path / "out")]


def statuses(out):
    return {row.image: row.status for row in read_rows(out / "hdn-batch.csv")}


def test_a_killed_batch_goes_on(model, raw, command, tmp_path, capsys):
    out = tmp_path / "out"
    killed = subprocess.Popen([sys.executable, "-c", SLOWLY, *command])
    try:
        until = time.monotonic() + 240
        while len(rows := [r for r in known_rows(out).values() if r.status == "done"]) < 2:
            assert killed.poll() is None and time.monotonic() < until
            time.sleep(0.02)
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    done = [name for row in rows for name in row.files]
    before = {name: (out / name).stat().st_mtime_ns for name in done}
    unfinished = out / "day 2" / ".c_hdn-mean.ome.tif.0123abcd.tmp"  # of an earlier one
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.touch()
    os.utime(unfinished, (0, 0))
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "restored before with the same settings and are not done again; --again" in said
    assert "Removed 1 unfinished files" in said and not unfinished.exists()
    assert "4 of 4 images restored (" in said and f"Table: {out / 'hdn-batch.csv'}" in said
    assert set(statuses(out).values()) == {"done"}
    assert {name: (out / name).stat().st_mtime_ns for name in done} == before
    for place in ("day 1/a", "day 1/b", "day 2/a", "day 2/c"):
        expected = api.load_model(model).restore(tifffile.imread(raw / f"{place}.tif"), "TYX").mean
        np.testing.assert_array_equal(tifffile.imread(out / f"{place}_hdn-mean.ome.tif"), expected)
    assert not list(out.rglob("*-2.ome.tif")) and not list(out.glob(".hdn-batch*"))


def test_a_stopped_batch_goes_on(model, raw, command, tmp_path, monkeypatch, capsys):
    out, real, restored = tmp_path / "out", api.restore, []
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "restore", lambda *a, **k: interrupted_after(real(*a, **k), PlaneRestored, 1)
        )
        assert main(command) == 130
    said = capsys.readouterr().out
    assert "Stopped at image 1 of 4." in said
    assert "0 of 4 images restored, 1 done in part, 3 not yet." in said
    assert list(statuses(out).values()) == ["done in part", *3 * ["not yet"]]
    assert main(command) == 0
    assert "Kept what there was of day 1/a.tif" in capsys.readouterr().out
    monkeypatch.setattr(
        api, "restore", lambda m, s, *a, **k: restored.append(s.name) or real(m, s, *a, **k)
    )
    assert main(command) == 0 and restored == []
    np.save(raw / "note.npy", np.zeros(3))  # not an image of the pattern
    os.utime(raw / "day 2" / "a.tif", ns=(0, 0))
    assert main(command) == 0 and restored == ["a.tif"]
    assert main([*command, "--dtype", "input"]) == 0 and len(restored) == 5
    assert main([*command, "--tile", "64"]) == 0 and len(restored) == 5  # the result is the same
    assert main([*command, "--again"]) == 0 and len(restored) == 9
    assert len(read_rows(out / "hdn-batch.csv")) == 8


def test_a_stopped_ome_zarr_is_gone_on_with(model, raw, command, tmp_path, monkeypatch, capsys):
    out, real, restored = tmp_path / "out", api.restore, []
    command = [*command, "--format", "ome-zarr"]
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "restore", lambda *a, **k: interrupted_after(real(*a, **k), PlaneRestored, 1)
        )
        assert main(command) == 130
    row = read_rows(out / "hdn-batch.csv")[0]
    assert (row.status, row.done, row.planes, row.files) == ("done in part", 1, 2, ())
    assert "1 of 2 planes are done and kept" in capsys.readouterr().out

    def noted(model, stack, config, **options):
        for event in real(model, stack, config, **options):
            if isinstance(event, PlaneRestored):
                restored.append((stack.path.relative_to(raw).as_posix(), *event.index))
            yield event

    monkeypatch.setattr(api, "restore", noted)
    assert main(command) == 0
    assert restored[:3] == [("day 1/a.tif", 1), ("day 1/b.tif", 0), ("day 1/b.tif", 1)]
    assert len(restored) == 7
    written = zarr.open_group(out / "day 1" / "a_hdn-mean.ome.zarr", mode="r")["0"]
    expected = api.load_model(model).restore(tifffile.imread(raw / "day 1" / "a.tif"), "TYX").mean
    np.testing.assert_array_equal(np.asarray(written), expected)
    assert main(command) == 0 and len(restored) == 7
    assert not [p for p in out.rglob(".*")]


def test_another_model_of_the_same_name_is_another_job(raw, command, tmp_path, monkeypatch):
    assert main(command) == 0
    load = api.load_model

    def changed(folder):
        model = load(folder)
        next(model.network.parameters()).data += 0.01
        return model

    monkeypatch.setattr(api, "load_model", changed)
    assert main(command) == 0
    assert len(read_rows(tmp_path / "out" / "hdn-batch.csv")) == 8
    assert (tmp_path / "out" / "day 2" / "a_hdn-mean-2.ome.tif").exists()


def test_files_that_cannot_be_opened_are_failures(raw, command, tmp_path, capsys):
    (raw / "day 1" / "torn.tif").write_bytes(b"II*\0")
    tifffile.imwrite(raw / "map.tif", np.zeros((8, 10, 3), np.uint8), photometric="rgb")
    assert main(command) == 1
    assert "4 of 6 images restored, 1 failed, 1 left out." in capsys.readouterr().out
    (raw / "day 1" / "torn.tif").unlink()
    assert main(command) == 0  # colours are no failure


def test_a_full_disk_ends_the_batch(raw, command, tmp_path, monkeypatch, capsys):
    free = iter([10**9, 10**9, 10**9, 10])
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    assert main(command) == 2
    assert "but only 0.00 MB are free" in capsys.readouterr().err
    assert list(statuses(tmp_path / "out").values()) == ["done", "failed", "not yet", "not yet"]
    monkeypatch.undo()
    assert main(command) == 0


def test_an_integer_type_that_no_tiff_holds_fails_alone(raw, command, tmp_path, capsys):
    tifffile.imwrite(raw / "big.tif", np.full((32, 24), 40, np.int64))
    assert main([*command, "--dtype", "input"]) == 1
    assert "cannot hold int64 pixels" in capsys.readouterr().out
    assert list(statuses(tmp_path / "out").values()).count("done") == 4


@pytest.mark.parametrize("format", ["ome-tiff", "ome-zarr"])
def test_names_that_are_no_text(model, raw, tmp_path, format, monkeypatch):
    """As of files from old disks: Linux takes any bytes."""
    # pytest keeps what is logged, but cannot send such names from one process to another
    monkeypatch.setattr(logging.getLogger("napari_hdn"), "propagate", False)
    name = os.fsdecode(b"caf\xe9")
    try:
        (raw / "day 1" / "a.tif").rename(raw / "day 1" / f"{name}.tif")
    except (OSError, UnicodeError):
        pytest.skip("this disk takes text alone")
    out = tmp_path / "out"
    pattern = str(raw / "**" / "*.tif")
    command = ["restore", str(model), pattern, "--out", str(out), "--format", format]
    for _ in range(2):
        assert main(command) == 0
    assert set(statuses(out).values()) == {"done"}
    ending = "ome.tif" if format == "ome-tiff" else "ome.zarr"
    assert (out / "day 1" / f"{name}_hdn-mean.{ending}").exists()
    recipe = out / "day 1" / f"{name}_hdn-recipe.json"
    assert "caf\N{REPLACEMENT CHARACTER}.tif" in recipe.read_text(encoding="utf-8")
    again = ["run", str(recipe), "--data", str(raw / "day 1")]
    assert main([*again, "--out", str(tmp_path / "again")]) == 0


def test_a_terminal_that_cannot_show_a_sign(model, tmp_path):
    """On Windows a file that takes what is printed has few signs."""
    names = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    program = "import sys; from napari_hdn.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "methods", str(model)]
    done = subprocess.run(command, env=names, capture_output=True, check=False)
    assert done.returncode == 0 and b"S?nderby" in done.stdout
