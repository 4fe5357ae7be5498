"""What is written beside the report, read back; nothing is overwritten."""

import json
import shutil
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from judged import SPREAD, make_judgement
from napari_hdn.core.errors import OutputError
from napari_hdn.io.images import open_images
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.trust.files import (
    check_trust_folder,
    trust_maps,
    trust_paths,
    trust_products,
    write_trust,
)


def test_all_is_written_and_numbered(tmp_path):
    found, folder = make_judgement(), tmp_path / "deep" / "out"
    size = {"Y": 0.1, "X": 0.2}
    paths = trust_paths(folder, "cells")
    assert paths["report"].name == "cells_hdn-trust-report.html"
    written = write_trust(
        found,
        paths,
        where="cells.tif",
        facts={"region": [0, 64, 0, 80]},
        metadata=ImageMetadata(size),
    )
    assert trust_products(paths, written) | {"recipe": paths["recipe"]} == paths
    assert all(p.is_file() for p in written)
    numbers = json.loads(paths["numbers"].read_text(encoding="utf-8"))
    assert numbers["region"] == [0, 64, 0, 80] and numbers["seed"] == 7
    assert numbers["calibration"]["factor"] == 1.4
    assert numbers["prior"]["share_by_level"] == pytest.approx(found.prior.of_levels)
    trust, parts = open_images([paths["map"], paths["parts"]])
    np.testing.assert_array_equal(trust.array, found.trust.trust)
    assert trust.pixel_size_um == pytest.approx(size)
    maps = trust_maps(found)
    assert (parts.axes, parts.array.shape) == ("CYX", (len(maps), 64, 80))
    with tifffile.TiffFile(paths["parts"]) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    assert [c.attrib["Name"] for c in root.findall(".//{*}Channel")] == list(maps)
    for k, image in enumerate(maps.values()):
        np.testing.assert_array_equal(parts.array[k], image)
    again = trust_paths(folder, "cells")
    assert again["report"].name == "cells_hdn-trust-report-2.html"
    before = paths["report"].read_bytes()
    write_trust(found, again)
    assert paths["report"].read_bytes() == before


def test_the_maps_are_those_of_the_parts():
    found = make_judgement()
    maps = trust_maps(found)
    assert {"trust by residuals", "trust by spread", "share of the prior, level 2"} <= set(maps)
    assert "share of the prior, level 1" not in maps  # it is off
    least = np.minimum(maps["trust by residuals"], maps["trust by spread"])
    np.testing.assert_array_equal(least, found.trust.trust)
    assert (maps["lowest part"][:16, :16] == -1).all()


def test_numbers_that_are_none_are_null(tmp_path):
    from dataclasses import replace

    found = make_judgement(spread=replace(SPREAD, ranks=float("nan")))
    paths = trust_paths(tmp_path, "cells")
    write_trust(found, paths)
    assert json.loads(paths["numbers"].read_text())["calibration"]["rank_correlation"] is None


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match=r"could not be written|cannot be written"):
        write_trust(make_judgement(), trust_paths(tmp_path / "file" / "out", "cells"))


def test_room_for_all_files_is_asked_for_and_nothing_is_made(tmp_path, monkeypatch):
    found, folder = make_judgement(), tmp_path / "deep" / "out"
    asked = []
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=0)
    )
    with pytest.raises(OutputError, match=r"only 0\.00 MB are free"):
        check_trust_folder(folder, found.mean.shape, found.model.levels)
    assert asked == [tmp_path] and not folder.parent.exists()
    monkeypatch.undo()
    written = write_trust(found, trust_paths(folder, "cells"))
    size = sum(p.stat().st_size for p in written)
    for free, enough in ((size - 1, False), (20_000_000, True)):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, free=free: SimpleNamespace(free=free)
        )
        if enough:
            check_trust_folder(folder, found.mean.shape, found.model.levels)
            continue
        with pytest.raises(OutputError):
            check_trust_folder(folder, found.mean.shape, found.model.levels)


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"trust report cannot be saved.*Not a directory"):
        check_trust_folder(tmp_path / "file" / "out", (64, 80), 3)
