import json
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_hdn.core.errors import HDNError, ImageError, OutputError
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.zarr.image import ZarrImage, halved


def counts(shape, seed=3):
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def level(path, k=0):
    return zarr.open_array(path / str(k), mode="r")


def test_regions_are_written_in_any_order_by_whoever_opens_the_folder(tmp_path: Path):
    pixels = counts((2, 300, 200))
    first = ZarrImage.create(tmp_path / "a", (2, 300, 200), "TYX", "float32", rows=128)
    assert first.region == (128, 200)
    second = ZarrImage(tmp_path / "a")
    for image, start in ((second, 256), (first, 0), (second, 128)):
        rows = slice(start, min(start + 128, 300))
        image.write((1,), pixels[1, rows], start)
    np.testing.assert_array_equal(first.read((1,)), pixels[1])
    assert np.isnan(second.read((0,))).all()


def test_it_is_no_image_for_readers_before_it_is_sealed(tmp_path: Path):
    image = ZarrImage.create(tmp_path / "a", (30, 20), "YX", "uint16")
    attributes = json.loads((tmp_path / "a" / "zarr.json").read_bytes())["attributes"]
    assert "ome" not in attributes and attributes["napari-hdn"]["unfinished"]
    image.write((), np.full((30, 20), 7.4, np.float32))
    (tmp_path / "a" / "0" / "c" / "0.1234.partial").write_bytes(b"of a killed process")
    image.seal(name="cells", made_by="a test", note="1 of 2 planes")
    attributes = json.loads((tmp_path / "a" / "zarr.json").read_bytes())["attributes"]
    assert attributes["ome"]["multiscales"][0]["name"] == "cells"
    assert attributes["napari-hdn"]["made_by"] == "a test"
    assert attributes["napari-hdn"]["partial"] == "1 of 2 planes"
    assert "unfinished" not in attributes["napari-hdn"]
    assert not list((tmp_path / "a").rglob("*.partial"))


def test_integers_are_rounded_and_clipped_with_a_count(tmp_path: Path):
    image = ZarrImage.create(tmp_path / "a", (2, 3), "YX", "uint8")
    pixels = np.array([[-1.0, 0.4, 0.6], [254.6, 255.6, np.nan]], np.float32)
    assert image.write((), pixels) == 3
    np.testing.assert_array_equal(image.read(()), [[0, 0, 1], [255, 255, 0]])


def test_the_pyramid_is_the_local_mean(tmp_path: Path):
    pixels = counts((1025, 2050))
    image = ZarrImage.create(tmp_path / "a", (1025, 2050), "YX", "float32")
    image.write((), pixels)
    image.shrink(())
    assert [c.shape for c in image.layout.levels] == [
        (1025, 2050),
        (513, 1025),
        (257, 513),
        (129, 257),
    ]
    half = image.read((), 1)
    expected = pixels[:1024].reshape(512, 2, 1025, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(half[:512], expected, rtol=1e-6)
    np.testing.assert_allclose(half[512], pixels[1024].reshape(1025, 2).mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(image.read((), 2)[:256], halved(half)[:256], rtol=1e-6)


def test_the_mean_of_integers_is_rounded():
    plane = np.array([[1, 2, 9], [3, 4, 9]], np.uint8)
    np.testing.assert_array_equal(halved(plane), [[2, 9]])
    assert halved(np.full((2, 2), 65535, np.uint16))[0, 0] == 65535


def test_units_scales_and_channels(tmp_path: Path):
    known = ImageMetadata({"Y": 0.2, "X": 0.1}, 2.5, ("actin", "Zellkerne µ"))
    image = ZarrImage.create(tmp_path / "a", (2, 3, 4, 8, 9), "CZTYX", "uint16", pyramid=True)
    for index in np.ndindex(2, 3, 4):
        image.write(index, np.full((8, 9), 10 + index[0]))
    image.seal(name="cells", metadata=known)
    ome = json.loads((tmp_path / "a" / "zarr.json").read_bytes())["attributes"]["ome"]
    (scales,) = ome["multiscales"]
    assert [(a["name"], a["type"], a.get("unit")) for a in scales["axes"]] == [
        ("t", "time", "second"),
        ("c", "channel", None),
        ("z", "space", None),
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    assert scales["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.5, 1.0, 1.0, 0.2, 0.1]}
    ]
    assert [c["label"] for c in ome["omero"]["channels"]] == ["actin", "Zellkerne µ"]
    assert ome["omero"]["channels"][1]["window"]["start"] == 11


def test_files_of_zeros_are_there_too(tmp_path: Path):
    image = ZarrImage.create(tmp_path / "a", (2, 1100, 700), "TYX", "uint16")
    assert not any(f.exists() for f in image.files((1,)))
    image.write((1,), np.zeros((1100, 700)))
    image.shrink((1,))
    image.flush((1,))
    assert [f.relative_to(tmp_path / "a").as_posix() for f in image.files((1,))] == [
        "0/c/1/0/0",
        "1/c/1/0/0",
        "2/c/1/0/0",
    ]
    assert all(f.stat().st_size for f in image.files((1,)))


def test_large_files_are_waited_for(tmp_path: Path, monkeypatch):
    """7 ms a file on an SSD: more than a direct network takes for a small plane."""
    waited = []
    monkeypatch.setattr("os.fsync", waited.append)
    for size in (300, 700):  # 360 kB and 2 MB
        image = ZarrImage.create(tmp_path / str(size), (size, size), "YX", "float32")
        image.write((), counts((size, size)))
        image.flush(())
        assert len(waited) == (size == 700)


def test_what_does_not_fit_is_refused(tmp_path: Path):
    image = ZarrImage.create(tmp_path / "a", (30, 20), "YX", "float32")
    with pytest.raises(ImageError, match=r"\(10, 20\) from \(25, 0\) on do not fit .* 30 x 20"):
        image.write((), counts((10, 20)), 25)
    with pytest.raises(OutputError, match="could not be written: File exists"):
        ZarrImage.create(tmp_path / "a", (30, 20), "YX", "float32")
    with pytest.raises(OutputError, match="int64"):
        ZarrImage.create(tmp_path / "b", (30, 20), "YX", "int64")
    zarr.create_group(tmp_path / "foreign")
    for name in ("foreign", "missing"):
        with pytest.raises(OutputError, match="no image that napari-hdn began"):
            ZarrImage(tmp_path / name)


@pytest.mark.parametrize("missing", ["zarr", "yaozarrs"])
def test_without_zarr_the_user_is_told_what_to_install(monkeypatch, tmp_path: Path, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(HDNError, match=r'pip install "napari-hdn\[zarr\]"'):
        ZarrImage.create(tmp_path / "a", (30, 20), "YX", "float32")
    assert not list(tmp_path.iterdir())
