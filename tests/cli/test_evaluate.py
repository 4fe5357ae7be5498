"""The command evaluate, as its user runs it."""

import csv

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.cli import main


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.uniform(50, 90, (2, 40, 48)).astype(np.float32)
    for name, image in {
        "truth": truth,
        "a": truth + rng.normal(0, 4, truth.shape),
        "b": truth + rng.normal(0, 8, truth.shape),
        "second": truth + rng.normal(0, 6, truth.shape),
        "flat": truth * 0 + 3,
        "small": truth[:, 1:],
    }.items():
        tifffile.imwrite(
            tmp_path / f"{name}.tif", image.astype(np.float32), photometric="minisblack"
        )
    return tmp_path


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_against_a_truth(files, capsys):
    out = files / "deep" / "scores.csv"
    paths = [str(files / n) for n in ("a.tif", "b.tif")]
    command = ["evaluate", *paths, "--truth", str(files / "truth.tif"), "--out", str(out)]
    assert main(command) == 0
    *_, expected = api.evaluate(api.open_images(paths), api.open_images([files / "truth.tif"])[0])
    rows = rows_of(out)
    assert [row["image"] for row in rows] == ["a.tif", "b.tif"]
    for row, evaluated in zip(rows, expected.rows, strict=True):
        got = [float(row[column]) for column in expected.columns]
        np.testing.assert_allclose(got, evaluated.values, rtol=1e-5)
    said = capsys.readouterr().out
    assert f"{expected.rows[1].values[0]:.6g}  PSNR (dB, range max - min of the truth)" in said
    before = out.read_bytes()
    assert main([*command, "--range", "255"]) == 0
    assert out.read_bytes() == before
    assert "PSNR (dB, range 255)" in rows_of(out.with_name("scores-2.csv"))[0]


def test_against_a_second_frame(files, model, capsys):
    command = ["evaluate", str(files / "a.tif"), "--second-frame", str(files / "second.tif")]
    assert main([*command, "--model", str(model), "--out", str(files / "s.csv")]) == 0
    (row,) = rows_of(files / "s.csv")
    images = tifffile.imread(files / "a.tif"), tifffile.imread(files / "second.tif")
    mse = np.mean((images[0].astype(float) - images[1]) ** 2) - 36  # the model's sigma is 6
    assert float(row["estimated MSE (counts²)"]) == pytest.approx(mse, rel=1e-4)
    assert "for a static scene" in capsys.readouterr().out


def test_the_zeros_of_a_partial_file_are_in_no_mean(files, capsys):
    image = tifffile.imread(files / "a.tif")
    image[0] = 0
    tifffile.imwrite(files / "a-partial.tif", image, photometric="minisblack")
    truth = api.open_images([files / "truth.tif"])[0]
    command = ["evaluate", str(files / "a-partial.tif"), "--truth", str(files / "truth.tif")]
    assert main([*command, "--out", str(files / "s.csv")]) == 0
    (row,) = rows_of(files / "s.csv")
    one = np.mean((image[1].astype(float) - truth.plane((1,))) ** 2)
    assert float(row["MSE (counts²)"]) == pytest.approx(one, rel=1e-5)
    assert (row["planes"], row["planes left out"]) == ("1", "1")
    said = capsys.readouterr().out
    assert "Warning: a-partial.tif: 1 of 2 planes are 0 everywhere" in said
    assert "(1 of 2 planes, 1 left out)" in said


def test_a_table_that_cannot_be_written_is_found_out_before_the_work(files, capsys, monkeypatch):
    def worked(*args, **kwargs):
        raise AssertionError("compared before it was known where to write")

    monkeypatch.setattr(api, "evaluate", worked)
    truth = str(files / "truth.tif")
    for folder in ("/proc/x", str(files / "a.tif")):
        command = ["evaluate", str(files / "a.tif"), "--truth", truth, "--out", f"{folder}/a.csv"]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert f"{folder}/a.csv could not be written" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["a.tif"], "either --truth TRUTH.tif, or --second-frame"),
        (["a.tif", "--truth", "truth.tif", "--second-frame", "b.tif"], "either --truth"),
        (["a.tif", "--second-frame", "second.tif"], "name the --model"),
        (["a.tif", "--truth", "small.tif"], "do not belong together"),
        (["a.tif", "--truth", "flat.tif"], "are 3: against a constant truth"),
        (["a.tif", "--truth", "truth.tif", "--range", "wide"], "'wide' is not"),
        (["a.tif", "--truth", "truth.tif", "--range", "0"], "positive number of counts"),
        (["--truth", "truth.tif"], "No image was named"),
    ],
)
def test_mistakes(files, capsys, options, says, monkeypatch):
    monkeypatch.chdir(files)
    assert main(["evaluate", *options]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
