"""The command restore, as its user runs it."""

import numpy as np
import pytest
import tifffile

from commands import images_in, interrupted_after, iter_raising
from napari_hdn import api
from napari_hdn.api import (
    PlaneRestored,
)
from napari_hdn.cli import main
from napari_hdn.core.errors import ImageError
from napari_hdn.io.metadata import ImageMetadata


def test_restore_writes_ome_tiffs_and_numbers_them(model, tmp_path, capsys):
    size = {"X": 0.1, "Y": 0.1}
    image = np.random.default_rng(0).poisson(40, (2, 3, 50, 40)).astype(np.uint16)
    api.write_ome_tiff(tmp_path / "in.ome.tif", image, "TZYX", metadata=ImageMetadata(size))
    out = tmp_path / "deep" / "out"
    command = ["restore", str(model), str(tmp_path / "in.ome.tif"), "--out", str(out), "--std"]
    assert main([*command, "--samples", "4"]) == 0
    assert main([*command, "--samples", "4"]) == 0
    assert images_in(out) == [
        "in_hdn-mean-2.ome.tif",
        "in_hdn-mean.ome.tif",
        "in_hdn-std-2.ome.tif",
        "in_hdn-std.ome.tif",
    ]
    mean, std = api.open_images([out / "in_hdn-mean.ome.tif", out / "in_hdn-std.ome.tif"])
    assert (mean.axes, mean.array.shape, mean.array.dtype) == ("TZYX", image.shape, np.float32)
    assert mean.pixel_size_um == pytest.approx(size)
    restored = api.load_model(model).restore(image, "TZYX", samples=4, outputs=("mean", "std"))
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
    plane = PlaneRestored((), {"mean": np.full((40, 48), 300, np.float32)}, slice(0, 40))
    monkeypatch.setattr(api, "restore", lambda *a, **k: iter([plane]))
    command = ["restore", str(model), str(tmp_path / "c.tif"), "--out", str(tmp_path)]
    assert main([*command, "--dtype", "input"]) == 0
    assert "1,920 of 1,920 restored pixels (mean) lay outside 0..255" in capsys.readouterr().out


