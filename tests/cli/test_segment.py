"""The command segment, as its user runs it."""

import csv
import os

import numpy as np
import pytest
import tifffile

from cells import blobs
from commands import interrupted_after
from napari_hdn import api
from napari_hdn.api import SegmentationConfig
from napari_hdn.cli import main
from napari_hdn.io.metadata import ImageMetadata


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sampled(tmp_path):
    """A file of samples with a pixel size, as restore writes it, and one of truth labels."""
    truth, samples = blobs(0, samples=4)
    size = {"Y": 0.5, "X": 0.2}
    api.write_ome_tiff(
        tmp_path / "cells_hdn-samples.ome.tif", samples, "SYX", metadata=ImageMetadata(size)
    )
    tifffile.imwrite(tmp_path / "truth.tif", truth.astype(np.uint16))
    return tmp_path, truth, samples


def test_from_a_file_of_samples(sampled, capsys):
    folder, truth, samples = sampled
    out = folder / "deep" / "out"
    file, drawn = str(folder / "cells_hdn-samples.ome.tif"), str(folder / "truth.tif")
    command = ["segment", "--from-samples", file, "--recipe", "bright", "--truth", drawn]
    assert main([*command, "--out", str(out), "--least", "30"]) == 0
    config = SegmentationConfig(recipe="bright", least_px=30)
    *_, expected = api.segment_samples(samples, config)
    stem = "cells_hdn-samples_hdn-segmented-"
    labels = tifffile.imread(out / f"{stem}consensus.ome.tif")
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, expected.consensus.labels)
    (each,) = api.open_images([out / f"{stem}samples.ome.tif"])
    assert (each.axes, each.array.dtype) == ("SYX", np.uint16)
    assert each.pixel_size_um == pytest.approx({"X": 0.2, "Y": 0.5})
    np.testing.assert_array_equal(each.array, expected.samples)
    confidence = tifffile.imread(out / f"{stem}confidence.ome.tif")
    np.testing.assert_array_equal(confidence, expected.consensus.confidence_image())
    objects = rows_of(out / f"{stem}objects.csv")
    assert len(objects) == labels.max()
    for row in objects:
        here = labels == int(row["object"])
        assert int(row["area (px)"]) == here.sum()
        assert float(row["area (µm²)"]) == pytest.approx(0.1 * here.sum())
        assert float(row["centroid y (px)"]) == pytest.approx(np.nonzero(here)[0].mean(), rel=1e-4)
        k = int(row["object"]) - 1
        assert float(row["confidence"]) == pytest.approx(expected.consensus.confidence[k], rel=1e-4)
    scores = expected.scores(truth)
    table = {row["segmentation"]: row for row in rows_of(out / f"{stem}scores.csv")}
    assert float(table["consensus"]["SEG"]) == pytest.approx(scores.consensus.seg, rel=1e-4)
    assert float(table["sample 4"]["AP (IoU 0.5)"]) == pytest.approx(
        scores.samples[3].ap50, rel=1e-4
    )
    assert f"SEG {scores.consensus.seg:.3f}" in capsys.readouterr().out
    before = {p: p.read_bytes() for p in out.iterdir()}
    assert main([*command, "--out", str(out)]) == 0
    assert len(list(out.iterdir())) == 12
    assert all(p.read_bytes() == content for p, content in before.items())
    assert (out / f"{stem}objects-2.csv").exists()


