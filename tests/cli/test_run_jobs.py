"""Recipes beside segmentations, looks at levels, ...: the command run does these jobs again."""

import json
import shutil

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.cli import main


@pytest.fixture(autouse=True)
def _small_control(monkeypatch):
    monkeypatch.setattr("napari_hdn.core.trust.control.SIDE_PX", 64)


@pytest.fixture
def noisy(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    counts = np.random.default_rng(3).poisson(40, (3, 72, 64)).astype(np.uint16)
    counts[:, 20:40, 20:40] += 60
    tifffile.imwrite(folder / "a.tif", counts, photometric="minisblack")
    return folder / "a.tif"


def recipe_in(folder, name):
    return api.read_recipe(folder / name)


def same_file(folder, name, number=2):
    """Whether a numbered image holds what the first holds."""
    stem, suffix = api.split_suffix(name)
    again = tifffile.imread(folder / f"{stem}-{number}{suffix}")
    np.testing.assert_array_equal(again, tifffile.imread(folder / name))
    return True


def told_identical(product, said):
    return any(f"The {product} {w} identical to the recorded one" in said for w in ("is", "are"))


def test_a_segmentation_is_repeated(model, noisy, tmp_path, capsys):
    out = noisy.parent / "out"
    drawn = np.zeros((72, 64), np.uint16)
    drawn[20:40, 20:40] = 1
    tifffile.imwrite(noisy.parent / "truth.tif", drawn)
    command = ["segment", str(model), str(noisy), "--out", str(out), "--recipe", "bright"]
    command += ["--samples", "3", "--index", "1", "--off", "1", "--seed", "5"]
    assert main([*command, "--truth", str(noisy.parent / "truth.tif")]) == 0
    name = "a_hdn-segmented-recipe.json"
    recipe = recipe_in(out, name)
    image, truth = recipe.job.images
    assert (image.role, image.plane, image.image.path) == ("image", (1,), "../a.tif")
    assert (truth.role, truth.image.name) == ("truth", "truth.tif")
    assert recipe.job.levels_off == (1,) and recipe.job.settings.seed == 5
    assert recipe.model.sha256 == recipe_of(model).model.sha256 and recipe.training.steps == 4
    files = {r.product: r.file for r in recipe.job.results}
    assert files == {
        kind: f"a_hdn-segmented-{kind}{end}"
        for kind, end in {
            "consensus": ".ome.tif",
            "samples": ".ome.tif",
            "confidence": ".ome.tif",
            "objects": ".csv",
            "scores": ".csv",
        }.items()
    }
    assert all(r.sha256 for r in recipe.job.results)
    # image and results move together; the model stays where it was
    shutil.move(noisy.parent, tmp_path / "moved")
    out = tmp_path / "moved" / "out"
    capsys.readouterr()
    assert main(["run", str(out / name)]) == 0
    said = capsys.readouterr().out
    for product in ("consensus", "samples", "confidence", "objects", "scores"):
        assert told_identical(product, said)
    assert same_file(out, files["consensus"]) and same_file(out, files["confidence"])
    assert recipe_in(out, "a_hdn-segmented-recipe-2.json").job.results[0].sha256
    # another image under the name is refused, and a region outside, and a plane that is not there
    read = json.loads((out / name).read_text())
    place = read["job"]["images"][0]
    for change, says in (
        ({"plane": [7]}, "has no plane 7"),
        ({"plane": [1, 1]}, "has no plane 1, 1"),
        ({"region": [0, 73, 0, 9]}, "does not lie in a.tif"),
    ):
        read["job"]["images"][0] = place | change
        (out / "changed-recipe.json").write_text(json.dumps(read))
        assert main(["run", str(out / "changed-recipe.json")]) == 2
        assert says in " ".join(capsys.readouterr().err.split())
    tifffile.imwrite(
        out.parent / "a.tif", np.ones((3, 72, 64), np.uint16), photometric="minisblack"
    )
    assert main(["run", str(out / name)]) == 2
    assert "is not the image that the recipe was made with" in capsys.readouterr().err


def recipe_of(model):
    return api.read_recipe(model)


def test_a_recipe_runs_no_function_of_a_stranger(noisy, tmp_path, capsys):
    stack = tifffile.imread(noisy)[:2]
    api.write_ome_tiff(tmp_path / "s.ome.tif", stack.astype(np.float32), "SYX")
    code = tmp_path / "own.py"
    ran = tmp_path / "ran"
    code.write_text(
        f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n"
        "def segment(image):\n    return (image > 70).astype(int)\n"
    )
    command = ["segment", "--from-samples", str(tmp_path / "s.ome.tif"), "--out", str(tmp_path)]
    assert main([*command, "--recipe", f"{code}:segment"]) == 0
    recipe = str(tmp_path / "s_hdn-segmented-recipe.json")
    assert api.read_recipe(recipe).model is None and ran.exists()
    ran.unlink()
    assert main(["run", recipe]) == 2
    assert "no recipe runs code" in " ".join(capsys.readouterr().err.split()) and not ran.exists()
    assert main(["run", recipe, "--function", f"{code}:segment"]) == 0
    assert "The consensus is identical" in capsys.readouterr().out and ran.exists()


def test_levels_trust_and_generation_are_repeated(model, noisy, tmp_path, capsys):
    out = noisy.parent
    piece = ["--index", "2", "--region", "0:64,0:64", "--out", str(out)]
    levels = ["levels", str(model), str(noisy), "--samples", "2", "--background", "44:64,0:64"]
    trust = ["trust", str(model), str(noisy), "--samples", "4", "--repeats", str(noisy)]
    generate = ["generate", str(model), "--out", str(out), "--size", "48x40", "--number", "2"]
    assert main([*levels, *piece]) == 0
    assert main([*trust, *piece, "--seed", "2"]) == 0
    assert main([*generate, "--like", str(noisy), "--noise"]) == 0
    for name, products in (
        ("a_hdn-levels", ("contributions", "mean", "samples")),
        ("a_hdn-trust", ("map", "parts")),
        ("model_hdn-generated", ("images", "comparison")),
    ):
        recipe = recipe_in(out, f"{name}-recipe.json")
        assert {r.product for r in recipe.job.results if r.sha256} == set(products)
        capsys.readouterr()
        assert main(["run", str(out / f"{name}-recipe.json")]) == 0
        said = capsys.readouterr().out
        for product in products:
            assert told_identical(product, said)
        assert (out / f"{name}-recipe-2.json").is_file() and recipe.kind in name + "generation"
    look = recipe_in(out, "a_hdn-levels-recipe.json").job.look
    assert look.image.startswith("a.tif") and [s.level for s in look.levels] == [1, 2, 3]
    assert same_file(out, "a_hdn-levels-contributions.ome.tif")
    assert same_file(out, "model_hdn-generated.ome.tif")


def test_an_evaluation_is_repeated(model, noisy, tmp_path, capsys):
    counts = tifffile.imread(noisy)
    tifffile.imwrite(tmp_path / "truth.tif", counts[0])
    tifffile.imwrite(tmp_path / "second.tif", counts[1])
    table = tmp_path / "scores.csv"
    command = ["evaluate", str(noisy), "--axes", "TYX", "--out", str(table)]
    assert main([*command, "--truth", str(tmp_path / "truth.tif")]) == 0
    second = ["--second-frame", str(tmp_path / "second.tif"), "--model", str(model)]
    assert main([*command, *second, "--range", "100"]) == 0
    for number in ("", "-2"):
        recipe = tmp_path / f"scores{number}-recipe.json"
        assert main(["run", str(recipe)]) == 0
        assert "The table is identical to the recorded one." in capsys.readouterr().out
    assert (api.read_recipe(tmp_path / "scores-recipe.json").model) is None
    settings = api.read_recipe(tmp_path / "scores-2-recipe.json").job.settings
    assert settings.range_counts == 100
    assert (tmp_path / "scores-2-2.csv").read_bytes() == (tmp_path / "scores-2.csv").read_bytes()


def test_a_distillation_in_minutes_is_repeated(model, noisy, tmp_path, capsys):
    ours = shutil.copytree(model, tmp_path / "ours")
    command = ["distil", str(ours), str(noisy), "--axes", "TYX", "--minutes", "0.06"]
    assert main(command) == 0
    place = ours / "direct" / "mean"
    taught = recipe_in(place, "").job.taught
    assert taught.steps > 1 and taught.pieces > 1 and taught.schedule[0][0] == 0
    capsys.readouterr()
    assert main(["run", str(place / "recipe.json")]) == 0
    assert "The weights are identical to the recorded ones." in capsys.readouterr().out
    assert recipe_in(ours / "direct" / "mean-2", "").job.taught == taught


def test_a_distillation_in_steps_is_repeated_and_an_old_one_in_minutes_refused(
    model, noisy, tmp_path, capsys
):
    ours = shutil.copytree(model, tmp_path / "ours")
    command = ["distil", str(ours), str(noisy), "--axes", "TYX", "--steps", "3"]
    assert main(command) == 0
    place = ours / "direct" / "mean"
    assert main(["run", str(place / "recipe.json")]) == 0
    assert "The weights are identical to the recorded ones." in capsys.readouterr().out
    again = recipe_in(ours / "direct" / "mean-2", "")
    assert again.job.results[0].sha256 == recipe_in(place, "").job.results[0].sha256
    # it goes along with the model, without where things lie; a damaged one stays behind
    (ours / "direct" / "mean-2" / "recipe.json").write_text("{}")
    assert main(["export", str(ours), str(tmp_path / "m.zip")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Left out: direct/mean-2/recipe.json" in said
    assert main(["import", str(tmp_path / "m.zip"), "--name", "theirs"]) == 0
    theirs = api.models_folder() / "theirs" / "direct"
    assert recipe_in(theirs / "mean", "").job.one("image").image.path == "a.tif"
    assert not (theirs / "mean-2" / "recipe.json").exists() and (theirs / "mean-2").is_dir()
    read = json.loads((place / "recipe.json").read_text())
    read["job"]["settings"] |= {"minutes": 3.0, "steps": None}
    (tmp_path / "minutes-recipe.json").write_text(json.dumps(read))
    assert main(["run", str(tmp_path / "minutes-recipe.json")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "did not yet record how far" in said and "napari-hdn distil ours IMAGES" in said
