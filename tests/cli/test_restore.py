"""The command restore, as its user runs it."""

import os

import numpy as np
import pytest
import tifffile

from commands import interrupted_after, iter_raising
from napari_hdn import api
from napari_hdn.api import (
    PlaneRestored,
)
from napari_hdn.cli import main


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
        api, "restore", lambda *a, **k: interrupted_after(real(*a, **k), PlaneRestored, 2)
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
    assert main([*command, "--deactivate", "1,2"]) == 0
    assert main(command) == 0
    off, on = (tmp_path / "r" / f"cells_hdn-mean{n}.ome.tif" for n in ("", "-2"))
    restored = api.load_model(model).restore(image, "TYX", deactivated_levels=(1, 2))
    np.testing.assert_array_equal(tifffile.imread(off), restored.mean)
    assert np.abs(tifffile.imread(on) - restored.mean).max() > 0


@pytest.mark.parametrize(
    ("option", "says"),
    [([], "model"), (["--off", "1"], "level 1 off"), (["--deactivate", "2,1"], "levels 1, 2 off")],
)
def test_the_file_says_which_levels_are_off(model, noisy_tif, tmp_path, option, says):
    command = ["restore", str(model), str(noisy_tif), "--out", str(tmp_path / "r"), "--std"]
    assert main([*command, "--samples", "3", *option]) == 0
    for product in ("mean", "std"):
        with tifffile.TiffFile(tmp_path / "r" / f"cells_hdn-{product}.ome.tif") as file:
            assert f"{says}</Description>" in file.ome_metadata


def test_the_file_says_which_levels_the_model_was_trained_without(noisy_tif, tiny, tmp_path):
    command = ["train", str(noisy_tif), "--config", tiny, "--deactivate", "1", "--name", "off"]
    assert main(command) == 0
    assert (
        main(["restore", "off", str(noisy_tif), "--out", str(tmp_path), "--deactivate", "2"]) == 0
    )
    with tifffile.TiffFile(tmp_path / "cells_hdn-mean.ome.tif") as file:
        assert "with model off, levels 1, 2 off</Description>" in file.ome_metadata


def test_images_out_of_range_are_restored_with_a_warning(model, tmp_path, capsys):
    bright = np.random.default_rng(0).poisson(4000, (40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", bright)
    assert main(["restore", str(model), str(tmp_path / "c.tif"), "--out", str(tmp_path)]) == 0
    assert "Warning: c.tif runs from" in capsys.readouterr().out