def test_stopped_restoration_keeps_complete_planes(model, tmp_path, monkeypatch, capsys):
    image = np.random.default_rng(0).poisson(40, (4, 40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    real = api.restore
    monkeypatch.setattr(
        api, "restore", lambda *a, **k: interrupted_after(real(*a, **k), PlaneRestored, 2)
    )
    out = tmp_path / "out"
    assert main(["restore", str(model), str(tmp_path / "c.tif"), "--out", str(out)]) == 130
    assert images_in(out) == ["c_hdn-mean-partial.ome.tif"]
    (stack,) = api.open_images(out.glob("*.tif"))
    restored = api.load_model(model).restore(image, "TYX").mean
    np.testing.assert_array_equal(stack.array, restored[:2])
    assert "Stopped at image 1 of 1" in capsys.readouterr().out


def test_a_damaged_plane_is_told_and_the_others_are_done(model, tmp_path, capsys):
    image = np.random.default_rng(0).normal(40, 6, (4, 40, 48)).astype(np.float32)
    expected = api.load_model(model).restore(image, "TYX", samples=3, outputs=("mean", "std"))
    image[2, 5, 5] = np.nan
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    out = tmp_path / "out"
    command = ["restore", str(model), str(tmp_path / "c.tif"), "--out", str(out), "--std"]
    assert main([*command, "--samples", "3"]) == 1
    assert set(images_in(out)) == {"c_hdn-mean-partial.ome.tif", "c_hdn-std-partial.ome.tif"}
    said = capsys.readouterr().out
    assert "c.tif, plane 2: 1 of 1920 pixels are NaN" in said
    assert "1 of 4 planes are damaged and empty in the files" in said
    mean = tifffile.imread(out / "c_hdn-mean-partial.ome.tif")
    np.testing.assert_array_equal(mean[[0, 1, 3]], expected.mean[[0, 1, 3]])
    assert np.isnan(mean[2]).all()


def test_a_stack_whose_file_is_torn_is_restored_as_far_as_it_goes(model, tmp_path, capsys):
    image = np.random.default_rng(0).poisson(40, (3, 64, 48)).astype(np.uint16)
    path = tmp_path / "torn.tif"
    tifffile.imwrite(path, image, photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as file:
        at, length = (file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0])
    content = bytearray(path.read_bytes())
    content[at : at + length] = bytes(length)
    path.write_bytes(content)
    assert main(["restore", str(model), str(path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "torn.tif is truncated or damaged" in said and "1 of 3 planes are damaged" in said
    mean = tifffile.imread(tmp_path / "out" / "torn_hdn-mean-partial.ome.tif")
    assert np.isnan(mean[1]).all() and (mean[[0, 2]] > 0).all()


def test_a_damaged_last_plane_keeps_its_place(model, tmp_path):
    image = np.random.default_rng(0).normal(40, 6, (3, 40, 48)).astype(np.float32)
    image[2, 5, 5] = np.nan
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    command = ["restore", str(model), str(tmp_path / "c.tif"), "--out", str(tmp_path / "out")]
    assert main([*command, "--outputs", "mean,samples", "--samples", "3"]) == 1
    mean = tifffile.imread(tmp_path / "out" / "c_hdn-mean-partial.ome.tif")
    assert mean.shape == (3, 40, 48) and np.isnan(mean[2]).all() and not np.isnan(mean[:2]).any()
    (samples,) = api.open_images([tmp_path / "out" / "c_hdn-samples-partial.ome.tif"])
    assert sorted(samples.array.shape) == [3, 3, 40, 48]


def test_a_damaged_image_among_others_is_left_out(model, tmp_path, capsys):
    for name in ("a", "b", "c"):
        image = np.random.default_rng(0).normal(40, 6, (40, 48)).astype(np.float32)
        image[5, 5] = np.nan if name == "b" else 40
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    out = tmp_path / "out"
    assert main(["restore", str(model), str(tmp_path), "--out", str(out)]) == 1
    assert images_in(out) == ["a_hdn-mean.ome.tif", "c_hdn-mean.ome.tif"]
    assert (out / "hdn-batch.csv").is_file()
    assert "b.tif: 1 of 1920 pixels are NaN" in capsys.readouterr().out


def test_an_error_late_in_a_restoration_keeps_the_planes_before_it(
    model, noisy_tif, tmp_path, monkeypatch, capsys
):
    real = api.restore

    def fails(*args, **kwargs):
        for event in real(*args, **kwargs):
            yield event
            if isinstance(event, PlaneRestored) and event.index == (1,):
                raise ImageError("the light went out")

    monkeypatch.setattr(api, "restore", fails)
    out = tmp_path / "out"
    command = ["restore", str(model), str(noisy_tif), "--out", str(out), "--std"]
    assert main([*command, "--samples", "3"]) == 2
    kept = {"cells_hdn-mean-partial.ome.tif", "cells_hdn-std-partial.ome.tif"}
    assert set(images_in(out)) == kept
    error = capsys.readouterr().err
    assert "the light went out" in error and error.count("\n") == 1
    assert all(f"2 of 3 planes were done and are in {out / name}" in error for name in kept)


def test_all_outputs(model, tmp_path, capsys):
    image = np.random.default_rng(0).poisson(40, (2, 40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", image, photometric="minisblack")
    out = tmp_path / "out"
    options = [
        "--outputs", "mean,median,map,std,cv,quantiles,samples,difference", "--samples", "5",
        "--quantiles", "0.1,0.9", "--difference", "3,1", "--dtype", "input",
    ]  # fmt: skip
    command = ["restore", str(model), str(tmp_path / "c.tif"), "--out", str(out), *options]
    assert main(command) == 0
    names = ("mean", "median", "map", "std", "cv", "q10", "q90", "samples", "difference")
    assert images_in(out) == sorted(f"c_hdn-{n}.ome.tif" for n in names)
    expected = api.load_model(model).restore(
        image, "TYX", outputs=api.OUTPUTS, samples=5, quantiles=(0.1, 0.9), difference=(3, 1)
    )
    files = {n: tifffile.imread(out / f"c_hdn-{n}.ome.tif") for n in names}
    for spread in ("std", "cv", "difference"):
        np.testing.assert_array_equal(files[spread], getattr(expected, spread))
    for whole in ("mean", "median", "map"):
        assert files[whole].dtype == np.uint16
        np.testing.assert_array_equal(files[whole], np.rint(getattr(expected, whole)))
    np.testing.assert_array_equal(files["q90"], np.rint(expected.quantiles[1]))
    (samples,) = api.open_images([out / "c_hdn-samples.ome.tif"])
    assert sorted(samples.axes) == sorted("STYX") and samples.array.shape == (5, 2, 40, 48)
    np.testing.assert_array_equal(np.asarray(samples.array), np.rint(expected.samples))
    assert "Mean of 2 antithetic pairs: within" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--samples", "0"], "at least 1 sample, not 0"),
        (["--std", "--samples", "1"], "standard deviation needs at least 3 samples"),
        (["--outputs", "means"], "'means' is none of them"),
        (["--outputs", "quantiles", "--quantiles", "5,95"], "between 0 and 1"),
        (["--outputs", "quantiles", "--quantiles", "low"], "'low' is not"),
        (["--outputs", "difference", "--samples", "2", "--difference", "1,3"], "samples 1 to 2"),
        (["--outputs", "difference", "--difference", "1"], "takes two numbers, such as 1,2"),
        (["--outputs", "quantiles", "--quantiles", "0.05,0.05"], "is there twice"),
    ],
)
def test_choices_that_cannot_be(model, noisy_tif, tmp_path, capsys, options, says):
    out = tmp_path / "out"
    assert main(["restore", str(model), str(noisy_tif), "--out", str(out), *options]) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_samples_beyond_the_disk_are_refused_before_anything_is_drawn(
    model, noisy_tif, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(api, "restore", lambda *a, **k: iter_raising(AssertionError("began")))
    out = tmp_path / "out"
    many = ["--outputs", "mean,samples", "--samples", "1000000000"]
    assert main(["restore", str(model), str(noisy_tif), "--out", str(out), *many]) == 2
    error = capsys.readouterr().err
    assert "cells_hdn (mean, samples of 1000000000) needs" in error and "are free in" in error
    assert not out.exists()


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
    assert main([*command, "--again"]) == 0
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
    assert images_in(out) == ["f-0_hdn-mean.ome.tif", "f-1_hdn-mean.ome.tif"]
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
