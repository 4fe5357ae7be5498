"""Names and types of the files of a segmentation."""

import numpy as np
import pytest
import tifffile

from napari_hdn.io.restorations import is_restoration
from napari_hdn.io.segmentations import label_writer, segmentation_paths


def test_names_belong_together_and_never_exist(tmp_path):
    first = segmentation_paths(tmp_path, "cells")
    assert first["consensus"].name == "cells_hdn-segmented-consensus.ome.tif"
    first["objects"].write_text("mine")
    second = segmentation_paths(tmp_path, "cells")
    assert {path.name.partition("-2.")[1] for path in second.values()} == {"-2."}


@pytest.mark.parametrize(("least", "dtype"), [(1, np.uint32), (5, np.uint16)])
def test_every_label_fits_whatever_the_least_area(tmp_path, least, dtype):
    """300 x 300 pixels may hold 90,000 objects of a pixel, or 18,000 of 5."""
    path = segmentation_paths(tmp_path, "cells")["consensus"]
    labels = np.arange(90_000, dtype=np.int32).reshape(300, 300) // least
    writer = label_writer(path, (300, 300), "YX", least_px=least, recipe="mine", model="m")
    with writer:
        writer.write((), labels)
    read = tifffile.imread(path)
    assert read.dtype == dtype and writer.clipped == 0
    np.testing.assert_array_equal(read, labels)
    assert is_restoration(path)
    with tifffile.TiffFile(path) as file:
        assert "with model m; segmented with recipe mine" in file.ome_metadata
