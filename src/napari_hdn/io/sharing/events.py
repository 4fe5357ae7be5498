"""What exporting and importing tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_hdn.core.events import Notice


@dataclass(frozen=True)
class SharingProgress:
    """How far it is, 0 to 1, and what is being done."""

    fraction: float
    doing: str


@dataclass(frozen=True)
class Exported:
    """A file is whole and has its name."""

    path: Path


@dataclass(frozen=True)
class Imported:
    """A model lies among the others."""

    folder: Path


SharingEvent = SharingProgress | Notice | Exported | Imported
