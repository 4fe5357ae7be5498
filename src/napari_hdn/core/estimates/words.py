"""What a job will take, found out before it begins: time, memory, disk.

Time comes from a short probe of the very code that will run, on made-up pixels; memory from the same
rules that tiles and batches are planned by, calibrated with ``benchmarks/estimates.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Estimate:
    """What a job will take.

    Attributes
    ----------
    seconds : float
    memory_bytes : float
        At most at a time, besides what the program holds already.
    disk_bytes : float
        Written, if nothing is compressed.
    compressed : bool
        Whether files are, so that they may take less.
    free_memory : float
        That the device and the settings leave.
    free_disk : float or None
        Where the results go; None where nothing is written.
    steps : int or None
        Of a training.
    advice : str
        What to do where it does not fit in memory.
    """

    seconds: float
    memory_bytes: float
    disk_bytes: float = 0.0
    free_memory: float = float("inf")
    free_disk: float | None = None
    steps: int | None = None
    advice: str = ""
    limit: str = field(default="", repr=False)
    compressed: bool = False

    @property
    def fits(self) -> bool:
        """Whether memory and disk suffice."""
        return not self.warning

    @property
    def warning(self) -> str:
        """What will not fit, with numbers and what to change; empty where all does."""
        told = []
        if self.memory_bytes > self.free_memory:
            told.append(
                f"This needs about {size(self.memory_bytes)} of memory, but {size(self.free_memory)} "
                f"are free{self.limit}. {self.advice}".rstrip()
            )
        if self.free_disk is not None and self.disk_bytes > self.free_disk:
            told.append(
                f"The results need up to {size(self.disk_bytes)} on disk, but {size(self.free_disk)} "
                "are free there. Make room, choose another folder, or write less."
            )
        return " ".join(told)

    def times(self, factor: float) -> Estimate:
        """The same for so many times as much of it, one after the other."""
        return replace(self, seconds=factor * self.seconds, disk_bytes=factor * self.disk_bytes)

    def in_words(self) -> str:
        """One line: ``about 3 min, 1.2 GB of memory, 2.4 GB on disk``."""
        parts = [about(self.seconds), f"{size(self.memory_bytes)} of memory"]
        if self.steps is not None:
            parts.insert(1, f"{spoken_count(self.steps)} steps")
        if self.disk_bytes:
            most = "at most " if self.compressed else ""
            parts.append(f"{most}{size(self.disk_bytes)} on disk")
        return ", ".join(parts)


def about(seconds: float) -> str:
    """A time as rough as an estimate is: ``about 40 s``, ``about 3 min``, ``about 2.5 h``."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 55:
        return f"about {5 * max(1, round(seconds / 5))} s"
    if seconds < 90 * 60:
        minutes = seconds / 60
        return (
            f"about {minutes:.0f} min"
            if minutes >= 2.75
            else f"about {round(2 * minutes) / 2:g} min"
        )
    hours = seconds / 3600
    if hours < 48:
        return f"about {hours:.0f} h" if hours >= 10 else f"about {round(2 * hours) / 2:g} h"
    return f"about {hours / 24:.0f} days"


def size(count: float) -> str:
    """Bytes with two digits: ``1.2 GB``, ``350 MB``."""
    units = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
    unit, one = next((u for u in units if count >= 0.995 * u[1]), ("kB", 1e3))
    amount = count / one
    if unit in ("TB", "GB") and amount < 9.95:
        return f"{amount:.1f} {unit}"
    tens = 10 if amount >= 100 else 1
    return f"{tens * round(amount / tens)} {unit}"


def spoken_count(number: int) -> str:
    """A number with two digits that count: ``2,300``."""
    digits = len(str(number))
    return f"{round(number, 2 - digits):,}"