def test_with_a_model_and_a_function_of_ones_own(model, noisy_tif, tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("def cells(image):\n    return image > image.mean()\n")
    out = tmp_path / "out"
    command = ["segment", str(model), str(noisy_tif), "--recipe", f"{own}:cells", "--samples", "3"]
    assert main([*command, "--out", str(out), "--seed", "4", "--device", "cpu"]) == 0
    config = SegmentationConfig(recipe=f"{own}:cells", samples=3, seed=4, device="cpu")
    stack = tifffile.imread(noisy_tif)
    (each,) = api.open_images([out / "cells_hdn-segmented-samples.ome.tif"])
    assert each.axes in ("STYX", "TSYX") and each.array.shape == (3, 3, 64, 48)
    consensus = tifffile.imread(out / "cells_hdn-segmented-consensus.ome.tif")
    trained = api.load_model(model)
    for t in range(3):
        *_, expected = api.segment(trained, stack[t], config, number=t)
        np.testing.assert_array_equal(consensus[t], expected.consensus.labels)
        here = each.array[:, t] if each.axes == "STYX" else each.array[t]
        np.testing.assert_array_equal(here, expected.samples)
    rows = rows_of(out / "cells_hdn-segmented-objects.csv")
    assert {row["T"] for row in rows} <= {"0", "1", "2"}
    with tifffile.TiffFile(out / "cells_hdn-segmented-consensus.ome.tif") as file:
        assert "segmented with recipe" in file.ome_metadata
    # a folder leaves out what was made, as it does restored images
    with pytest.raises(api.HDNError, match="only images that napari-hdn restored"):
        api.open_images([out])


def test_one_plane_of_a_stack(model, noisy_tif, tmp_path):
    command = ["segment", str(model), str(noisy_tif), "--samples", "2", "--index", "2"]
    assert main([*command, "--out", str(tmp_path / "o"), "--device", "cpu"]) == 0
    labels = tifffile.imread(tmp_path / "o" / "cells_hdn-segmented-consensus.ome.tif")
    config = SegmentationConfig(samples=2, device="cpu")
    *_, expected = api.segment(
        api.load_model(model), tifffile.imread(noisy_tif)[2], config, number=2
    )
    np.testing.assert_array_equal(labels, expected.consensus.labels)
    each = tifffile.imread(tmp_path / "o" / "cells_hdn-segmented-samples.ome.tif")
    np.testing.assert_array_equal(each, expected.samples)


def test_stop_keeps_what_is_segmented(sampled, monkeypatch, capsys):
    folder, _, samples = sampled
    real = api.segment_samples
    kind = api.SegmentationProgress
    monkeypatch.setattr(
        api, "segment_samples", lambda *a, **k: interrupted_after(real(*a, **k), kind, 2)
    )
    out = folder / "out"
    file = str(folder / "cells_hdn-samples.ome.tif")
    command = ["segment", "--from-samples", file, "--recipe", "bright", "--out", str(out)]
    assert main(command) == 130
    names = sorted(os.listdir(out))
    assert "cells_hdn-samples_hdn-segmented-samples-partial.ome.tif" in names
    *_, expected = real(samples[:3], SegmentationConfig(recipe="bright"))
    for product, made in (
        ("consensus", expected.consensus.labels),
        ("confidence", expected.consensus.confidence_image()),
    ):
        path = out / f"cells_hdn-samples_hdn-segmented-{product}-partial.ome.tif"
        np.testing.assert_array_equal(tifffile.imread(path), made)
        with tifffile.TiffFile(path) as opened:
            assert "; consensus of 3 of 4 samples" in opened.ome_metadata
    assert rows_of(out / "cells_hdn-samples_hdn-segmented-objects-partial.csv")
    assert all("partial" in name for name in names) and len(names) == 5
    assert "the consensus is of 3 of 4 samples" in capsys.readouterr().out
    assert main(command) == 130  # and once more, beside these
    assert len(os.listdir(out)) == 10
    recipe = api.read_recipe(out / "cells_hdn-samples_hdn-segmented-recipe-partial.json")
    assert not recipe.job.complete and len(recipe.job.results) == 4
    assert main(["run", str(out / "cells_hdn-samples_hdn-segmented-recipe-partial.json")]) == 2
    assert "a repetition would not end there" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def stacked(tmp_path):
    """(sample, t, y, x) samples of three planes in a file."""
    samples = np.stack([blobs(k, samples=4)[1] for k in range(3)], axis=1)
    api.write_ome_tiff(tmp_path / "film_hdn-samples.ome.tif", samples, "STYX")
    return tmp_path / "film_hdn-samples.ome.tif", samples


STEM = "film_hdn-samples_hdn-segmented-"


@pytest.mark.parametrize(("plane", "written"), [(1, "0"), (0, "0")])
def test_the_plane_that_was_stopped_in(stacked, monkeypatch, capsys, plane, written):
    file, samples = stacked
    real, kind, calls = api.segment_samples, api.SegmentationProgress, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        events = real(*args, **kwargs)
        return interrupted_after(events, kind, 1) if len(calls) == plane + 1 else events

    monkeypatch.setattr(api, "segment_samples", interrupted)
    out = file.parent / "out"
    command = ["segment", "--from-samples", str(file), "--recipe", "bright", "--out", str(out)]
    assert main(command) == 130
    # a plane of few samples stands beside no other; alone it is kept, and says so
    first = samples[:, 0] if plane else samples[:2, 0]
    *_, expected = real(first, SegmentationConfig(recipe="bright"))
    path = out / f"{STEM}consensus-partial.ome.tif"
    labels = tifffile.imread(path)
    np.testing.assert_array_equal(labels.reshape(128, 128), expected.consensus.labels)
    rows = rows_of(out / f"{STEM}objects-partial.csv")
    assert {row["T"] for row in rows} == {written}
    assert {row["samples"] for row in rows} == {str(len(first))}
    with tifffile.TiffFile(path) as opened:
        assert ("consensus of 2 of 4 samples" in opened.ome_metadata) == (plane == 0)
        assert "partial: 1 of 3 planes" in opened.ome_metadata
    said = capsys.readouterr().out
    assert ("T 1 was left out: 2 of 4 samples only" in said) == (plane == 1)


def test_a_damaged_plane_is_left_out(model, noisy_tif, tmp_path, capsys):
    images = tifffile.imread(noisy_tif).astype(np.float32)
    images[1, 5, 5] = np.nan
    tifffile.imwrite(tmp_path / "hurt.tif", images, photometric="minisblack")
    command = ["segment", str(model), str(tmp_path / "hurt.tif"), "--samples", "2", "--axes", "TYX"]
    command += ["--least", "1", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "o")]) == 1
    said = capsys.readouterr().out
    assert "T 1: 1 of 3072 pixels are NaN" in said and "This plane was left out." in said
    assert "1 of 3 planes are damaged and 0 in the files" in said
    labels = tifffile.imread(tmp_path / "o" / "hurt_hdn-segmented-consensus-partial.ome.tif")
    config, trained = SegmentationConfig(samples=2, least_px=1, device="cpu"), api.load_model(model)
    found = 0
    for t in (0, 2):
        *_, expected = api.segment(trained, images[t], config, number=t)
        np.testing.assert_array_equal(labels[t], expected.consensus.labels)
        found += len(expected.areas_px)
    assert not labels[1].any()
    rows = rows_of(tmp_path / "o" / "hurt_hdn-segmented-objects-partial.csv")
    assert len(rows) == found > 0 and {row["T"] for row in rows} <= {"0", "2"}
    images[:] = np.nan
    tifffile.imwrite(tmp_path / "hurt.tif", images, photometric="minisblack")
    assert main([*command, "--out", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert "No other plane could be segmented" in error and error.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_an_error_keeps_the_tables_so_far(stacked, capsys):
    file, samples = stacked
    own = file.parent / "mine.py"
    own.write_text(
        "def cells(image):\n"
        f"    assert abs(image.mean() - {samples[0, 2].mean():.6f}) > 1e-3, 'oh no'\n"
        "    return image > image.mean()\n"
    )
    out = file.parent / "out"
    command = ["segment", "--from-samples", str(file), "--recipe", f"{own}:cells"]
    assert main([*command, "--out", str(out)]) == 2
    rows = rows_of(out / f"{STEM}objects-partial.csv")
    assert {row["T"] for row in rows} == {"0", "1"}
    error = capsys.readouterr().err
    assert f"The objects are in {out / STEM}objects-partial.csv." in error


def test_samples_of_a_partial_file(stacked, capsys):
    file, samples = stacked
    samples[:, 1] = 0  # not restored
    samples[3, 2] = 0  # stopped in
    partial = file.with_name("film_hdn-samples-partial.ome.tif")
    api.write_ome_tiff(partial, samples, "STYX")
    out = file.parent / "out"
    command = ["segment", "--from-samples", str(partial), "--recipe", "bright", "--out", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "T 1: 4 of 4 samples are 0 everywhere" in said
    assert "T 2 was left out: 3 of 4 samples only" in said
    stem = "film_hdn-samples-partial_hdn-segmented-"
    *_, expected = api.segment_samples(samples[:, 0], SegmentationConfig(recipe="bright"))
    labels = tifffile.imread(out / f"{stem}consensus-partial.ome.tif")
    np.testing.assert_array_equal(labels.reshape(128, 128), expected.consensus.labels)
    assert {row["T"] for row in rows_of(out / f"{stem}objects-partial.csv")} == {"0"}
    assert main([*command, "--index", "2"]) == 0  # alone it is done, of three samples
    *_, three = api.segment_samples(samples[:3, 2], SegmentationConfig(recipe="bright"))
    again = out / f"{stem}consensus-partial-2.ome.tif"
    np.testing.assert_array_equal(tifffile.imread(again), three.consensus.labels)
    with tifffile.TiffFile(again) as opened:
        assert "consensus of 3 of 4 samples" in opened.ome_metadata
    assert main([*command, "--index", "1"]) == 2
    assert "as planes are that were not restored" in capsys.readouterr().err


def test_off_is_short_for_deactivate(model, noisy_tif, tmp_path):
    for option in ("--off", "--deactivate"):
        command = ["segment", str(model), str(noisy_tif), "--samples", "2", "--index", "0"]
        assert (
            main([*command, option, "1", "--device", "cpu", "--out", str(tmp_path / option)]) == 0
        )
    name = "cells_hdn-segmented-samples.ome.tif"
    one, other = (tifffile.imread(tmp_path / o / name) for o in ("--off", "--deactivate"))
    np.testing.assert_array_equal(one, other)
    with tifffile.TiffFile(tmp_path / "--off" / name) as file:
        assert "level" in file.ome_metadata


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--from-samples", "{samples}", "--samples", "4"], "nothing is drawn"),
        ([], "Name a model and an image"),
        (["--from-samples", "{truth}"], "no axis of samples"),
        (["{model}", "{samples}"], "--from-samples instead"),
        (["--from-samples", "{samples}", "--recipe", "cellpose"], "no recipe 'cellpose'"),
        (["--from-samples", "{samples}", "--truth", "{noisy}"], "does not fit"),
        (["--from-samples", "{samples}", "--truth", "{float}"], "are not whole numbers"),
        (["--from-samples", "{samples}", "--truth", "{zero}"], "no objects"),
        (["{model}", "{noisy}", "--samples", "0"], "greater than or equal to 1"),
    ],
)
def test_mistakes(sampled, model, noisy_tif, capsys, options, says):
    folder, truth, _ = sampled
    tifffile.imwrite(folder / "float.tif", truth + 0.5)
    tifffile.imwrite(folder / "zero.tif", truth * 0)
    paths = {
        "samples": folder / "cells_hdn-samples.ome.tif",
        "truth": folder / "truth.tif",
        "model": model,
        "noisy": noisy_tif,
        "float": folder / "float.tif",
        "zero": folder / "zero.tif",
    }
    typed = [option.format(**paths) for option in options]
    assert main(["segment", *typed, "--out", str(folder / "out")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
