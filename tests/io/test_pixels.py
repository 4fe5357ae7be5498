import numpy as np
import pytest

from napari_hdn.core.errors import OutputError
from napari_hdn.io.pixels import converted, file_dtype


def test_types_of_files():
    assert file_dtype(np.float64) == file_dtype("f2") == np.float32
    assert file_dtype(">u2") == np.dtype("=u2")
    for wrong in (np.int64, bool, complex):
        with pytest.raises(OutputError, match=np.dtype(wrong).name):
            file_dtype(wrong)


def test_rounding_and_clipping():
    pixels = np.array([-129.0, -128.4, 0.5, 1.5, 127.4, 127.6, np.nan, np.inf])
    made, clipped = converted(pixels, np.dtype(np.int8))
    assert made.tolist() == [-128, -128, 0, 2, 127, 127, 0, 127]
    assert clipped == 4  # -129, 127.6, NaN and infinity
    whole = np.arange(3, dtype=np.uint16)
    assert converted(whole, whole.dtype)[0] is whole
