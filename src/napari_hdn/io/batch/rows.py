"""A row of the table: what came of one image, as text that spreadsheets and scripts read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

Status = Literal["done", "done in part", "failed", "left out", "not yet"]
STATUSES: tuple[Status, ...] = get_args(Status)
BETWEEN_FILES = " | "  # no file of Windows has it in its name

# what stands above the columns, by field of `Row`
COLUMNS = {
    "image": "image",
    "status": "status",
    "reason": "reason",
    "done": "planes done",
    "failed": "planes failed",
    "planes": "planes",
    "files": "files",
    "clipped": "clipped pixels",
    "seconds": "seconds",
    "model": "model",
    "levels_off": "levels off",
    "plate": "plate",
    "well": "well",
    "field": "field",
    "when": "when",
    "size": "image bytes",
    "modified": "image modified",
    "source": "images in",
    "asked": "asked",
}


@dataclass(frozen=True)
class Row:
    """What came of an image.

    Attributes
    ----------
    image : str
        Path below ``source``, with slashes.
    status : str
        ``left out``: not an image to restore, such as an RGB one. ``not yet``: its turn has not come.
    reason : str
        Why it failed, or what to know of it.
    done, failed, planes : int or None
        How many are restored, are damaged, there are; None if not known.
    files : tuple of str
        What was written, below the folder of the table.
    clipped : int
        Pixels that did not fit the integer type.
    seconds : float or None
        That it took.
    model, levels_off : str
        Names, for the reader.
    plate, well, field : str
        Of an image of a plate.
    when : str
        It was over, in local time.
    size, modified : int or None, str
        Of the image's file in bytes, and when it was last written, in UTC.
    source : str
        The folder that the images lie below, as seen from that of the table.
    asked : str
        Digest of model and settings; see `napari_hdn.core.identity`.
    """

    image: str
    status: Status = "not yet"
    reason: str = ""
    done: int | None = None
    failed: int | None = None
    planes: int | None = None
    files: tuple[str, ...] = ()
    clipped: int | None = None
    seconds: float | None = None
    model: str = ""
    levels_off: str = ""
    plate: str = ""
    well: str = ""
    field: str = ""
    when: str = ""
    size: int | None = None
    modified: str = ""
    source: str = ""
    asked: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells rows apart: the image and what was asked of it."""
        return self.source, self.image, self.asked

    @property
    def over(self) -> bool:
        """Whether nothing more can be restored of the image: all but its damaged planes are done."""
        if self.status == "done":
            return True
        counted = self.done is not None and self.failed is not None
        whole = counted and self.done + (self.failed or 0) == self.planes  # type: ignore[operator]
        return self.status == "done in part" and bool(self.done) and whole

    @staticmethod
    def header() -> list[str]:
        """What stands above the columns."""
        return list(COLUMNS.values())

    def cells(self) -> list[str]:
        """Texts of all columns."""
        return [_text(getattr(self, name)) for name in COLUMNS]

    @classmethod
    def of_cells(cls, cells: Mapping[str, str]) -> Self:
        """Read a row, by names of columns; numbers that a spreadsheet has spoilt are not known.

        Raises
        ------
        ValueError
            If there is no image, or no such status.
        """
        if cells["image"] == "" or cells["status"] not in STATUSES:
            raise ValueError(f"{cells['status']!r} is no status of an image")
        values: dict[str, Any] = {name: cells[column] for name, column in COLUMNS.items()}
        for name in ("done", "failed", "planes", "clipped", "size"):
            values[name] = _number(values[name], int)
        values["seconds"] = _number(values["seconds"], float)
        values["files"] = tuple(filter(None, values["files"].split(BETWEEN_FILES)))
        return cls(**values)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return BETWEEN_FILES.join(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def _number(text: str, kind: type[int] | type[float]) -> Any:
    try:
        return kind(text)
    except ValueError:
        return None
