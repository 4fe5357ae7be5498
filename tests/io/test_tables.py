"""Tables as text, read back."""

import csv
import io

import numpy as np

from napari_hdn.io.tables import csv_text, tsv_text

HEADER = ("image", "PSNR (dB, range 255)", "n")
ROWS = [('a, "b"\tc', 1 / 3, 4), ("d", None, 5), ("e", np.inf, 6), ("f", -2.5e-9, np.int64(7))]


def test_they_read_back():
    for text, delimiter in ((csv_text(HEADER, ROWS), ","), (tsv_text(HEADER, ROWS), "\t")):
        header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter)
        assert tuple(header) == HEADER
        assert rows == [
            ['a, "b"\tc', "0.333333", "4"],
            ["d", "", "5"],  # no number, and none that a spreadsheet knows
            ["e", "", "6"],
            ["f", "-2.5e-09", "7"],
        ]
