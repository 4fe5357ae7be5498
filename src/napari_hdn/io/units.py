"""Units of length and time, as files name them."""

from __future__ import annotations

import math
from typing import Any

_MICROMETRES = {
    "pm": 1e-6, "picometer": 1e-6,
    "å": 1e-4, "angstrom": 1e-4,
    "nm": 1e-3, "nanometer": 1e-3,
    "µm": 1.0, "um": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "micrometer": 1.0,
    "mm": 1e3, "millimeter": 1e3,
    "cm": 1e4, "centimeter": 1e4,
    "m": 1e6, "meter": 1e6,
}  # fmt: skip
_SECONDS = {
    "ns": 1e-9, "nanosecond": 1e-9,
    "µs": 1e-6, "us": 1e-6, "microsecond": 1e-6,
    "ms": 1e-3, "millisecond": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0,
}  # fmt: skip


def micrometres(unit: Any) -> float | None:
    """How long a unit is in micrometres, None if it is no length that is known."""
    return _find(_MICROMETRES, unit)


def seconds(unit: Any) -> float | None:
    """How long a unit is in seconds, None if it is no time that is known."""
    return _find(_SECONDS, unit)


def positive(value: Any, factor: float | None = 1.0) -> float | None:
    """A size times a factor, None for whatever no size can be: text, NaN, infinity, 0 and less."""
    try:
        size = float(value) * float(factor if factor is not None else math.nan)
    except (TypeError, ValueError, OverflowError):
        return None
    return size if math.isfinite(size) and size > 0 else None


def _find(known: dict[str, float], unit: Any) -> float | None:
    if not isinstance(unit, str):
        return None
    # the Greek letter looks like the sign for micro; "metre" is British, "microns" more than one
    name = unit.strip().lower().replace("μ", "µ").replace("metre", "meter")
    return known.get(name) or known.get(name.removesuffix("s"))
