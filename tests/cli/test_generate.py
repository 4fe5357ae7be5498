"""The command generate, as its user runs it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from commands import interrupted_after
from napari_hdn import api
from napari_hdn.cli import main
from napari_hdn.cli.generation import size_of
from napari_hdn.io.metadata import ImageMetadata

RECIPE = "model_hdn-generated-recipe.json"


@pytest.fixture
def real(tmp_path: Path) -> Path:
    counts = np.random.default_rng(1).poisson(40, (3, 70, 90)).astype(np.uint16)
    api.write_ome_tiff(
        tmp_path / "r.ome.tif", counts, "TYX", metadata=ImageMetadata({"Y": 0.1, "X": 0.1})
    )
    return tmp_path / "r.ome.tif"


def expected(model: Path, like=None, **fields) -> np.ndarray:
    config = api.GenerationConfig(**fields)
    parts = api.generate(api.load_model(model), config, like=like)
    return np.stack([p for p in parts if isinstance(p, np.ndarray)])


def test_images_along_an_axis_of_samples(model, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    command = ["generate", str(model), "--size", "50x72", "--number", "3", "--seed", "5"]
    assert main([*command, "--out", str(out)]) == 0
    assert set(os.listdir(out)) == {"model_hdn-generated.ome.tif", RECIPE}
    (stack,) = api.open_images([out / "model_hdn-generated.ome.tif"])
    assert (stack.axes, stack.array.shape) == ("SYX", (3, 50, 72))
    made = expected(model, height=50, width=72, number=3, seed=5)
    np.testing.assert_array_equal(np.asarray(stack.array), made)
    assert "Wrote " in capsys.readouterr().out
    assert main([*command, "--out", str(out), "--noise"]) == 0
    assert "model_hdn-generated-2.ome.tif" in os.listdir(out)
    noisy = tifffile.imread(out / "model_hdn-generated-2.ome.tif")
    assert np.std(noisy - made) == pytest.approx(6, rel=0.05)  # trained with --noise sigma=6


@pytest.mark.parametrize("noise", [False, True])
def test_real_next_to_generated(model, real, tmp_path, capsys, noise):
    out = tmp_path / "out"
    command = ["generate", str(model), "--size", "64x80", "--number", "2", "--like", str(real)]
    assert main([*command, "--out", str(out), *(["--noise"] if noise else [])]) == 0
    assert sorted(os.listdir(out)) == [
        RECIPE,
        "model_hdn-generated.ome.tif",
        "model_hdn-generated.png",
    ]
    (stack,) = api.open_images([out / "model_hdn-generated.ome.tif"])
    assert stack.pixel_size_um == pytest.approx({"Y": 0.1, "X": 0.1})
    trained = api.load_model(model)
    config = api.GenerationConfig(height=64, width=80, number=2, camera_noise=noise)
    (given,) = api.open_images([real])
    pieces = api.real_pieces(given, (64, 80), 2)
    held = np.stack(pieces) if noise else [*api.restored_pieces(trained, pieces, config)][-1]
    made = np.asarray(stack.array)
    told = capsys.readouterr().out
    assert api.compare_with_real(list(held), list(made)).in_words(8) in told
    limits = tuple(float(v) for v in np.quantile(held, [0.002, 0.998]))
    title = "real, raw" if noise else "real, restored"
    sheet = api.grid_png(
        {title: held[:, None], "generated": made[:, None]}, ["1", "2"], limits=limits
    )
    assert (out / "model_hdn-generated.png").read_bytes() == sheet
    with Image.open(out / "model_hdn-generated.png") as picture:
        assert picture.width > 2 * 160 and picture.height > 2 * 128


@pytest.mark.parametrize("noise", [False, True])
def test_fewer_real_pieces_than_images(model, tmp_path, capsys, noise):
    counts = np.random.default_rng(1).poisson(40, (64, 80)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "one.tif", counts)
    command = ["generate", str(model), "--size", "64x80", "--like", str(tmp_path / "one.tif")]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), *(["--noise"] if noise else [])]) == 0
    assert "Generated (4 images) against real (1 piece): mean" in capsys.readouterr().out
    assert sorted(os.listdir(out)) == [
        RECIPE,
        "model_hdn-generated.ome.tif",
        "model_hdn-generated.png",
    ]
    assert tifffile.imread(out / "model_hdn-generated.ome.tif").shape == (4, 64, 80)


@pytest.mark.parametrize("noise", [False, True])
def test_an_image_that_shows_nothing(model, tmp_path, capsys, noise):
    tifffile.imwrite(tmp_path / "dark.tif", np.zeros((64, 80), np.uint16))
    command = ["generate", str(model), "--size", "64x80", "--like", str(tmp_path / "dark.tif")]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), *(["--noise"] if noise else [])]) == 0
    assert "Not compared: the real pieces show nothing, every pixel is 0 counts." in (
        capsys.readouterr().out
    )


def test_a_stop_keeps_what_is_done(model, real, tmp_path, monkeypatch, capsys):
    generate = api.generate
    monkeypatch.setattr(
        api, "generate", lambda *a, **k: interrupted_after(generate(*a, **k), np.ndarray, 2)
    )
    out = tmp_path / "out"
    command = ["generate", str(model), "--size", "32x48", "--number", "4", "--out", str(out)]
    assert main([*command, "--like", str(real)]) == 130
    monkeypatch.undo()
    partial = "model_hdn-generated-recipe-partial.json"
    assert set(os.listdir(out)) == {"model_hdn-generated-partial.ome.tif", partial}
    assert not api.read_recipe(out / partial).job.complete
    kept = tifffile.imread(out / "model_hdn-generated-partial.ome.tif")
    np.testing.assert_array_equal(kept, expected(model, height=32, width=48, number=2))


def test_a_stop_before_the_first_image_writes_nothing(model, tmp_path, monkeypatch, capsys):
    generate = api.generate
    monkeypatch.setattr(
        api, "generate", lambda *a, **k: interrupted_after(generate(*a, **k), float, 1)
    )
    out = tmp_path / "out"
    command = ["generate", str(model), "--size", "300", "--tile", "64", "--out", str(out)]
    assert main(command) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not out.exists()


def test_other_intensities_get_a_warning(model, real, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "bright.tif", tifffile.imread(real)[0] * 100)
    command = ["generate", str(model), "--size", "64", "--number", "1", "--out", str(tmp_path)]
    assert main([*command, "--like", str(tmp_path / "bright.tif")]) == 0
    assert "Warning: bright.tif runs from" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512x768", (512, 768)),
        ("64", (64, 64)),
        (" 3 X 5 ", (3, 5)),
        ("7×9", (7, 9)),
        ("7,9", (7, 9)),
    ],
)
def test_sizes(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("missing", "no model folder missing"),
        ("MODEL --size big", "height x width in pixels, such as 512x768; 'big' is not"),
        ("MODEL --size 5x", "height x width"),
        ("MODEL --size 0x5", "height: Input should be greater than or equal to 1 (given: 0)"),
        ("MODEL --size 9999999x9999999", "GB are free in r; make room"),
        ("MODEL --number 0", "number: Input should be greater"),
        ("MODEL --seed=-1", "seed: Input should be greater"),
        ("MODEL --tile 3", "tile_px: Input should be greater"),
        ("MODEL --deactivate 3", "top of the network and has to stay on"),
        ("MODEL --deactivate 9", "Level 9 cannot be switched off"),
        ("MODEL --deactivate one", "takes level numbers"),
        ("MODEL --axes YX", "tell of the image that --like names"),
        ("MODEL --like missing.tif", "no file or folder missing.tif"),
        ("MODEL --like nan.tif", "1 of 4096 pixels are NaN"),
        ("MODEL --out nan.tif", "nan.tif is a file"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(typed, says, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nan = np.full((64, 64), 40, np.float32)
    nan[3, 4] = np.nan
    tifffile.imwrite("nan.tif", nan)
    words = ["generate", *(str(model) if word == "MODEL" else word for word in typed.split())]
    assert main(words if "--out" in words else [*words, "--out", "r"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("napari-hdn: ") and error.count("\n") == 1
    assert os.listdir() == ["nan.tif"]
