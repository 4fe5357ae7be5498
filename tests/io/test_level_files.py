"""Files about latent levels: read back by others, and numbered."""

import os
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_hdn.core.errors import OutputError
from napari_hdn.core.levels.decomposition import Decomposition
from napari_hdn.io.images import find_files, open_images
from napari_hdn.io.level_files import level_paths, write_contributions
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.naming import write_new
from napari_hdn.io.restorations import is_restoration


@pytest.fixture
def decomposition():
    rng = np.random.default_rng(0)
    parts = rng.normal(0, 5, (4, 20, 30)).astype(np.float32)
    return Decomposition(parts[:3], parts[3], np.ones((20, 30), np.float32), (0.1, 0.2, 0.3))


def test_channels_are_the_levels_and_the_remainder(decomposition, tmp_path):
    paths = level_paths(tmp_path / "out", "cells")
    size = {"Y": 0.1, "X": 0.1}
    written = write_contributions(
        paths, decomposition, model="m", where="cells.tif, T 3", metadata=ImageMetadata(size)
    )
    assert written == [paths["contributions"], paths["mean"]]
    with tifffile.TiffFile(paths["contributions"]) as file:
        assert (file.series[0].axes, file.series[0].shape) == ("CYX", (4, 20, 30))
        planes = file.series[0].asarray()
        root = ElementTree.fromstring(file.ome_metadata)
    names = [c.attrib["Name"] for c in root.findall(".//{*}Channel")]
    assert names == ["level 1", "level 2", "level 3", "remainder"]
    told = root.find(".//{*}Description").text
    assert "with model m" in told and "cells.tif, T 3" in told
    assert "level k contributes (1 = finest, 3 = coarsest), channel 4 what remains" in told
    np.testing.assert_array_equal(planes[:3], decomposition.contributions)
    np.testing.assert_array_equal(planes[3], decomposition.remainder)
    parts, mean = open_images(written)
    assert (parts.axes, mean.axes) == ("CYX", "YX")
    assert parts.pixel_size_um == mean.pixel_size_um == pytest.approx(size)
    np.testing.assert_array_equal(mean.array, decomposition.image)
    np.testing.assert_allclose(np.sum(parts.array, axis=0), mean.array, atol=1e-5)


def test_all_files_get_the_same_number(decomposition, tmp_path):
    first = level_paths(tmp_path, "cells")
    assert {p.name for p in first.values()} == {
        "cells_hdn-levels-contributions.ome.tif",
        "cells_hdn-levels-mean.ome.tif",
        "cells_hdn-levels-samples.png",
        "cells_hdn-levels-scores.json",
        "cells_hdn-levels-report.txt",
        "cells_hdn-levels-recipe.json",
    }
    first["samples"].write_bytes(b"")
    second = level_paths(tmp_path, "cells")
    assert second["mean"].name == "cells_hdn-levels-mean-2.ome.tif"
    assert second["report"].name == "cells_hdn-levels-report-2.txt"


def test_they_are_left_out_of_a_folder_of_images(decomposition, tmp_path):
    written = write_contributions(level_paths(tmp_path, "cells"), decomposition, model="m")
    tifffile.imwrite(tmp_path / "cells.tif", np.ones((20, 30), np.uint16))
    assert all(is_restoration(path) for path in written)
    assert find_files([tmp_path]) == [tmp_path / "cells.tif"]


def test_nothing_is_overwritten_or_left_half(decomposition, tmp_path):
    paths = level_paths(tmp_path, "cells")
    paths["mean"].write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        write_contributions(paths, decomposition)
    assert paths["mean"].read_bytes() == b"mine"
    assert write_new(paths["report"], b"one") == paths["report"]
    other = write_new(paths["report"], b"two")
    assert other.name == "cells_hdn-levels-report-2.txt"
    assert paths["report"].read_bytes() == b"one" and other.read_bytes() == b"two"
    with pytest.raises(OutputError, match="could not be written"):
        write_new(paths["report"] / "in a file" / "x.txt", b"three")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
