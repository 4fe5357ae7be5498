"""Tables as text: CSV for files, TSV for the clipboard, as spreadsheets read them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows with commas between; numbers with a point, as Python and R read them."""
    return _text(header, rows, ",")


def tsv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows with tabs between, which a spreadsheet takes apart when it is pasted."""
    return _text(header, rows, "\t")


def _text(header: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(v) for v in row] for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    """Six figures of a number; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return str(value)
