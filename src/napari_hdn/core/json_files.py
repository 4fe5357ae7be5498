"""Reading JSON that a stranger may have written: bounded in size and depth, without NaN or infinity.

No torch here: lists of models are read by it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MOST_BYTES = 32 * 2**20  # a histogram of a million cells needs some 25 MB


def read_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is too large, no JSON, nested too deeply, holds numbers that are none, or is no object.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    return parse_object(content, most_bytes)


def parse_object(content: bytes, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The same of what was read already; see `read_object`."""
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes / 2**20:.3g} MB, which no such file needs")
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_refused, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    return data


def _refused(word: str) -> float:
    raise ValueError(f"it holds {word}, which is no number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it holds {digits[:20]}, which is too large a number")
    return value
