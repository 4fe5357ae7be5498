"""Channels by their names in the file."""

from dataclasses import replace

import numpy as np
import pytest

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


def test_a_name_that_is_not_there(cells, tmp_path, capsys):
    assert main(["train", str(cells), "--channel", "Cy5", "--out", str(tmp_path / "m")]) == 2
    assert "cells.zarr has no channel 'Cy5'; it has GFP, DAPI." in capsys.readouterr().err
    assert main(["train", str(cells), "--channel", "7", "--out", str(tmp_path / "m")]) == 2
    assert "channel 7 does not exist" in capsys.readouterr().err
