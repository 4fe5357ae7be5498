"""What we write, read by other people's programs: pixels, axes, sizes, units, names.

Each is held against what was written, with all axes: what these readers tell is what Fiji, QuPath,
napari and scripts of colleagues will be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import bioio_ome_tiff
import bioio_ome_zarr
import numpy as np
import ome_types
import ome_zarr.io
import ome_zarr.reader
import pytest
import tifffile
import yaozarrs
from napari.components import ViewerModel
from napari_builtins.io import napari_get_reader
from napari_ome_zarr import napari_get_reader as napari_ome_zarr_reader

from napari_hdn.io.images import open_images
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.ome_tiff import write_ome_tiff
from napari_hdn.io.zarr.write import write_ome_zarr

NAMES = ("actin", "Zellkerne µ")
KNOWN = ImageMetadata({"Z": 0.5, "Y": 0.2, "X": 0.1}, 2.5, NAMES)


@dataclass(frozen=True)
class Case:
    axes: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def pixels(self) -> np.ndarray:
        return np.random.default_rng(7).uniform(0, 250, self.shape).astype(self.dtype)

    @property
    def metadata(self) -> ImageMetadata:
        return KNOWN if "C" in self.axes else KNOWN.of_channel(1)

    @property
    def names(self) -> list[str]:
        return list(self.metadata.channel_names)

    def ordered(self, axes: str) -> np.ndarray:
        """The pixels with these axes; those that the image lacks have one index."""
        there = self.pixels.transpose([self.axes.index(a) for a in axes if a in self.axes])
        return there.reshape(
            [self.shape[self.axes.index(a)] if a in self.axes else 1 for a in axes]
        )

    def __str__(self) -> str:
        return f"{self.axes}-{self.dtype}"


CASES = [
    Case("TCZYX", (3, 2, 4, 30, 20)),
    Case("ZTYX", (4, 3, 30, 20), "uint16"),
    Case("CYX", (2, 30, 20), "uint8"),
    Case("YX", (30, 20)),
]
ZARR_CASES = [*CASES, Case("TYX", (2, 1300, 1100)), Case("CYX", (2, 1101, 700), "uint16")]


@pytest.fixture(params=CASES, ids=str)
def tiff(request, tmp_path: Path) -> tuple[Path, Case]:
    case = request.param
    write_ome_tiff(
        tmp_path / "a.ome.tif", case.pixels, case.axes, metadata=case.metadata, name="cells"
    )
    return tmp_path / "a.ome.tif", case


@pytest.fixture(params=ZARR_CASES, ids=str)
def folder(request, tmp_path: Path) -> tuple[Path, Case]:
    case = request.param
    write_ome_zarr(
        tmp_path / "a.ome.zarr", case.pixels, case.axes, metadata=case.metadata, name="cells"
    )
    return tmp_path / "a.ome.zarr", case


def test_ome_tiff_by_tifffile_and_ome_types(tiff):
    path, case = tiff
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        assert (series.kind, series.dtype) == ("ome", np.dtype(case.dtype))
        np.testing.assert_array_equal(series.asarray(), case.ordered(series.axes))
    image = ome_types.from_tiff(path, validate=False).images[0]
    pixels = image.pixels
    assert image.name == "cells"
    sizes = {a: getattr(pixels, f"size_{a.lower()}") for a in "TCZYX"}
    assert sizes == {a: case.shape[case.axes.index(a)] if a in case.axes else 1 for a in "TCZYX"}
    for axis in "ZYX":
        assert getattr(pixels, f"physical_size_{axis.lower()}") == KNOWN.pixel_size_um[axis]
        assert getattr(pixels, f"physical_size_{axis.lower()}_unit").value == "µm"
    assert pixels.time_increment == (2.5 if "T" in case.axes else None)
    assert pixels.time_increment_unit.value == "s"
    assert [c.name for c in pixels.channels] == case.names


@pytest.mark.filterwarnings("ignore:As of version 0.4.0, the parser argument:DeprecationWarning")
def test_ome_tiff_by_bioio(tiff):
    path, case = tiff
    reader = bioio_ome_tiff.Reader(path)
    assert (reader.dims.order, reader.data.dtype) == ("TCZYX", np.dtype(case.dtype))
    np.testing.assert_array_equal(reader.data, case.ordered("TCZYX"))
    size = reader.physical_pixel_sizes
    assert (size.Z, size.Y, size.X) == (0.5, 0.2, 0.1)
    assert reader.channel_names == case.names
    pixels = reader.ome_metadata.images[0].pixels  # time_interval is always None for this format
    assert pixels.time_increment == (2.5 if "T" in case.axes else None)


def test_ome_zarr_is_valid_for_yaozarrs(folder):
    path, _ = folder
    yaozarrs.validate_zarr_store(str(path))


def test_ome_zarr_by_ome_zarr(folder):
    path, case = folder
    (node,) = ome_zarr.reader.Reader(ome_zarr.io.parse_url(path))()
    axes = "".join(a["name"] for a in node.metadata["axes"]).upper()
    assert axes == "".join(a for a in "TCZYX" if a in case.axes)
    finest = np.asarray(node.data[0])
    assert finest.dtype == np.dtype(case.dtype)
    np.testing.assert_array_equal(finest, case.ordered(axes))
    units = {"T": "second", "C": None} | dict.fromkeys("ZYX", "micrometer")
    assert [a.get("unit") for a in node.metadata["axes"]] == [units[a] for a in axes]
    scales = {"T": 2.5, "C": 1.0, **KNOWN.pixel_size_um}
    for level, transforms in enumerate(node.metadata["coordinateTransformations"]):
        factors = {a: 2**level if a in "YX" else 1 for a in axes}
        assert transforms[0]["scale"] == pytest.approx([scales[a] * factors[a] for a in axes])
    sizes = [image.shape[-2:] for image in node.data]
    large = max(case.shape) > 1024
    assert len(sizes) == (3 if large else 1)
    for finer, coarser in pairwise(sizes):
        assert coarser == tuple(-(-n // 2) for n in finer)
    if large:
        corner = case.ordered(axes)[..., :4, :4].astype(float).mean(axis=(-1, -2))
        np.testing.assert_allclose(np.asarray(node.data[2])[..., 0, 0], corner, atol=1)
    assert node.metadata["channel_names"] == case.names


def test_ome_zarr_by_bioio(folder):
    path, case = folder
    reader = bioio_ome_zarr.Reader(path)
    assert reader.dims.order == "".join(a for a in "TCZYX" if a in case.axes)
    np.testing.assert_array_equal(reader.data, case.ordered(reader.dims.order))
    size = reader.physical_pixel_sizes
    assert (0.5 if "Z" in case.axes else None, 0.2, 0.1) == (size.Z, size.Y, size.X)
    assert reader.channel_names == case.names
    interval = reader.time_interval
    assert getattr(interval, "total_seconds", lambda: interval)() == (
        2.5 if "T" in case.axes else None
    )


def test_ome_zarr_by_naparis_own_reader(folder):
    """It shows pixels and pyramid; scales and names need the plugin napari-ome-zarr, or ours."""
    path, case = folder
    ((levels, *_),) = napari_get_reader(str(path))(str(path))
    np.testing.assert_array_equal(
        np.asarray(levels[0]), case.ordered("".join(a for a in "TCZYX" if a in case.axes))
    )
    assert len(levels) == (3 if max(case.shape) > 1024 else 1)


def test_ome_zarr_by_the_plugin_napari_ome_zarr(folder):
    path, case = folder
    ((levels, told, kind),) = napari_ome_zarr_reader(str(path))(str(path))
    levels = levels if isinstance(levels, list) else [levels]
    axes = "".join(a for a in "TCZYX" if a in case.axes)
    np.testing.assert_array_equal(np.asarray(levels[0]), case.ordered(axes))
    assert (kind, len(levels)) == ("image", 3 if max(case.shape) > 1024 else 1)
    added = ViewerModel().add_image(levels if len(levels) > 1 else levels[0], **told)
    for one in added if isinstance(added, list) else [added]:
        kept = axes.replace("C", "")
        assert "".join(one.axis_labels).upper() == kept
        assert tuple(one.scale) == pytest.approx(
            [{"T": 2.5, **KNOWN.pixel_size_um}[a] for a in kept]
        )
        assert [str(u) for u in one.units] == ["second" if a == "T" else "micrometer" for a in kept]
    names = told["name"] if "C" in case.axes else [told["name"]]
    assert names == [f"cells: {n}" for n in case.names]


def test_both_by_ourselves(tmp_path: Path):
    for case in [*CASES, Case("SYX", (5, 30, 20)), Case("STZYX", (5, 3, 2, 30, 20))]:
        for path, write in (("a.ome.tif", write_ome_tiff), ("a.ome.zarr", write_ome_zarr)):
            place = tmp_path / f"{case}" / path
            write(place, case.pixels, case.axes, metadata=case.metadata)
            (stack,) = open_images([place])
            assert (sorted(stack.axes), stack.array.dtype) == (sorted(case.axes), case.dtype)
            np.testing.assert_array_equal(np.asarray(stack.array), case.ordered(stack.axes))
            sizes = {a: KNOWN.pixel_size_um[a] for a in "ZYX" if a in case.axes}
            assert {a: stack.pixel_size_um[a] for a in sizes} == pytest.approx(sizes)
            assert stack.metadata.time_step_s == (2.5 if "T" in case.axes else None)
            assert list(stack.metadata.channel_names) == case.names


@pytest.mark.parametrize(("axes", "shape"), [("SYX", (5, 30, 20)), ("STZYX", (5, 3, 2, 30, 20))])
def test_samples_have_an_axis_that_other_readers_open(tmp_path: Path, axes, shape):
    case = Case(axes, shape)
    write_ome_zarr(tmp_path / "a.ome.zarr", case.pixels, axes, metadata=case.metadata)
    yaozarrs.validate_zarr_store(str(tmp_path / "a.ome.zarr"))
    reader = bioio_ome_zarr.Reader(tmp_path / "a.ome.zarr")
    assert reader.dims.order == "".join(a for a in "TSZYX" if a in axes)
    np.testing.assert_array_equal(reader.data, case.ordered(reader.dims.order))
    (node,) = ome_zarr.reader.Reader(ome_zarr.io.parse_url(tmp_path / "a.ome.zarr"))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), reader.data)


def test_samples_of_channels_are_named_channels(tmp_path: Path):
    case = Case("SCYX", (3, 2, 30, 20))
    write_ome_zarr(tmp_path / "a.ome.zarr", case.pixels, case.axes, metadata=case.metadata)
    yaozarrs.validate_zarr_store(str(tmp_path / "a.ome.zarr"))
    reader = bioio_ome_zarr.Reader(tmp_path / "a.ome.zarr")
    assert reader.channel_names == [f"{n}, sample {s}" for s in (1, 2, 3) for n in NAMES]
    np.testing.assert_array_equal(reader.data, case.pixels.reshape(6, 30, 20))
