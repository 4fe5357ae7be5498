"""The command restore --format ome-zarr: it goes on after every kind of interruption."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from commands import images_in, interrupted_after
from napari_hdn import api
from napari_hdn.api import PlaneRestored
from napari_hdn.cli import main
from napari_hdn.io.zarr.products import ZarrProducts

COUNTS = np.random.default_rng(5).poisson(40, (6, 48, 40)).astype(np.uint16)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "film.tif", COUNTS, metadata={"axes": "TYX"})
    return tmp_path / "film.tif"


def command(model: Path, film: Path, out: Path) -> list[str]:
    names = ["restore", str(model), str(film), "--out", str(out), "--format", "ome-zarr"]
    return [*names, "--std", "--samples", "4"]


def pixels(folder: Path) -> np.ndarray:
    return zarr.open_array(folder / "0", mode="r")[:]


def expected(model: Path, counts: np.ndarray = COUNTS):
    return api.load_model(model).restore(counts, "TYX", samples=4, outputs=("mean", "std"))


def test_the_same_pixels_as_in_memory(model, film, tmp_path, capsys):
    assert main(command(model, film, tmp_path / "out")) == 0
    assert sorted(os.listdir(tmp_path / "out")) == [
        "film_hdn-mean.ome.zarr",
        "film_hdn-recipe.json",
        "film_hdn-std.ome.zarr",
    ]
    restored = expected(model)
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "film_hdn-mean.ome.zarr"), restored.mean
    )
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "film_hdn-std.ome.zarr"), restored.std)
    assert f"Wrote {tmp_path / 'out' / 'film_hdn-mean.ome.zarr'}" in capsys.readouterr().out


def test_a_killed_process_costs_only_its_plane(model, film, tmp_path, capsys):
    out = tmp_path / "out"
    slow = textwrap.dedent(
        f"""
        import time
        from napari_hdn import api
        from napari_hdn.api import PlaneRestored
        from napari_hdn.cli import main
        real = api.restore
        def restore(*args, **choices):
            for event in real(*args, **choices):
                yield event
                if isinstance(event, PlaneRestored):
                    time.sleep(0.5)
        api.restore = restore
        main({command(model, film, out)!r})
        """
    )
    with subprocess.Popen([sys.executable, "-c", slow]) as process:
        began = time.monotonic()
        while sum(len(f.read_bytes().split()) for f in out.glob(".*/done.jsonl")) < 3:
            assert time.monotonic() - began < 240 and process.poll() is None
            time.sleep(0.05)
        process.kill()
    (hidden,) = os.listdir(out)
    assert hidden.startswith(".film_hdn-") and hidden.endswith(".part")
    planes = {
        p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (out / hidden).glob("*/0/c/0/0/0")
    }
    assert len(planes) == 2  # mean and std of plane 0
    assert main(command(model, film, out)) == 0
    assert "Going on with an interrupted restoration: " in capsys.readouterr().out
    assert images_in(out) == ["film_hdn-mean.ome.zarr", "film_hdn-std.ome.zarr"]
    restored = expected(model)
    np.testing.assert_array_equal(pixels(out / "film_hdn-mean.ome.zarr"), restored.mean)
    np.testing.assert_array_equal(pixels(out / "film_hdn-std.ome.zarr"), restored.std)
    kept = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("*/0/c/0/0/0")}
    assert sorted(kept.values()) == sorted(planes.values())  # what was done was left alone


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    model, film, tmp_path, monkeypatch, capsys
):
    real = api.restore
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "restore", lambda *a, **k: interrupted_after(real(*a, **k), PlaneRestored, 2)
        )
        assert main(command(model, film, tmp_path / "out")) == 130
    assert "2 of 6 planes are done and kept: start the same" in capsys.readouterr().out

    def watched(*args, **choices):
        for event in real(*args, **choices):
            seen.append(event)
            yield event

    monkeypatch.setattr(api, "restore", watched)
    assert main(command(model, film, tmp_path / "out")) == 0
    assert [e.index for e in seen if isinstance(e, PlaneRestored)] == [(2,), (3,), (4,), (5,)]
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "film_hdn-mean.ome.zarr"), expected(model).mean
    )


def test_a_drive_that_vanishes_in_the_middle_and_comes_back(
    model, film, tmp_path, monkeypatch, capsys
):
    out, away = tmp_path / "out", tmp_path / "away"
    write = ZarrProducts.write

    def unplug(self, index, *rest):
        write(self, index, *rest)
        if index == (2,):
            film.rename(away)

    with monkeypatch.context() as patched:
        patched.setattr(ZarrProducts, "write", unplug)
        assert main(command(model, film, out)) == 2
    told = capsys.readouterr().err
    assert "drive or network folder gone" in told and "3 of 6 planes are done and kept" in told
    assert [n for n in os.listdir(out) if not n.startswith(".")] == []
    away.rename(film)
    assert main(command(model, film, out)) == 0
    np.testing.assert_array_equal(pixels(out / "film_hdn-mean.ome.zarr"), expected(model).mean)


def test_another_image_under_the_same_name_is_another_restoration(
    model, film, tmp_path, monkeypatch, capsys
):
    real = api.restore
    with monkeypatch.context() as patch:
        patch.setattr(
            api, "restore", lambda *a, **k: interrupted_after(real(*a, **k), PlaneRestored, 2)
        )
        main(command(model, film, tmp_path / "out"))
    tifffile.imwrite(film, COUNTS[::-1], metadata={"axes": "TYX"})
    assert main(command(model, film, tmp_path / "out")) == 0
    told = capsys.readouterr().out
    assert "holds 2 planes of another restoration of this image that was interrupted" in told
    # an image of which nothing was left does not have the folder listed again
    tifffile.imwrite(film.with_name("other.tif"), COUNTS[:1], metadata={"axes": "TYX"})
    monkeypatch.setattr("napari_hdn.io.zarr.products.other_jobs", lambda *a: 1 / 0)
    assert main(command(model, film.with_name("other.tif"), tmp_path / "out")) == 0
    np.testing.assert_array_equal(
        pixels(tmp_path / "out" / "film_hdn-mean.ome.zarr"),
        expected(model, COUNTS[::-1]).mean,
    )


def test_the_input_type_and_no_pyramid(model, film, tmp_path):
    options = ["--dtype", "input", "--no-pyramid"]
    assert main([*command(model, film, tmp_path / "out"), *options]) == 0
    mean = pixels(tmp_path / "out" / "film_hdn-mean.ome.zarr")
    assert mean.dtype == np.uint16
    np.testing.assert_array_equal(mean, np.rint(expected(model).mean))
