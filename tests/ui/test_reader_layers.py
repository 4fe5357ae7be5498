"""Layers as the readers of CZI, ND2, LIF and OME-Zarr give them: what they say travels on."""

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
from napari.layers import Image
from napari.layers._source import layer_source
from napari_builtins.io import napari_get_reader

from napari_hdn import api
from napari_hdn.core.errors import ImageError
from napari_hdn.ui.channel_names import channel_names
from napari_hdn.ui.contributions import write_image
from napari_hdn.ui.export import Picture, metadata_of
from napari_hdn.ui.layers import METADATA_KEY, stack_of
from napari_hdn.ui.parts.channel import ChannelChoice
from napari_hdn.ui.sources import LayerSource, left_out_by_reader

COUNTS = np.random.default_rng(0).poisson(50, (3, 2, 16, 20)).astype(np.uint16)
NAMES = ["GFP", "Kern 核"]


def _nd2(pyramid: bool = False) -> Image:
    """Lazy, with coordinates, as nd2 and bioio give them."""
    lazy = da.from_array(COUNTS, chunks=(1, 1, 16, 20))
    array = xr.DataArray(lazy, dims=("P", "C", "Y", "X"), coords={"C": NAMES})
    data = [array, array[..., ::2, ::2]] if pyramid else array
    return Image(data, multiscale=pyramid, name="nd2", scale=(1, 1, 65, 65),
                 units=("pixel", "pixel", "nm", "nm"))  # fmt: skip


@pytest.mark.parametrize("pyramid", [False, True])
def test_an_xarray_with_named_channels(tmp_path, pyramid: bool):
    layer = _nd2(pyramid)
    source = LayerSource.of(layer, None, 1)
    assert (source.stack.axes, source.channel_names) == ("SCYX", tuple(NAMES))
    np.testing.assert_array_equal(source.stack.plane((2,)), COUNTS[2, 1])
    picture = Picture.of(layer)
    assert picture.metadata.pixel_size_um == pytest.approx({"Y": 0.065, "X": 0.065})
    api.write_ome_tiff(tmp_path / "a.ome.tif", picture.array, "SCYX", metadata=picture.metadata)
    (stack,) = api.open_images([tmp_path / "a.ome.tif"], channel="kern 核")
    assert (stack.metadata.channel_names, stack.channel) == (tuple(NAMES), 1)
    np.testing.assert_array_equal(stack.plane((2,)), COUNTS[2, 1])


def test_napari_saves_what_a_reader_said(tmp_path):
    layer = Image(COUNTS, scale=(500, 1, 0.1, 0.1), units=("ms", "pixel", "um", "um"),
                  axis_labels=("t", "c", "y", "x"),
                  metadata={"omero": {"channels": [{"label": n} for n in NAMES]}})  # fmt: skip
    data, attributes, _ = layer.as_layer_data_tuple()
    (path,) = write_image(str(tmp_path / "a.ome.tif"), data, attributes)
    (stack,) = api.open_images([path])
    assert stack.metadata.time_step_s == pytest.approx(0.5)
    assert stack.metadata.channel_names == tuple(NAMES)
    with tifffile.TiffFile(path) as file:
        assert "Kern 核" in file.ome_metadata


@pytest.mark.parametrize("step", [float("nan"), 0.0, float("inf")])
def test_a_scale_that_is_none(step: float):
    told = metadata_of("TYX", (step, step, 0.2), ("s", "um", "um"), {})
    assert told == api.ImageMetadata({"X": 0.2})


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        ({METADATA_KEY: {"channel_names": NAMES}, "channel_names": ["a", "b"]}, tuple(NAMES)),
        ({"channel_names": ("a", "b")}, ("a", "b")),
        ({"channel_names": "ab"}, ()),
        ({"channel_names": ["a"]}, ()),
        ({"channel_names": ["a", None]}, ()),
        ({"omero": {"channels": [{"label": "a"}, {}]}}, ()),
        ({"omero": 3, METADATA_KEY: None}, ()),
    ],
)
def test_names_count_if_there_is_one_a_channel(metadata: dict, names: tuple):
    assert channel_names("TCYX", metadata, COUNTS) == names


def test_colours_are_refused():
    layer = Image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo")
    with pytest.raises(ImageError, match="photo is an RGB"):
        stack_of(layer)


def test_channels_are_offered_by_name(qtbot):
    choice = ChannelChoice("all")
    qtbot.addWidget(choice)
    stack = api.ImageStack(COUNTS, "TCYX")
    assert choice.offer([stack])
    choice.choose(1)
    assert choice.offer([stack], NAMES)
    assert [choice.itemText(i) for i in range(3)] == ["all", "channel 0: GFP", "channel 1: Kern 核"]
    assert choice.value() == 1  # as before
    assert not choice.offer([stack], NAMES)
    assert choice.offer([]) and choice.count() == 0


def test_napari_leaves_out_the_pixel_size_of_an_ome_zarr(tmp_path):
    folder = tmp_path / "cells.ome.zarr"
    metadata = api.ImageMetadata(pixel_size_um={"Y": 0.1, "X": 0.1})
    api.write_ome_zarr(folder, COUNTS[:, 0], "TYX", metadata=metadata)
    ((levels, *said),) = napari_get_reader(str(folder))(str(folder))
    assert not said  # once napari reads a scale, the remark can go
    with layer_source(path=str(folder), reader_plugin="napari"):
        made = Image(levels)
    assert left_out_by_reader(made).startswith("cells.ome.zarr was opened by napari's own reader")
    made.scale = (1, 0.1, 0.1)
    assert left_out_by_reader(made) == ""
    assert left_out_by_reader(Image(COUNTS)) == ""
