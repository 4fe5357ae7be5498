"""Whatever stands in the metadata of a Zarr: it is read, or told in an error for the user."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from napari_hdn.core.errors import HDNError
from napari_hdn.io.images import open_each
from napari_hdn.io.reading.stack import Unopened
from ngff import write_attributes, write_image

COUNTS = np.random.default_rng(0).poisson(50, (2, 2, 20, 24)).astype(np.uint16)
ODD = [None, True, 0, -1, 10**400, 1.5, float("nan"), "", "x", "\0", "../..", "a" * 5000, [], [[]],
       {}, {"path": 1}, [None], ["x"], [1, 2], "0"]  # fmt: skip


def _spots(node, at=()):
    """The places in a JSON document."""
    if at:
        yield at
    for key in (
        node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    ):
        yield from _spots(node[key], (*at, key))


def _changed(document: dict, rng: np.random.Generator) -> dict:
    document = copy.deepcopy(document)
    for _ in range(rng.integers(1, 4)):
        spots = list(_spots(document))
        if not spots:
            break
        spot = spots[rng.integers(len(spots))]
        node = document
        for key in spot[:-1]:
            node = node[key]
        if rng.random() < 0.2:
            del node[spot[-1]]
        else:
            node[spot[-1]] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    return document


@pytest.mark.filterwarnings("ignore")  # zarr's, of keys that it does not know
@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("which", ["image", "array", "plate", "well", "container"])
def test_it_is_read_or_told(tmp_path: Path, which: str, version: str):
    folder = tmp_path / "a.zarr"
    if which in ("image", "array"):
        write_image(folder, COUNTS, version=version, names=("a", "b"), top=[1, 1, 1, 1])
    elif which == "container":
        write_attributes(folder, {"bioformats2raw.layout": 3}, version)
        write_attributes(folder / "OME", {"series": ["0"]}, version)
        write_image(folder / "0", COUNTS, version=version)
    else:
        write_attributes(folder, {"plate": {"wells": [{"path": "A/1"}]}}, version)
        write_attributes(folder / "A/1", {"well": {"images": [{"path": "0"}]}}, version)
        write_image(folder / "A/1/0", COUNTS, version=version)
    names = {"0.4": ".zattrs", "0.5": "zarr.json"}
    file = folder / names[version]
    if which == "array":
        file = folder / "0" / {"0.4": ".zarray", "0.5": "zarr.json"}[version]
    elif which == "well":
        file = folder / "A/1" / names[version]
    elif which == "container":
        file = folder / "OME" / names[version]
    whole = json.loads(file.read_text())
    refused = []
    for seed in range(40):
        file.write_text(json.dumps(_changed(whole, np.random.default_rng(seed))))
        for image in open_each([folder]):
            if isinstance(image, Unopened):
                refused.append(str(image.error))
                continue
            try:
                image.plane(next(image.indices()))
            except HDNError as error:
                refused.append(str(error))
    assert len(refused) > 4
    assert all("zarr" in said for said in refused)
