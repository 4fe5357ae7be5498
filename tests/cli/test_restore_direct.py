"""Restoring by the direct network of a model."""

import os
import shutil

import numpy as np
import pytest
import tifffile

from commands import images_in
from napari_hdn import api
from napari_hdn.cli import main


@pytest.fixture
def taught(model, tmp_path):
    """A model with a direct network, and an image."""
    teacher = shutil.copytree(model, tmp_path / "teacher")
    counts = np.random.default_rng(3).poisson(40, (5, 80, 72)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", counts)
    assert main(["distil", str(teacher), str(tmp_path / "a.tif"), "--steps", "2"]) == 0
    return teacher, str(tmp_path / "a.tif")


def test_direct_writes_what_the_direct_network_makes(taught, tmp_path, capsys):
    teacher, image = taught
    out = tmp_path / "out"
    assert main(["restore", str(teacher), image, "--out", str(out), "--direct"]) == 0
    assert images_in(out) == ["a_hdn-mean.ome.tif"]
    (made,) = api.open_images(out.glob("*.tif"))
    (stack,) = api.open_images([image])
    model = api.load_model(teacher)
    events = api.restore_direct(model, api.choose_direct(model, ()), stack, api.RestorationConfig())
    planes = [e.planes["mean"] for e in events if isinstance(e, api.PlaneRestored)]
    np.testing.assert_array_equal(made.array, np.stack(planes))
    with tifffile.TiffFile(out / "a_hdn-mean.ome.tif") as file:
        assert "teacher, direct network mean" in file.ome_metadata


def test_a_recipe_is_repeated_by_the_very_network_or_not_at_all(taught, tmp_path, capsys):
    teacher, image = taught
    command = ["restore", str(teacher), image, "--out", str(tmp_path / "out"), "--direct"]
    assert main(command) == 0
    recipe = tmp_path / "out" / "a_hdn-recipe.json"
    (first,) = (teacher / "direct").iterdir()
    assert main(["distil", str(teacher), image, "--steps", "3"]) == 0  # newer, of the same model
    run = ["run", str(recipe), "--out", str(tmp_path / "again")]
    assert main(run) == 0
    assert "identical to the recorded one" in capsys.readouterr().out
    shutil.rmtree(first)
    written = images_in(tmp_path / "again")
    assert main(run) == 2
    told = capsys.readouterr().err
    assert "The direct network mean of the recipe was not found among those of teacher" in told
    assert "What there is, mean-2, has other weights" in told
    assert images_in(tmp_path / "again") == written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--std"], "knows no uncertainty"),
        (["--flips"], "without flips"),
        (["--off", "1"], "level 1 shall be off"),
        (["--outputs", "median"], "has no direct network of the median"),
    ],
)
def test_what_it_cannot_do_is_told_and_nothing_written(taught, tmp_path, capsys, options, message):
    teacher, image = taught
    command = ["restore", str(teacher), image, "--out", str(tmp_path / "out"), "--direct", *options]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []
