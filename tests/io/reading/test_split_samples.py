from pathlib import Path

import numpy as np
import pytest

from napari_hdn.io.images import open_images
from napari_hdn.io.metadata import ImageMetadata
from napari_hdn.io.reading.pixels import Pixels, expand
from napari_hdn.io.reading.split_samples import SplitSamples, with_samples
from napari_hdn.io.zarr.write import write_ome_zarr

COUNTS = np.random.default_rng(4).uniform(0, 99, (5, 2, 3, 7, 8)).astype(np.float32)  # S T C Y X


class Memory(Pixels):
    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key):
        return self.array[expand(key, self.ndim)]


@pytest.mark.parametrize(
    "key",
    [
        (3, 1, 2),
        (slice(None), 0, slice(1, 3), 4),
        (slice(4, 0, -2), slice(None), -1, slice(2, 5), -3),
        (-1, ..., slice(None, None, 2)),
        slice(2, 2),
        ...,
    ],
)
def test_indexed_as_numpy_is(key):
    folded = np.concatenate(list(COUNTS), axis=1)  # sample 1 of all channels first
    split = SplitSamples(Memory(folded), 1, 5)
    assert split.shape == COUNTS.shape
    np.testing.assert_array_equal(split[key], COUNTS[key])


def test_samples_of_channels_come_back_from_ome_zarr(tmp_path: Path):
    known = ImageMetadata({"Y": 0.2, "X": 0.1}, 2.0, ("actin", "b", "nuclei"))
    write_ome_zarr(tmp_path / "a.ome.zarr", COUNTS, "STCYX", metadata=known)
    (stack,) = open_images([tmp_path / "a.ome.zarr"])
    assert (stack.axes, stack.metadata) == ("STCYX", known)
    np.testing.assert_array_equal(np.asarray(stack.array), COUNTS)
    (one,) = open_images([tmp_path / "a.ome.zarr"], channel=1)
    assert one.own_metadata.channel_names == ("b",)
    np.testing.assert_array_equal(one.plane((4, 1)), COUNTS[4, 1, 1])


@pytest.mark.parametrize("own", [None, 7, {}, {"samples": "5"}, {"samples": 0}, {"samples": 4}])
def test_what_strangers_note_changes_nothing(own):
    pixels = Memory(COUNTS[0, 0])
    assert with_samples(pixels, "CYX", ImageMetadata(), own) == (pixels, "CYX", ImageMetadata())
