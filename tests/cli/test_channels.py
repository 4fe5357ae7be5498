"""Channels by their names in the file."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_hdn import api
from napari_hdn.cli import choices, main
from napari_hdn.cli.inspection import one_image
from napari_hdn.cli.terminal import Progress
from napari_hdn.core.errors import ConfigurationError
from ngff import write_image

COUNTS = np.random.default_rng(0).poisson(50, (2, 2, 16, 16)).astype(np.uint16)


@pytest.fixture
def cells(tmp_path):
    return write_image(tmp_path / "cells.zarr", COUNTS, names=("GFP", "DAPI"))


def test_the_number_of_a_channel(cells):
    stacks = api.open_images([cells], channel="DAPI")
    assert choices.channel_number("DAPI", stacks) == 1
    assert choices.channel_number(0, stacks) == 0
    with pytest.raises(
        ConfigurationError, match=r"channel DAPI .*\(1 in cells\.zarr, 0 in b\.zarr\)"
    ):
        choices.channel_number("DAPI", [*stacks, replace(stacks[0], channel=0, name="b.zarr")])


def test_one_image_with_several_channels(cells):
    with pytest.raises(ConfigurationError, match=r"has 2 channels \(GFP, DAPI\); say which"):
        one_image(str(cells), None, None, Progress())
    assert one_image(str(cells), None, "dapi", Progress()).channel == 1


def test_a_batch_takes_the_channel_of_that_name_from_each_file(cells, tmp_path, model, capsys):
    write_image(tmp_path / "swapped.zarr", COUNTS[:, ::-1], names=("DAPI", "GFP"))
    command = ["restore", str(model), str(tmp_path / "*.zarr"), "--out", str(tmp_path / "out")]
    assert main([*command, "--channel", "DAPI"]) == 0
    made = {name: tmp_path / "out" / f"{name}_hdn-mean.ome.tif" for name in ("cells", "swapped")}
    one, other = (tifffile.imread(path) for path in made.values())
    assert one.shape == (2, 16, 16)
    np.testing.assert_array_equal(one, other)
    recipes = [api.read_recipe(tmp_path / "out" / f"{name}_hdn-recipe.json") for name in made]
    assert [r.restoration.image.channel for r in recipes] == [1, 0]
    assert main([*command, "--channel", "DAPI"]) == 0
    assert "2 images were restored before" in capsys.readouterr().out
    assert main([*command, "--channel", "GFP"]) == 0  # that is something else
    again = tifffile.imread(tmp_path / "out" / "cells_hdn-mean-2.ome.tif")
    assert again.shape == one.shape and not np.array_equal(again, one)
    assert main(["run", str(tmp_path / "out" / "swapped_hdn-recipe.json")]) == 0
    assert "identical" in capsys.readouterr().out


def test_other_commands_take_names(cells, tmp_path, model, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        api, "distil", lambda _, stacks, config, **__: asked.append(config) or stop()
    )
    monkeypatch.setattr(api, "calibrate", lambda _, config, **__: asked.append(config) or stop())

    def stop():
        raise ConfigurationError("far enough")

    assert main(["distil", str(model), str(cells), "--channel", "dapi"]) == 2
    assert (
        main(["calibrate", str(cells), "--channel", "DAPI", "--out", str(tmp_path / "n.json")]) == 2
    )
    assert [config.channel for config in asked] == [1, 1]
    tifffile.imwrite(tmp_path / "one.tif", COUNTS[:, 1], photometric="minisblack")  # no channels
    truth = ["--truth", str(cells), "--channel", "DAPI"]
    assert main(["evaluate", str(tmp_path / "one.tif"), *truth]) == 0
    assert "inf  PSNR" in capsys.readouterr().out


def test_a_name_that_is_not_there(cells, tmp_path, capsys):
    assert main(["train", str(cells), "--channel", "Cy5", "--out", str(tmp_path / "m")]) == 2
    assert "cells.zarr has no channel 'Cy5'; it has GFP, DAPI." in capsys.readouterr().err
    assert main(["train", str(cells), "--channel", "7", "--out", str(tmp_path / "m")]) == 2
    assert "channel 7 does not exist" in capsys.readouterr().err
