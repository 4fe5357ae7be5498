from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_hdn.core.errors import OutputError
from napari_hdn.io.zarr.write import write_ome_zarr


def test_axes_are_ordered_and_dask_is_read_by_rows(tmp_path: Path):
    image = np.random.default_rng(1).integers(0, 999, (60, 2500, 2), dtype=np.uint16)  # X, Y, C
    path = tmp_path / "deep" / "cells.ome.zarr"
    assert write_ome_zarr(path, da.from_array(image, chunks=(60, 500, 2)), "XYC") == 0
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["0"][:], image.transpose(2, 1, 0))
    assert group["0"].dtype == np.uint16 and group["0"].metadata.dimension_names == ("c", "y", "x")
    assert [group[str(k)].shape for k in range(3)] == [(2, 2500, 60), (2, 1250, 30), (2, 625, 15)]
    assert [p.name for p in path.parent.iterdir()] == ["cells.ome.zarr"]


def test_clipping_is_counted(tmp_path: Path):
    image = np.array([[-1.0, 2.5], [300.0, 4.0]])
    assert write_ome_zarr(tmp_path / "a.ome.zarr", image, "YX", dtype=np.uint8) == 2


def test_nothing_is_replaced_and_an_error_leaves_nothing(tmp_path: Path):
    image = np.zeros((3, 20, 30))
    (tmp_path / "a.ome.zarr").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        write_ome_zarr(tmp_path / "a.ome.zarr", image, "TYX")

    class Torn:
        shape, dtype = image.shape, image.dtype

        def __getitem__(self, at):
            if at[0] == 2:
                raise RuntimeError("torn")
            return image[at]

    with pytest.raises(RuntimeError, match="torn"):
        write_ome_zarr(tmp_path / "new" / "b.ome.zarr", Torn(), "TYX")
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]
