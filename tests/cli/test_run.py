"""The commands run and methods: what was done is done again, bit for bit, and told."""

import shutil

import numpy as np
import pytest
import tifffile

from commands import TINY, weights
from napari_hdn import api
from napari_hdn.cli import main


@pytest.fixture
def noisy(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    counts = np.random.default_rng(3).poisson(40, (3, 64, 48)).astype(np.uint16)
    tifffile.imwrite(folder / "a.tif", counts, photometric="minisblack")
    return folder / "a.tif"


def same_weights(a, b):
    first, second = weights(a), weights(b)
    return all((first[name] == second[name]).all() for name in first)


def test_a_training_in_minutes_is_repeated(noisy, tmp_path, capsys):
    config = tmp_path / "tiny.json"
    changes = {"steps": None, "minutes": 0.01}
    config.write_text(TINY.model_copy(update=changes).model_dump_json())
    model = tmp_path / "model"
    command = ["train", str(noisy), "--config", str(config), "--noise", "sigma=6"]
    assert main([*command, "--out", str(model)]) == 0
    assert main(["run", str(model), "--out", str(tmp_path / "again")]) == 0
    assert "identical to the recorded ones, bit for bit" in capsys.readouterr().out
    assert same_weights(model, tmp_path / "again")
    assert api.read_recipe(tmp_path / "again").training.steps > 0
    # moved and renamed: found by its pixels
    (tmp_path / "moved").mkdir()
    noisy.rename(tmp_path / "moved" / "b.tif")
    assert main(["run", str(model)]) == 2
    assert "a.tif is not at" in capsys.readouterr().err
    assert main(["run", str(model), "--data", str(tmp_path / "moved")]) == 0
    (third,) = api.list_models()
    assert third.name == "model again" and same_weights(model, third)
    # another image under the old name
    tifffile.imwrite(noisy, np.ones((3, 64, 48), np.uint16), photometric="minisblack")
    assert main(["run", str(model)]) == 2
    said = capsys.readouterr().err
    assert "a.tif is not the image that the recipe was made with: its pixels differ" in said


def test_a_restoration_is_repeated_with_its_own_model(model, noisy, tmp_path, capsys):
    ours = tmp_path / "ours"
    shutil.copytree(model, ours)
    out = noisy.parent / "restored"
    command = ["restore", str(ours), str(noisy), "--out", str(out), "--samples", "4", "--std"]
    assert main([*command, "--seed", "5", "--deactivate", "1"]) == 0
    recipe = out / "a_hdn-recipe.json"
    done = api.read_recipe(recipe).restoration
    assert done.image.path == "../a.tif" and done.levels_off == (1,) and done.planes_done == 3
    assert [r.file for r in done.results] == ["a_hdn-mean.ome.tif", "a_hdn-std.ome.tif"]
    assert all(r.sha256 for r in done.results) and done.tiles.samples_at_a_time == 4
    moved = tmp_path / "elsewhere"  # the pair of image and results stays together
    shutil.move(noisy.parent, moved)
    recipe = moved / "restored" / recipe.name
    assert main(["run", str(recipe)]) == 0
    said = capsys.readouterr().out
    assert "The mean is identical to the recorded one" in said and "The std is identical" in said
    for product in ("mean", "std"):
        first, second = (moved / "restored" / f"a_hdn-{product}{n}.ome.tif" for n in ("", "-2"))
        np.testing.assert_array_equal(tifffile.imread(first), tifffile.imread(second))
    assert (moved / "restored" / "a_hdn-recipe-2.json").is_file()
    # the model is found among the saved ones by its weights, and another is refused
    ours.rename(api.free_model_folder("renamed"))
    assert main(["run", str(recipe), "--out", str(tmp_path / "third")]) == 0
    third = tifffile.imread(tmp_path / "third" / "a_hdn-mean.ome.tif")
    np.testing.assert_array_equal(third, tifffile.imread(recipe.with_name("a_hdn-mean.ome.tif")))
    shutil.rmtree(api.models_folder() / "renamed")
    capsys.readouterr()
    assert main(["run", str(recipe)]) == 2
    assert "The model ours of the recipe was not found" in capsys.readouterr().err


def test_methods_of_a_model_and_of_a_result(model, noisy, tmp_path, capsys):
    assert main(["methods", str(model)]) == 0
    told = capsys.readouterr().out
    assert "was minimised for 4 steps" in told and "sigma 6 counts" in told
    assert "Its standard deviation was given." in told and "Krull" not in told
    assert main(["restore", str(model), str(noisy), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["methods", str(tmp_path / "out" / "a_hdn-recipe.json")]) == 0
    assert "a.tif (TYX 3 x 64 x 48 uint16) was restored" in capsys.readouterr().out
    assert main(["methods", str(model), "--bibtex"]) == 0
    assert capsys.readouterr().out.startswith("@inproceedings{prakash2022hdn")
    assert main(["methods", str(noisy)]) == 2
    assert "a.tif is damaged" in capsys.readouterr().err


def test_scores_that_led_to_levels_being_off_are_in_the_recipe(model, noisy, tmp_path):
    ours = tmp_path / "ours"
    shutil.copytree(model, ours)
    assert main(["levels", str(ours), str(noisy), "--out", str(tmp_path / "levels")]) == 0
    assert main(["restore", str(ours), str(noisy), "--out", str(tmp_path / "o"), "--off", "1"]) == 0
    look = api.read_recipe(tmp_path / "o" / "a_hdn-recipe.json").restoration.look
    assert look.image.startswith("a.tif") and [s.level for s in look.levels] == [1, 2, 3]
